"""Lazy episodes: the same labels, sizes and, once read, pixels as loaded ones."""

from __future__ import annotations

import os
import pickle
import shutil

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from PIL import Image
from torch.utils.data import DataLoader

from mmwsfs.datasets import Pascal5iDataset
from mmwsfs.registry import TRANSFORMS

LOAD = dict(type='LoadImageFromFile', imdecode_backend='pillow')
RESIZE = dict(type='Resize', scale=(32, 24), backend='pillow')


def episode_transform(*transforms: dict):
    return TRANSFORMS.build(dict(
        type='EpisodeTransform', query=list(transforms), support=list(transforms)))


def lazy_image(path, *transforms: dict):
    return episode_transform(*transforms).lazy_query.image(str(path))


def assert_same_sample(first, second) -> None:
    assert first.metainfo == second.metainfo
    assert set(first.keys()) == set(second.keys())
    assert torch.equal(first.gt_presence, second.gt_presence)
    if 'gt_sem_seg' in first:
        assert torch.equal(first.gt_sem_seg.data, second.gt_sem_seg.data)
    if 'support_masks' in first:
        assert torch.equal(first.support_masks, second.support_masks)


@pytest.mark.parametrize('masks', [False, True])
def test_lazy_episodes_are_the_loaded_ones(tiny_dataset, make_pipeline, masks):
    """Everything of an item but the pixels, and those when they are read."""
    settings = dict(
        pipeline=make_pipeline(query_mask=masks, support_mask=masks), way=2, shot=2)
    loaded, lazy = tiny_dataset(**settings), tiny_dataset(**settings)
    assert lazy.read_lazily()
    for number in range(4):
        first, second = loaded[number], lazy[number]
        assert_same_sample(first['data_samples'], second['data_samples'])
        query, support = second['inputs']['query'], second['inputs']['support']
        assert query.size == (32, 32) and support.shape == (2, 2)
        assert torch.equal(query.read(), first['inputs']['query'])
        for way in range(2):
            for shot in range(2):
                assert torch.equal(
                    support[way, shot].read(), first['inputs']['support'][way, shot])


def test_lazy_episodes_of_real_photographs(shared_data, make_pipeline):
    """Real files, of many sizes, with masks."""
    def build() -> Pascal5iDataset:
        return Pascal5iDataset(
            data_root=str(shared_data), lists='splits/pascal5i_subset', fold=1,
            split='val', num_episodes=5,
            pipeline=make_pipeline(query_mask=True, support_mask=True, size=56))

    loaded, lazy = build(), build()
    assert lazy.read_lazily()
    for number in range(5):
        first, second = loaded[number], lazy[number]
        assert_same_sample(first['data_samples'], second['data_samples'])
        assert torch.equal(second['inputs']['query'].read(), first['inputs']['query'])


def test_no_pixel_is_decoded(tiny_dataset, make_pipeline, monkeypatch, tmp_path):
    """Making an item, or the list of images, opens headers only."""
    dataset = tiny_dataset(pipeline=make_pipeline())
    assert dataset.read_lazily()
    for name in ('mmcv.imfrombytes', 'PIL.ImageFile.ImageFile.load'):
        monkeypatch.setattr(name, lambda *args, **kwargs: pytest.fail('decoded'))
    png = tmp_path / 'image.png'
    Image.fromarray(np.zeros((4, 5, 3), np.uint8)).save(png)
    assert lazy_image(png, LOAD).size == (4, 5)
    item = dataset[0]
    assert len(dataset.lazy_images()) > 5
    with pytest.raises(pytest.fail.Exception, match='decoded'):
        item['inputs']['query'].read()


def test_lazy_images_are_those_of_the_episodes(tiny_dataset, make_pipeline):
    """A warm-up finds all that testing and training will use; equal ones once."""
    pipeline = make_pipeline()
    pipeline[0]['query'] = [LOAD, RESIZE]  # another size: images of their own
    test = tiny_dataset(pipeline=pipeline, num_episodes=6)
    train = tiny_dataset(pipeline=make_pipeline(), split='trn')
    for dataset in (test, train):
        assert dataset.read_lazily()
    keys = [image.key for image in test.lazy_images()]
    assert len(set(keys)) == len(keys)
    used = set()
    for number in range(6):
        inputs = test[number]['inputs']
        used |= {inputs['query'].key, inputs['support'][0, 0].key}
    assert used <= set(keys)
    assert len(train.lazy_images()) == len({e['name'] for e in train.data_list})


@pytest.mark.parametrize('transforms, lazy', [
    ([LOAD, RESIZE], True),
    ([LOAD, RESIZE, dict(type='LoadLabelMap')], True),
    ([LOAD, dict(type='LoadLabelMap'), dict(type='mmseg.Resize', scale=(8, 8))], True),
    ([LOAD], True),
    ([LOAD, RESIZE, dict(type='RandomFlip', prob=0.5)], False),
    ([LOAD, RESIZE, dict(type='PhotoMetricDistortion')], False),
    ([LOAD, dict(type='Resize', scale=(32, 24), keep_ratio=True)], False),
    ([LOAD, dict(type='Resize', scale_factor=0.5)], False),
    ([LOAD, dict(type='RandomResize', scale=[(32, 24), (8, 8)])], False),
    ([dict(LOAD, color_type='unchanged'), RESIZE], False),
    ([dict(LOAD, color_type='color_ignore_orientation'), RESIZE], False),
])
def test_what_can_be_lazy(transforms, lazy):
    """Loading and fixed resizes; nothing that changes from time to time."""
    assert episode_transform(*transforms).can_be_lazy is lazy
    mixed = TRANSFORMS.build(dict(
        type='EpisodeTransform', query=[LOAD, RESIZE], support=transforms))
    assert mixed.can_be_lazy is lazy


def test_an_augmenting_pipeline_reads_on(tiny_dataset, make_pipeline):
    pipeline = make_pipeline()
    pipeline[0]['support'].append(dict(type='RandomFlip', prob=0.5))
    dataset = tiny_dataset(pipeline=pipeline)
    assert not dataset.read_lazily()
    assert isinstance(dataset[0]['inputs']['query'], torch.Tensor)


@pytest.mark.parametrize('backend, suffix', [
    ('cv2', 'jpg'), *(('pillow', suffix) for suffix in ('jpg', 'png', 'webp', 'tiff'))])
@pytest.mark.parametrize('orientation', range(1, 9))
def test_rotated_images_have_their_size(tmp_path, backend, suffix, orientation):
    """Cameras note how they were held; the decoder turns the image accordingly."""
    path = tmp_path / f'image.{suffix}'
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(path, exif=exif)
    load = dict(LOAD, imdecode_backend=backend)
    image = lazy_image(path, load)
    assert tuple(image.read().shape) == (3, *image.size)
    assert image.size == ((30, 20) if orientation >= 5 else (20, 30))
    results = episode_transform(load, RESIZE).lazy_query(
        dict(img_path=str(path), seg_fields=[]))
    assert results['ori_shape'] == image.size and results['img_shape'] == (24, 32)


def test_the_key_is_content_and_transforms(tmp_path):
    """A copy is the same image; another content, resize or decoder is not."""
    rng = np.random.default_rng(0)
    paths = [tmp_path / f'{number}.png' for number in range(3)]
    for path in paths[:2]:
        Image.fromarray(rng.integers(0, 256, (20, 30, 3), np.uint8)).save(path)
    shutil.copy(paths[0], paths[2])
    keys = [lazy_image(path, LOAD, RESIZE).key for path in paths]
    assert keys[0] == keys[2] != keys[1]
    others = [
        [LOAD], [LOAD, dict(RESIZE, scale=(32, 25))],
        [LOAD, dict(RESIZE, interpolation='nearest')],
        [LOAD, dict(RESIZE, backend='cv2')],
        [dict(LOAD, imdecode_backend='cv2'), RESIZE],
        [dict(LOAD, to_float32=True), RESIZE]]
    found = {lazy_image(paths[0], *transforms).key for transforms in others}
    assert len(found) == len(others) and keys[0] not in found
    assert lazy_image(
        paths[0], LOAD, RESIZE, dict(type='LoadLabelMap')).key == keys[0]


def test_a_changed_file_has_another_key(tmp_path):
    """Within one run too, even where its size in bytes stays."""
    path = tmp_path / 'image.bmp'
    for value in (0, 1):
        Image.fromarray(np.full((4, 4, 3), value, np.uint8)).save(path)
        os.utime(path, ns=(0, value))
        key = lazy_image(path, LOAD).key
        assert lazy_image(path, LOAD).key == key
        if value == 0:
            first = key
    assert key != first


def test_damaged_files_are_named(tmp_path):
    """No image, at once; a cut one, when it is read."""
    foreign, cut = tmp_path / 'foreign.jpg', tmp_path / 'cut.jpg'
    foreign.write_text('no image')
    with pytest.raises(ValueError, match='foreign.jpg'):
        lazy_image(foreign, LOAD)
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (50, 50, 3), np.uint8)).save(cut)
    cut.write_bytes(cut.read_bytes()[:-500])
    image = lazy_image(cut, LOAD)
    with pytest.raises(RuntimeError, match='cut.jpg'):
        image.read()


def test_workers_read_lazily(tiny_dataset, make_pipeline):
    """Those that begin after the switch, whether they get a copy or a pickle."""
    dataset = tiny_dataset(pipeline=make_pipeline(), num_episodes=4)
    expected = [dataset[number]['inputs']['query'] for number in range(4)]
    assert dataset.read_lazily()
    loader = DataLoader(
        dataset, batch_size=2, num_workers=2, collate_fn=pseudo_collate,
        multiprocessing_context='fork')
    images = [image for batch in loader for image in batch['inputs']['query']]
    pickled = pickle.loads(pickle.dumps(dataset))
    images += [pickled[number]['inputs']['query'] for number in range(4)]
    assert [image.size for image in images] == [(32, 32)] * 8
    assert all(torch.equal(image.read(), pixels)
               for image, pixels in zip(images, expected * 2))


def test_images_that_differ_each_time_are_not_read_by_themselves(
        tiny_dataset, make_pipeline):
    """One error that says what to change, for an image and for all."""
    pipeline = make_pipeline()
    pipeline[0]['query'] += [dict(type='RandomFlip', prob=0.5)]
    dataset = tiny_dataset(pipeline=pipeline)
    for read in (dataset.lazy_images, lambda: dataset.read_image('val_01_0')):
        with pytest.raises(ValueError, match='augments nothing: change the pipeline'):
            read()
