"""FewShotConcatDataset: who is asked for what, numbers, masks and names."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from mmwsfs.datasets import EpisodeKey, FewShotConcatDataset, TrainEpisodeSampler

VOC = dict(split='trn', pipeline=None, img_size=32)


@pytest.fixture
def joined(tiny_dataset: Callable, tiny_coco_dataset: Callable
           ) -> Callable[..., FewShotConcatDataset]:
    """15 classes of ``tiny_voc``, then 6 of ``tiny_coco``; 'cat' is of both."""
    def build(voc: dict | None = None, coco: dict | None = None,
              **kwargs) -> FewShotConcatDataset:
        return FewShotConcatDataset([
            tiny_dataset(**{**VOC, 'fold': 3, **(voc or {})}),
            tiny_coco_dataset(**{**VOC, 'num_episodes': None, **(coco or {})})],
            **kwargs)
    return build


def test_classes_of_one_name_are_one(joined: Callable) -> None:
    """The first data set keeps its numbers; new names follow; others are the same."""
    dataset = joined(same_classes=dict(elk='horse'))
    voc, coco = dataset.datasets
    classes = dataset.metainfo['classes']
    assert classes[:20] == voc.metainfo['classes']
    assert classes[20:] == ('ant', 'bee', 'fox', 'gnu', 'hen')  # 'cat', 'dog', 'elk'
    assert len(dataset) == len(voc.data_list) + len(coco.data_list)
    horse = classes.index('horse') + 1
    cat = dataset.images_of[classes.index('cat') + 1]
    assert {name[0] for name in cat} == {'0', '1'}
    # Class 1 and 5 of fold 0 are held out of COCO: 'ant' and 'elk'.
    assert {name[0] for name in dataset.images_of[horse]} == {'0'}
    assert classes.index('ant') + 1 not in dataset.class_ids
    for entry, own in zip(dataset.data_list, voc.data_list + coco.data_list):
        assert type(entry['class_id']) is int
        assert entry['name'][2:] == own['name']


def test_an_episode_is_of_one_data_set(joined: Callable) -> None:
    """Its class too: nobody knows whether a photograph of VOC shows an ant."""
    dataset = joined()
    for position in range(3 * len(dataset)):
        key = TrainEpisodeSampler(dataset, seed=0, paired=True).key(position)
        sample = dataset[key]['data_samples']
        entry = dataset.data_list[key.query]
        place, own = entry['name'].split('/')
        of_coco = ['coco' in path for path in (
            sample.query_path, *sum(sample.support_paths, []))]
        assert own in sample.query_path and set(of_coco) == {place == '1'}
        assert set(sample.class_ids) <= set(dataset.known_classes(entry['name']))
        if key.present:
            assert sample.class_ids == [entry['class_id']]
            assert sample.gt_presence.item() and (sample.gt_sem_seg.data == 1).any()


def test_numbers_and_pixels_of_an_image(joined: Callable) -> None:
    """An image by itself has the numbers of the joined classes, and void stays void."""
    dataset = joined()
    assert dataset.read_lazily()
    own = dataset.datasets[1].read_image(dataset.datasets[1].data_list[1]['name'])
    name = dataset.data_list[len(dataset.datasets[0].data_list) + 1]['name']
    image = dataset.read_image(name)
    classes = dataset.metainfo['classes']
    own_names = dataset.datasets[1].metainfo['classes']
    assert [classes[number - 1] for number in image['labels']] == [
        own_names[number - 1] for number in own['labels']]
    assert np.array_equal(image['gt_seg_map'] == 255, own['gt_seg_map'] == 255)
    for number in own['seg_labels'] - {0, 255}:
        assert np.array_equal(
            image['gt_seg_map'] == classes.index(own_names[number - 1]) + 1,
            own['gt_seg_map'] == number)
    assert image['seg_labels'] == set(np.unique(image['gt_seg_map']).tolist())
    assert image['img'].key in {one.key for one in dataset.lazy_images()}


def test_masked_images(joined: Callable, tmp_path) -> None:
    """Of all where all carry masks; else by name, with the data set's number."""
    dataset = joined()
    assert dataset.masked_images is None
    dataset.export_masked_images(tmp_path / 'all.txt')
    assert set((tmp_path / 'all.txt').read_text().split()) == {
        entry['name'] for entry in dataset.data_list}
    some = joined(coco=dict(masks='none'))
    assert some.masked_images and {name[0] for name in some.masked_images} == {'0'}
    some.export_masked_images(tmp_path / 'some.txt')
    assert (tmp_path / 'some.txt').read_text().split() == some.masked_images


@pytest.mark.parametrize('kwargs, message', [
    (dict(voc=dict(split='val')), "Pascal5iDataset is of split 'val'"),
    (dict(same_classes=dict(yak='horse')), r"\['yak'\], which no data set has"),
    (dict(same_classes=dict(ant='bee')), "two classes 'bee' after same_classes"),
])
def test_it_refuses(kwargs: dict, message: str, joined: Callable) -> None:
    with pytest.raises(ValueError, match=message):
        joined(**kwargs)


def test_it_needs_a_data_set() -> None:
    with pytest.raises(ValueError, match='datasets is empty'):
        FewShotConcatDataset([])


def test_augmented_images_are_read_at_once(joined: Callable) -> None:
    """Where one data set cannot be lazy, none is: half of a batch would not stack."""
    augmented = [
        dict(type='EpisodeTransform',
             **{role: [dict(type='LoadImageFromFile'),
                       dict(type='RandomFlip', prob=0.5),
                       dict(type='Resize', scale=(32, 32))]
                for role in ('query', 'support')}),
        dict(type='PackEpisodeInputs')]
    dataset = joined(coco=dict(pipeline=augmented))
    assert not dataset.read_lazily()
    packed = dataset[EpisodeKey(0, 1, True)]
    assert isinstance(packed['inputs']['query'], torch.Tensor)


def test_it_is_what_training_sees(shared_data) -> None:
    """VOC and COCO by cst-photos' own settings: 745 and 229 photographs, 67 classes."""
    settings = dict(
        data_root=str(shared_data), split='trn', fold=None, img_size=32)
    dataset = FewShotConcatDataset(
        [dict(type='Pascal5iDataset', lists='splits/pascal5i_subset', **settings),
         dict(type='Coco20iDataset', lists='splits/coco20i', restrict_to_existing=True,
              ann_files='coco/annotations/instances_subset.json', **settings)],
        same_classes=dict(aeroplane='airplane', sofa='couch', tvmonitor='tv',
                          diningtable='dining table', motorbike='motorcycle',
                          pottedplant='potted plant'))
    assert [len(one.labels_of) for one in dataset.datasets] == [745, 229]
    assert len(dataset.metainfo['classes']) == 80 and len(dataset.class_ids) == 67
    sample = dataset[EpisodeKey(len(dataset) - 5, 7, True)]['data_samples']
    assert 'coco' in sample.query_path and sample.gt_presence.all()
