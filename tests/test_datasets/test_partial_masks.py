"""Which images carry masks, and that no other mask is looked for."""
from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.runner import Runner
from PIL import Image
from torch.utils.data import DataLoader

from mmwsfs.datasets import (
    Coco20iDataset,
    EpisodeKey,
    FewShotFolderDataset,
    Pascal5iDataset,
    TrainEpisodeSampler,
    demo_shapes_dataset,
    entry_list,
    partial_masks,
)
from mmwsfs.datasets.demo_shapes import make_demo_shapes
from mmwsfs.datasets.partial_masks import choose_masked, read_masked
from mmwsfs.models import EnhancedLabeler, ForegroundLabeler
from mmwsfs.registry import DATASETS, MODELS

REPO = Path(__file__).parents[2]
IMAGES = 'VOCdevkit/VOC2012/JPEGImages'
MASKS = 'VOCdevkit/VOC2012/SegmentationClassAug'
RATIOS = (0.01, 0.05, 0.1, 0.2, 0.5, 1.0)


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The lines that the dataset logs."""
    lines: list[str] = []
    for module in (entry_list, partial_masks):
        monkeypatch.setattr(
            module, 'print_log', lambda line, *args: lines.append(line))
    return lines


def classes_of(*counts: int) -> dict[int, list[str]]:
    """Class 1, 2, ... with so many images of its own."""
    return {number: [f'{number}-{index}' for index in range(count)]
            for number, count in enumerate(counts, start=1)}


# ------------------------------------------------------------- the choice
@pytest.mark.parametrize('seed', [0, 1, 7])
def test_shares_of_real_lists(shared_data: Path, seed: int) -> None:
    """Nested, of the right size, of every class, and near to equal for all classes."""
    images_of = Pascal5iDataset(
        data_root=str(shared_data), lists='splits/pascal5i_subset', fold=2,
        split='trn', masks='none', pipeline=[]).images_of
    total = len(set().union(*images_of.values()))
    assert len(images_of) == 15 and total > 400
    previous: list[str] = []
    for ratio in RATIOS:
        chosen = choose_masked(images_of, ratio, seed)
        assert len(set(chosen)) == len(chosen)
        assert chosen[:len(previous)] == previous
        assert not any(set(chosen).isdisjoint(names) for names in images_of.values())
        if ratio >= 0.05:
            assert len(chosen) == round(ratio * total)
        previous = chosen
    assert len(previous) == total
    # No more than it takes: without the last one a class has none, or it is the share.
    few = choose_masked(images_of, 0.01, seed)
    assert round(0.01 * total) < len(few) <= 15
    assert any(set(few[:-1]).isdisjoint(names) for names in images_of.values())


def test_classes_take_turns() -> None:
    """In any beginning of the order classes that have images left are even."""
    images_of = classes_of(20, 20, 3, 20)
    for count in range(4, 64):
        chosen = choose_masked(images_of, count / 63, 5)
        assert len(chosen) == count
        per_class = [sum(name.startswith(f'{n}-') for name in chosen)
                     for n in range(1, 5)]
        others = [per_class[0], per_class[1], per_class[3]]
        assert max(others) - min(others) <= 1
        assert per_class[2] in (3, min(others), max(others))


def test_choice_depends_on_names_and_seed_alone() -> None:
    """Not on the order of a list, on a repetition in it, nor on the process."""
    images_of = classes_of(9, 9, 9)
    images_of[2].append('1-4')  # shows both
    chosen = choose_masked(images_of, 0.5, 3)
    turned = {n: images_of[n][::-1] + images_of[n][:1] for n in (3, 1, 2)}
    assert choose_masked(turned, 0.5, 3) == chosen
    assert len({tuple(choose_masked(images_of, 0.5, seed)) for seed in range(9)}) == 9
    # As it was when written: a change of it changes everyone's experiments.
    assert choose_masked(classes_of(4, 4), 0.5, 0) == ['1-2', '2-0', '1-3', '2-2']


def test_an_image_of_all_classes_is_enough() -> None:
    """The least share is one image a class, not one image for each class."""
    assert choose_masked({1: ['a'], 2: ['a'], 3: ['a']}, 0.01, 0) == ['a']
    # A class without images, as where episodes are replayed, asks for none.
    assert len(choose_masked({1: [], 2: ['a', 'b', 'c']}, 0.01, 0)) == 1


# ------------------------------------------------------------- a list
def test_list_of_names_and_of_paths(tmp_path: Path) -> None:
    """Windows' line ends and byte-order mark, empty lines and file names are fine."""
    path = tmp_path / 'list.txt'
    path.write_bytes('\ufeffant\r\n\r\n photos/bee.jpg \r\nant\r\n'.encode())
    assert read_masked(path, ['ant', 'bee', 'cat'], lambda p: Path(p).stem) == {
        'ant', 'bee'}


@pytest.mark.parametrize(('content', 'message'), [
    (b'ant\nelk\n', r"list\.txt', line 2: no entry of the data set has .* 'elk'"),
    (b'\n\n', r"list\.txt' names none: name some, or set masks='none'"),
    (b'\xff\xfe\x00', r"list\.txt' is no UTF-8 text"),
])
def test_bad_lists(tmp_path: Path, content: bytes, message: str) -> None:
    """File, line and name are in the message."""
    path = tmp_path / 'list.txt'
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_masked(path, ['ant'], str)
    with pytest.raises(FileNotFoundError, match='none.txt.*set masks'):
        read_masked(tmp_path / 'none.txt', ['ant'], str)


def test_bad_line_of_a_coco_list(tiny_coco_dataset: Callable, tmp_path: Path) -> None:
    """A line from which no image id can be read is found as well."""
    (tmp_path / 'list.txt').write_text('photo.jpg\n')
    with pytest.raises(ValueError, match=r"list\.txt', line 1: .*does not end with a"):
        tiny_coco_dataset(masks=str(tmp_path / 'list.txt'))


# ------------------------------------------------------------- a dataset's arguments
@pytest.mark.parametrize('masks', [
    'tets', 'train', '0.1', '', True, False, None, 0, -0.1, 1.5, 10, float('nan'),
    ['a', 'b']])
def test_bad_masks(tiny_dataset: Callable, masks: object) -> None:
    """Neither a misspelt word nor a percentage is taken for something else."""
    with pytest.raises(ValueError, match=(
            rf"masks={re.escape(repr(masks))} must be 'all', 'none', the share .*0\.1 "
            r"is a tenth.* 'NAME\.txt'")):
        tiny_dataset(masks=masks)


@pytest.mark.parametrize('seed', [-1, 2**32, 0.5, '0', True])
def test_bad_seeds(tiny_dataset: Callable, seed: object) -> None:
    """Refused when the dataset is made."""
    with pytest.raises(ValueError, match=f'mask_seed={seed!r} is not in 0'):
        tiny_dataset(masks=0.1, mask_seed=seed)


@pytest.mark.parametrize(('settings', 'masks'), [
    (dict(with_masks=False), "'none'"),
    (dict(with_masks=True), "'all'"),
    (dict(mask_ratio=0.1), '0.1'),
    (dict(with_masks=True, mask_ratio=0.1, mask_list=None), '0.1'),
    (dict(mask_ratio=None, mask_list='some.txt'), "'some.txt'"),
])
def test_arguments_before_masks(
        tiny_dataset: Callable, settings: dict, masks: str) -> None:
    """A config of before is told what to write, before any file is read."""
    with pytest.raises(ValueError, match=(
            f'with_masks, mask_ratio and mask_list .*: write masks={masks} instead')):
        tiny_dataset(lists='absent', **settings)


def test_all_and_none(tiny_dataset: Callable, tmp_path: Path) -> None:
    """Without a share all images carry masks, or none does."""
    dataset = tiny_dataset(split='trn')
    assert dataset.masked_images is None and dataset.has_mask('trn_06_0')
    dataset.export_masked_images(tmp_path / 'all.txt')
    names = sorted({entry['name'] for entry in dataset.data_list})
    assert (tmp_path / 'all.txt').read_text().splitlines() == names
    assert tiny_dataset(split='trn', masks=1.0).masked_images == names
    assert tiny_dataset(split='trn', masks='none').masked_images == []


def test_a_class_without_masks_is_logged(
        tiny_dataset: Callable, tmp_path: Path, log: list[str]) -> None:
    """A list may leave a class out: the log says which."""
    names = [f'trn_{number:02d}_2' for number in range(6, 21) if number != 9]
    (tmp_path / 'list.txt').write_text('\n'.join(names))
    dataset = tiny_dataset(split='trn', masks=str(tmp_path / 'list.txt'))
    assert dataset.masked_images == names
    assert log[-1].endswith("14 of 45 images carry masks; none of class 9 ('chair')")
    tiny_dataset(split='trn', masks=0.5)
    assert log[-1].endswith('22 of 45 images carry masks; none of no class')


def test_restricted_to_existing(
        tiny_voc: Path, tiny_dataset: Callable, tmp_path: Path, log: list[str]) -> None:
    """A missing mask leaves an image out only where the list says that it has one."""
    root = tmp_path / 'own'
    (root / MASKS).mkdir(parents=True)
    (root / IMAGES).symlink_to(tiny_voc / IMAGES)
    (root / 'splits').symlink_to(tiny_voc / 'splits')
    settings = dict(root=root, split='trn', restrict_to_existing=True)
    with pytest.raises(FileNotFoundError, match=r'needs mask .* in a list \(masks='):
        tiny_dataset(masks=0.3, **settings)
    (tmp_path / 'list.txt').write_text('trn_06_2\ntrn_07_2\n')
    shutil.copy(tiny_voc / MASKS / 'trn_07_2.png', root / MASKS)
    dataset = tiny_dataset(masks=str(tmp_path / 'list.txt'), **settings)
    assert dataset.masked_images == ['trn_07_2']
    names = {entry['name'] for entry in dataset.data_list}
    assert len(names) == 44 and 'trn_06_2' not in names
    with pytest.raises(FileNotFoundError, match=r"needs mask .*trn_06_2\.png"):
        tiny_dataset(**{**settings, 'restrict_to_existing': False},
                     masks=str(tmp_path / 'list.txt'))


def test_replayed_query_without_mask_and_labels(
        tiny_dataset: Callable, tmp_path: Path) -> None:
    """Its presence labels would silently be 'absent'."""
    file = tmp_path / 'other.json'
    file.write_text(json.dumps(dict(episodes=[
        dict(query='trn_07_0', classes=[2], supports=[['val_02_0']])])))
    with pytest.raises(ValueError, match="query 'trn_07_0' has no class labels"):
        tiny_dataset(episodes=str(file), masks=0.5)


# ------------------------------------------------------------- real photographs
@pytest.fixture(scope='session')
def few_real(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Up to three images of each class of the Pascal subset, with their masks."""
    root = tmp_path_factory.mktemp('few_real')
    for folder in (IMAGES, MASKS, 'splits/few/trn'):
        (root / folder).mkdir(parents=True)
    for fold in range(4):
        name = f'trn/fold{fold}.txt'
        taken: dict[str, list[str]] = {}
        for line in (shared_data / 'splits/pascal5i_subset' / name).read_text().split():
            taken.setdefault(line[-2:], []).append(line)
        lines = [line for lines in taken.values() for line in lines[:3]]
        (root / 'splits/few' / name).write_text('\n'.join(lines))
        for image in {line.split('__')[0] for line in lines}:
            shutil.copy(shared_data / IMAGES / f'{image}.jpg', root / IMAGES)
            shutil.copy(shared_data / MASKS / f'{image}.png', root / MASKS)
    return root


@pytest.fixture
def few_masks(few_real: Path, tmp_path: Path) -> Callable[[list[str]], Path]:
    """Makes the same folder with the masks of the given images alone."""
    def build(names: list[str]) -> Path:
        root = tmp_path / 'few_masks'
        (root / MASKS).mkdir(parents=True)
        (root / IMAGES).symlink_to(few_real / IMAGES)
        (root / 'splits').symlink_to(few_real / 'splits')
        for name in names:
            shutil.copy(few_real / MASKS / f'{name}.png', root / MASKS)
        return root
    return build


def pascal(root: Path, pipeline: list[dict], **settings) -> Pascal5iDataset:
    return Pascal5iDataset(
        data_root=str(root), lists='splits/few', fold=0, split='trn',
        pipeline=pipeline, **settings)


def assert_partly(sample, full, dataset) -> None:
    """The sample of an episode is ``full`` but for what images carry no mask."""
    query, support = Path(sample.query_path).stem, Path(sample.support_paths[0][0]).stem
    masked = dataset.masked_images
    assert ('gt_sem_seg' in sample) == (query in masked)
    assert ('support_masks' in sample) == (support in masked)
    if query in masked:
        assert torch.equal(sample.gt_sem_seg.data, full.gt_sem_seg.data)
        assert torch.equal(sample.gt_presence, full.gt_presence)
    else:
        assert sample.gt_presence.tolist() == [
            number in dataset.labels_of[query] for number in sample.class_ids]
    if support in masked:
        assert torch.equal(sample.support_masks, full.support_masks)


@pytest.mark.parametrize('workers', [0, 2])
def test_masks_of_others_are_absent(
        few_real: Path, few_masks: Callable, make_pipeline: Callable,
        workers: int) -> None:
    """An epoch of the pipeline on real images, only a third of whose masks exist."""
    pipeline = make_pipeline(True, True, 64)
    full = pascal(few_real, pipeline)
    names = pascal(few_real, pipeline, masks=1 / 3, mask_seed=4).masked_images
    root = few_masks(names)
    dataset = pascal(root, pipeline, masks=1 / 3, mask_seed=4)
    assert dataset.masked_images == names
    assert 10 < len(names) < len({e['name'] for e in dataset.data_list}) / 2
    with pytest.raises(FileNotFoundError, match='lack their masks.*needs mask'):
        pascal(root, pipeline)
    sampler = TrainEpisodeSampler(dataset, seed=1, paired=True)
    loader = DataLoader(dataset, batch_size=6, sampler=sampler, num_workers=workers,
                        collate_fn=pseudo_collate)
    seen, position = set(), 0
    for _, batch in zip(range(len(dataset) // 3), loader):
        for sample in batch['data_samples']:
            other = full[sampler.key(position)]['data_samples']
            assert sample.query_path == other.query_path.replace(
                str(few_real), str(root))
            assert_partly(sample, other, dataset)
            seen.add(('gt_sem_seg' in sample, 'support_masks' in sample,
                      sample.gt_presence.item()))
            position += 1
    assert len(seen) == 8  # every combination has been met


def test_training_on_real_images(
        few_real: Path, few_masks: Callable, make_pipeline: Callable,
        tiny_config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both stages and two steps, where no other mask exists; the list is kept."""
    pipeline = make_pipeline(True, True)
    pipeline[0]['query'] = pipeline[0]['support']  # its mask is resized as well
    names = pascal(few_real, pipeline, masks=1 / 3).masked_images
    root = few_masks(names)
    cfg = tiny_config
    cfg.model.supervision = 'mixed'
    cfg.model.labeler = dict(
        type='EnhancedLabeler', enhancer=dict(type='PseudoLabelEnhancer'), steps=2)
    cfg.train_dataloader.batch_size = 12
    cfg.train_dataloader.dataset.update(
        data_root=str(root), lists='splits/few', masks=1 / 3,
        pipeline=pipeline)
    cfg.test_dataloader = cfg.test_evaluator = cfg.test_cfg = None
    cfg.default_hooks.fitting = dict(type='FittingHook')
    cfg.custom_hooks = [dict(type='PseudoLabelEnhancerHook')]
    runner = Runner.from_cfg(cfg)
    seen, loss = [], runner.model.loss

    def watched(inputs, data_samples):
        losses = loss(inputs, data_samples)
        assert all(torch.isfinite(value) for value in losses.values())
        for sample in data_samples:
            query, support = (Path(path).stem for path in (
                sample.query_path, sample.support_paths[0][0]))
            assert ('gt_sem_seg' in sample) == (query in names)
            assert ('support_masks' in sample) == (support in names)
            seen.append((query in names, support in names))
        return losses

    monkeypatch.setattr(runner.model, 'loss', watched)
    runner.train()
    assert len(seen) == 24 and len(set(seen)) == 4
    listed = (Path(cfg.work_dir) / 'masked_images.txt').read_text().splitlines()
    assert listed == names


def test_lazy_episodes_keep_their_masks(
        few_real: Path, few_masks: Callable, make_pipeline: Callable) -> None:
    """Cached features or not: the same labels."""
    pipeline = make_pipeline(True, True, 64)
    names = pascal(few_real, pipeline, masks=0.4).masked_images
    full, lazy = pascal(few_real, pipeline), pascal(
        few_masks(names), pipeline, masks=0.4)
    assert lazy.read_lazily()
    for index in range(0, len(lazy), 3):
        key = EpisodeKey(index, index)
        assert_partly(
            lazy[key]['data_samples'], full[key]['data_samples'], lazy)


def test_exported_list_gives_the_same_images(
        few_real: Path, make_pipeline: Callable, tmp_path: Path) -> None:
    """What was chosen is written, and read again, relative to the data or not."""
    dataset = pascal(few_real, make_pipeline(), masks=0.2, mask_seed=9)
    file = tmp_path / 'work/masked_images.txt'
    dataset.export_masked_images(file)
    assert file.read_text() == ''.join(f'{name}\n' for name in dataset.masked_images)
    again = pascal(few_real, make_pipeline(), masks=str(file))
    assert again.masked_images == dataset.masked_images
    assert len(again.masked_images) < len(again.labels_of)


# ------------------------------------------------------------- the other datasets
def test_coco_draws_only_the_masked(
        tiny_coco: Path, tiny_coco_dataset: Callable, coco_pipeline: Callable,
        tmp_path: Path) -> None:
    """Images without mask may be badly annotated, or be in no annotation file."""
    settings = dict(split='trn', pipeline=coco_pipeline(True, True))
    full = tiny_coco_dataset(**settings)
    names = tiny_coco_dataset(masks=0.5, **settings).masked_images
    (tmp_path / 'coco/annotations').mkdir(parents=True)
    (tmp_path / 'splits').symlink_to(tiny_coco / 'splits')
    (tmp_path / 'coco/train2014').symlink_to(tiny_coco / 'coco/train2014')
    file = 'coco/annotations/instances_train2014.json'
    content = json.loads((tiny_coco / file).read_text())
    for annotation in content['annotations']:
        if f"{annotation['image_id']:012d}" not in names:
            annotation['segmentation'] = []
    bare = [image for image in content['images'] if f"{image['id']:012d}" not in names]
    assert len(bare) > 5
    gone = {image['id'] for image in bare[::2]}
    content['images'] = [i for i in content['images'] if i['id'] not in gone]
    content['annotations'] = [
        a for a in content['annotations'] if a['image_id'] not in gone]
    (tmp_path / file).write_text(json.dumps(content))
    dataset = tiny_coco_dataset(
        tmp_path, masks=0.5, ann_files=[file], **settings)
    assert dataset.masked_images == names
    seen = set()
    for index in range(len(dataset)):
        key = EpisodeKey(index, index)
        sample, other = dataset[key]['data_samples'], full[key]['data_samples']
        query, support = (f'{int(path[-16:-4]):012d}' for path in (
            sample.query_path, sample.support_paths[0][0]))
        assert ('gt_sem_seg' in sample) == (query in names)
        assert ('support_masks' in sample) == (support in names)
        if query in names:
            assert torch.equal(sample.gt_sem_seg.data, other.gt_sem_seg.data)
        else:
            assert sample.gt_presence.tolist() == [
                n in dataset.labels_of[query] for n in sample.class_ids]
        seen.add((query in names, support in names))
    assert len(seen) == 4
    dataset.export_masked_images(tmp_path / 'list.txt')
    assert tiny_coco_dataset(
        tmp_path, masks='list.txt', ann_files=[file], **settings
    ).masked_images == names


def test_real_coco(shared_data: Path, monkeypatch: pytest.MonkeyPatch,
                   log: list[str]) -> None:
    """The config on real images: every base class that is there has a mask."""
    for key in ('FOLD', 'WAY', 'SHOT', 'PROTOCOL', 'SPLITS'):
        monkeypatch.delenv(f'MMWSFS_{key}', raising=False)
    monkeypatch.setenv('MMWSFS_DATA_ROOT', str(shared_data))
    cfg = Config.fromfile(REPO / 'configs/wsfs/vit-s_coco20i_1shot_mixed20.py')
    settings = cfg.train_dataloader.dataset
    assert settings.ann_files == ['coco/annotations/instances_train2014.json']
    (file, ) = (shared_data / 'coco/annotations').glob('*.json')
    settings.update(restrict_to_existing=True, ann_files=[str(file)])
    dataset: Coco20iDataset = DATASETS.build(settings)
    masked = set(dataset.masked_images)
    assert 0 < len(masked) < len(dataset.labels_of)
    assert not any(masked.isdisjoint(dataset.images_of[n]) for n in dataset.class_ids)
    seen = set()
    for index in range(0, len(dataset), max(len(dataset) // 25, 1)):
        sample = dataset[EpisodeKey(index, 1, True)]['data_samples']
        has_mask = dataset.data_list[index]['name'] in masked
        assert ('gt_sem_seg' in sample) == has_mask
        seen.add(has_mask)
    assert seen == {False, True}
    for split in ('val', 'test'):
        dataset = DATASETS.build(
            dict(cfg[f'{split}_dataloader'].dataset, lazy_init=True))
        query, support = (
            [step['type'] for step in dataset.default_pipeline()[0][role]]
            for role in ('query', 'support'))
        assert 'LoadCocoLabelMap' in query and 'LoadCocoLabelMap' not in support


@pytest.mark.parametrize('tags', [False, True])
def test_own_images(tmp_path: Path, make_pipeline: Callable, tags: bool) -> None:
    """One's own images, in class folders or by tags: three have masks, no others."""
    rng = np.random.default_rng(0)
    rows = ['image,labels']
    for name in ('ant', 'bee', 'cow'):
        (tmp_path / 'images' / name).mkdir(parents=True)
        (tmp_path / 'masks' / name).mkdir(parents=True)
        for index in range(3):
            Image.fromarray(rng.integers(0, 256, (20, 30, 3), np.uint8)).save(
                tmp_path / f'images/{name}/{index}.jpg')
            rows.append(f'{name}/{index}.jpg,{name}')
    (tmp_path / 'tags.csv').write_text('\n'.join(rows))
    masked = ['ant/0.jpg', 'bee/1.jpg', 'cow/2.jpg']
    (tmp_path / 'masked.txt').write_text('\n'.join(masked))
    for number, name in enumerate(masked, start=1):
        pixels = np.zeros((20, 30), np.uint8)
        pixels[:, 15:] = number if tags else 255
        Image.fromarray(pixels).save((tmp_path / 'masks' / name).with_suffix('.png'))
    pipeline = make_pipeline(True, True, 32)
    if not tags:
        for role in ('query', 'support'):
            pipeline[0][role] = [
                dict(type='LoadObjectMask') if step['type'] == 'LoadLabelMap' else step
                for step in pipeline[0][role]]
    dataset = FewShotFolderDataset(
        data_root=str(tmp_path), novel=[], split='trn', masks='masked.txt',
        tags='tags.csv' if tags else None, pipeline=pipeline)
    assert dataset.masked_images == masked
    assert len(dataset) == 9
    for index, entry in enumerate(dataset.data_list):
        sample = dataset[EpisodeKey(index, index, True)]['data_samples']
        assert sample.gt_presence.tolist() == [True]
        assert ('gt_sem_seg' in sample) == (entry['name'] in masked)
        if entry['name'] in masked:
            expected = np.zeros((20, 30))
            expected[:, 15:] = 1
            assert np.array_equal(sample.gt_sem_seg.data[0], expected)
        support = Path(sample.support_paths[0][0])
        assert ('support_masks' in sample) == (
            support.relative_to(tmp_path / 'images').as_posix() in masked)


# ------------------------------------------------------------- configs
@pytest.mark.parametrize(
    'path', sorted((REPO / 'configs/wsfs').glob('*_mixed*.py')),
    ids=lambda path: path.stem)
def test_configs_build(path: Path) -> None:
    """The share is that of the name, what learns from masks fits the backbone, the hook
    is on."""
    cfg = Config.fromfile(path)
    with torch.device('meta'):  # without memory
        model = MODELS.build(cfg.model)
    if 'plus' in path.stem:
        assert isinstance(model.labeler, ForegroundLabeler)
        assert len(model.labeler.plane) == model.backbone.embed_dims
    else:
        assert isinstance(model.labeler, EnhancedLabeler)
        inputs = model.labeler.enhancer.layers[0].in_channels
        assert inputs == model.backbone.num_heads
    assert model.labeler.probe.planes.shape[1] == 2 * model.backbone.embed_dims
    settings = cfg.train_dataloader.dataset
    assert settings.masks == int(path.stem.rpartition('mixed')[2]) / 100
    assert model.supervision == 'mixed'
    assert [hook.type for hook in cfg.custom_hooks] == ['PseudoLabelEnhancerHook']


@pytest.mark.parametrize('size', [400, 392])
def test_pascal_configs_are_nested(
        shared_data: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """What the file's name says is what carries masks; test supports carry none."""
    monkeypatch.setenv('MMWSFS_DATA_ROOT', str(shared_data))
    monkeypatch.setenv('MMWSFS_SPLITS', 'pascal5i_subset')
    monkeypatch.setenv('MMWSFS_FOLD', '1')
    smaller: set[str] = set()
    names = {400: [f'vit-s_pascal5i_1shot_mixed{p}' for p in (1, 5, 10, 20)],
             392: ['dinov2-vit-s_pascal5i_1shot_short_mixed10']}[size]
    for name in names:
        cfg = Config.fromfile(REPO / f'configs/wsfs/{name}.py')
        train = DATASETS.build(cfg.train_dataloader.dataset)
        share = int(name.rpartition('mixed')[2]) / 100
        masked = set(train.masked_images)
        if share == 0.01:  # of 15 classes each has one
            assert 5 < len(masked) <= 15
        else:
            assert len(masked) == round(share * len(train.labels_of))
        assert smaller <= masked
        assert not any(masked.isdisjoint(train.images_of[n]) for n in train.class_ids)
        smaller = masked
    index = next(i for i, e in enumerate(train.data_list) if e['name'] in masked)
    item = train[EpisodeKey(index, 0)]
    assert item['data_samples'].gt_sem_seg.shape == (size, size)
    test = DATASETS.build(cfg.test_dataloader.dataset)
    item = test[0]
    assert test.masked_images is None
    assert item['inputs']['support'].shape[-2:] == (size, size)
    assert item['data_samples'].gt_sem_seg.shape == item['data_samples'].ori_shape
    assert 'support_masks' not in item['data_samples']


def test_demo_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo's config, on few and small made images."""
    monkeypatch.setenv('MMWSFS_DATA_ROOT', str(tmp_path))
    monkeypatch.delenv('MMWSFS_FOLD', raising=False)
    monkeypatch.setattr(
        demo_shapes_dataset, 'make_demo_shapes', lambda root: make_demo_shapes(
            root, train_images=10, val_images=10, size=64))
    cfg = Config.fromfile(REPO / 'configs/wsfs/vit-s_demo_1shot_mixed10.py')
    train = DATASETS.build(cfg.train_dataloader.dataset)
    assert 0 < len(train.masked_images) < len(train.labels_of)
    for index, entry in enumerate(train.data_list):
        sample = train[EpisodeKey(index, 0)]['data_samples']
        assert ('gt_sem_seg' in sample) == (entry['name'] in train.masked_images)
    sample = DATASETS.build(cfg.test_dataloader.dataset)[0]['data_samples']
    assert 'gt_sem_seg' in sample and 'support_masks' not in sample
