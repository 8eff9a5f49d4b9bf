"""Coco20iDataset: episodes of COCO, items and errors."""
from __future__ import annotations

import builtins
import gzip
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from coco_files import write_list
from deadline import deadline
from mmengine.config import Config
from PIL import Image

from mmwsfs.datasets import Coco20iDataset, EpisodeKey, coco20i, entry_list
from mmwsfs.registry import DATASETS

REPO = Path(__file__).parents[2]
SUBSET = 'coco/annotations/instances_subset.json'
VAL = 'coco/annotations/instances_val2014.json'
VAL_LIST = 'splits/tiny/val/fold0.json.gz'
Build = Callable[..., Coco20iDataset]


@pytest.fixture
def own(tiny_coco: Path, tmp_path: Path) -> Path:
    """A copy of ``tiny_coco`` that the test may change."""
    return Path(shutil.copytree(tiny_coco, tmp_path / 'own'))


def read_list(path: Path) -> dict[str, list[str]]:
    return json.loads(gzip.decompress(path.read_bytes()))


# ------------------------------------------------------------- classes
def test_classes_are_cocos(shared_data: Path) -> None:
    """80 names in the order of COCO's category ids."""
    categories = json.loads((shared_data / SUBSET).read_text())['categories']
    assert list(coco20i.COCO_CLASSES) == [
        c['name'] for c in sorted(categories, key=lambda c: c['id'])]


@pytest.mark.parametrize('fold', range(4))
def test_split_classes(fold: int, tiny_coco_dataset: Build) -> None:
    """Fold i tests on class i+1 and i+5 of 8, and trains on the others."""
    novel = [fold + 1, fold + 5]
    val = tiny_coco_dataset(fold=fold)
    trn = tiny_coco_dataset(fold=fold, split='trn', masks='none')
    assert val.class_ids == val.metainfo['class_ids'] == novel
    assert trn.class_ids == [n for n in range(1, 9) if n not in novel]
    assert {e['class_id'] for e in val.data_list} == set(novel)
    assert {e['class_id'] for e in trn.data_list} == set(trn.class_ids)
    assert val.metainfo['fold'] == fold


# ------------------------------------------------------------- the tiny dataset
def test_items(tiny_coco_dataset: Build, coco_pipeline: Callable) -> None:
    """Shapes, presence and masks, against what was painted."""
    dataset = tiny_coco_dataset(way=2, shot=2, pipeline=coco_pipeline(True, True))
    seen = set()
    for j in range(12):
        item = dataset[j]
        sample = item['data_samples']
        assert item['inputs']['query'].shape == (3, 32, 32)
        assert item['inputs']['support'].shape == (2, 2, 3, 32, 32)
        assert sample.support_masks.shape == (2, 2, 32, 32)
        assert sample.ori_shape == (40, 48)
        image_id = int(sample.query_path[-16:-4])
        main, index = image_id // 10 % 10, image_id % 10
        expected = np.zeros((40, 48), int)
        if index == 1:
            expected[20:36, 20:44] = 255
        expected[6:30, 4:30] = sample.class_ids.index(main) + 1
        if index == 0:
            expected[22:32, 22:32] = sample.class_ids.index(6 - main) + 1
        assert np.array_equal(sample.gt_sem_seg.data[0].numpy(), expected)
        assert sample.gt_presence.tolist() == [
            number == main or index == 0 for number in sample.class_ids]
        assert sample.support_masks.any(-1).any(-1).all()
        seen.add(index)
    assert seen == {0, 1, 2}


def test_training_items(tiny_coco_dataset: Build, coco_pipeline: Callable) -> None:
    """Every entry can be a query; with masks, the class is in every support's."""
    dataset = tiny_coco_dataset(
        split='trn', num_episodes=None, pipeline=coco_pipeline(True, True))
    assert len(dataset) == 24
    for query in range(24):
        sample = dataset[EpisodeKey(query, 5, True)]['data_samples']
        assert sample.gt_presence.tolist() == [True]
        assert sample.support_masks.any()


# ------------------------------------------------------------- files by their ids
def test_2017_names(own: Path, tiny_coco_dataset: Build, tiny_coco: Path,
                    coco_pipeline: Callable) -> None:
    """The 2014 lists on 2017 files, which are shared out otherwise: the same items."""
    before = tiny_coco_dataset(way=2, pipeline=coco_pipeline(True, True))
    images = sorted((own / 'coco').glob('*2014/*.jpg'))
    for release in ('train2017', 'val2017'):
        (own / 'coco' / release).mkdir()
    for number, path in enumerate(images):
        release = 'val2017' if number % 5 == 0 else 'train2017'
        path.rename(own / 'coco' / release / path.name.split('_')[-1])
    parts = [json.loads((own / VAL.replace('val', part)).read_text())
             for part in ('train', 'val')]
    whole = {key: parts[0][key] + parts[1][key] for key in ('images', 'annotations')}
    (own / 'coco/annotations/all.json').write_text(
        json.dumps(dict(whole, categories=parts[0]['categories'])))
    dataset = tiny_coco_dataset(
        own, way=2, pipeline=coco_pipeline(True, True),
        ann_files='coco/annotations/all.json')
    folders = set()
    for j in range(12):
        one, other = dataset[j], before[j]
        assert torch.equal(one['inputs']['query'], other['inputs']['query'])
        assert torch.equal(one['inputs']['support'], other['inputs']['support'])
        assert torch.equal(one['data_samples'].support_masks,
                           other['data_samples'].support_masks)
        folders.add(Path(one['data_samples'].query_path).parent.name)
    assert folders == {'train2017', 'val2017'}


def test_label_maps_are_no_images(
        own: Path, tiny_coco_dataset: Build, coco_pipeline: Callable) -> None:
    """COCO's panoptic and stuff PNGs have the images' names, in the same folder."""
    panoptic = own / 'coco/annotations/panoptic_val2017'
    panoptic.mkdir()
    for path in (own / 'coco/val2014').glob('*.jpg'):
        name = path.stem.split('_')[-1]
        Image.new('RGB', (48, 40)).save(panoptic / f'{name}.png')
    (panoptic / '.jpg').touch()
    (own / 'coco/readme.jpg').touch()
    dataset = tiny_coco_dataset(own, pipeline=coco_pipeline())
    for j in range(12):
        assert dataset[j]['data_samples'].query_path.endswith('.jpg')


def test_missing_image(own: Path, tiny_coco_dataset: Build) -> None:
    """The episode and the id are named, and the way out."""
    episode = tiny_coco_dataset().draw(0)
    next((own / 'coco/val2014').glob(f'*{episode.query}.jpg')).unlink()
    with pytest.raises(FileNotFoundError) as error:
        tiny_coco_dataset(own)
    for part in ('1 of ', 'Episode 0 needs image', f'coco/**/*{episode.query}.jpg',
                 VAL_LIST, 'restrict_to_existing'):
        assert part in str(error.value)


def test_missing_image_folder(own: Path, tiny_coco_dataset: Build) -> None:
    """The error names the folder and the setting."""
    with pytest.raises(FileNotFoundError, match="image folder '.*nowhere' does not "
                       'exist: set MMWSFS_DATA_ROOT or data_root and data_prefix'):
        tiny_coco_dataset(own, data_prefix=dict(img_path='nowhere'))


def test_image_without_annotations(own: Path, tiny_coco_dataset: Build) -> None:
    """An image in no annotation file has no mask; the files are named."""
    query = tiny_coco_dataset().draw(3).query
    content = json.loads((own / VAL).read_text())
    content['images'] = [i for i in content['images'] if i['id'] != int(query)]
    (own / VAL).write_text(json.dumps(content))
    with pytest.raises(FileNotFoundError) as error:
        tiny_coco_dataset(own)
    for part in ('needs annotations of image id', str(int(query)), VAL):
        assert part in str(error.value)
    tiny_coco_dataset(own, masks='none')


# ------------------------------------------------------------- bad annotation files
@pytest.mark.parametrize(('ann_files', 'kind', 'message'), [
    ([], ValueError, 'ann_files is empty: name COCO JSON files, or set masks='),
    (['coco/annotations/none.json'], FileNotFoundError, r'none\.json. does not exist'),
    (['splits/tiny/val/fold0.json.gz'], ValueError, 'json.gz. is no UTF-8 text'),
])
def test_bad_annotation_files(tiny_coco_dataset: Build, ann_files: list[str],
                              kind: type, message: str) -> None:
    """They are found when the dataset is made."""
    with pytest.raises(kind, match=message):
        tiny_coco_dataset(ann_files=ann_files)


def test_bad_segmentation(own: Path, tiny_coco_dataset: Build,
                          coco_pipeline: Callable) -> None:
    """Found when the image is read: episode, image, file and annotation are named."""
    content = json.loads((own / VAL).read_text())
    for annotation in content['annotations']:
        annotation['segmentation'] = [[0, 0, 100, 0, 5, 5]]
    (own / VAL).write_text(json.dumps(content))
    dataset = tiny_coco_dataset(own, pipeline=coco_pipeline())
    with pytest.raises(RuntimeError) as error:
        dataset[4]
    for part in ('episode 4, image', 'val2014/COCO_val2014_', VAL, 'annotation 200',
                 'reaches (100, 0), outside its image of 48x40 pixels'):
        assert part in str(error.value)


def test_image_of_another_size(own: Path, tiny_coco_dataset: Build,
                               coco_pipeline: Callable) -> None:
    """A resized copy of COCO does not fit the annotations."""
    for path in (own / 'coco/val2014').glob('*.jpg'):
        Image.new('RGB', (24, 20)).save(path)
    dataset = tiny_coco_dataset(own, pipeline=coco_pipeline())
    with pytest.raises(RuntimeError, match=r'says that the image is \(40, 48\), but it '
                       r'is \(20, 24\) pixels'):
        dataset[0]


# ------------------------------------------------------------- bad lists
@pytest.mark.parametrize(('change', 'message'), [
    ({'2': ['val2014/COCO_val2014_000000000230.jpg']},
     r'names images for class index 2, which is not in this split .* holds \[0, 4\]'),
    ({'80': ['val2014/COCO_val2014_000000000230.jpg']}, 'class index 80, which is not'),
    ({'-1': ['000000000230.jpg']}, 'class index -1, which is not in this split'),
    ({'0': ['val2014/cat.jpg']}, r"image 'val2014/cat\.jpg' does not end with a COCO"),
    ({'0': 'val2014/1.jpg'}, 'does not give class index 0 a list of image files'),
    ({'0': [7]}, 'does not give class index 0 a list of image files'),
    ({'ant': []}, 'is damaged or no gzipped JSON of class index -> image files'),
])
def test_bad_list(own: Path, tiny_coco_dataset: Build, change: dict,
                  message: str) -> None:
    """The error names the list and the fault."""
    write_list(own / VAL_LIST, {**read_list(own / VAL_LIST), **change})
    with pytest.raises(ValueError, match=rf"split list '.*{VAL_LIST}.*{message}"):
        tiny_coco_dataset(own)


@pytest.mark.parametrize('indices', [['0'], ['0', '4']])
def test_too_few_images(
        own: Path, tiny_coco_dataset: Build, indices: list[str]) -> None:
    """Published code loops for ever here."""
    content = read_list(own / VAL_LIST)
    write_list(own / VAL_LIST, {**content, **{index: content[index][:1] * 3
                                              for index in indices}})
    with deadline(), pytest.raises(
            ValueError, match=rf"class 1 \('ant'\) has 1 images in '.*{VAL_LIST}', but "
            '1-shot episodes need at least 2'):
        tiny_coco_dataset(own)


def test_shot_larger_than_a_class(tiny_coco_dataset: Build) -> None:
    """Four images a class give three shots."""
    with deadline():
        assert len(set(tiny_coco_dataset(shot=3).draw(2).supports[0])) == 3
        with pytest.raises(ValueError, match='4 images .* 4-shot .* at least 5'):
            tiny_coco_dataset(shot=4)


def test_missing_list(tiny_coco_dataset: Build) -> None:
    """The error names the list and the converter."""
    with pytest.raises(FileNotFoundError, match=r'fold0\.json\.gz. does not exist.*'
                       r'dataset_converters/coco20i\.py'):
        tiny_coco_dataset(lists='splits/none')


# ------------------------------------------------------------- image-level labels
def test_image_level_training_opens_no_annotation_file(
        own: Path, tiny_coco_dataset: Build, coco_pipeline: Callable,
        monkeypatch: pytest.MonkeyPatch) -> None:
    """No mask is ever read: the files may be named, but need not be there."""
    settings = dict(split='trn', masks='none', pipeline=coco_pipeline(False))
    before = tiny_coco_dataset(own, **settings)[3]
    shutil.rmtree(own / 'coco/annotations')
    opened = []
    real = builtins.open
    for module in (builtins, io):
        monkeypatch.setattr(module, 'open', lambda file, *args, **kwargs: opened.append(
            str(file)) or real(file, *args, **kwargs))
    dataset = tiny_coco_dataset(own, **settings)
    item = dataset[3]
    assert torch.equal(item['inputs']['query'], before['inputs']['query'])
    assert item['data_samples'].gt_presence.dtype == torch.bool
    assert 'gt_sem_seg' not in item['data_samples']
    assert any(file.endswith('.jpg') for file in opened)
    assert not any('annotations' in file for file in opened)
    with pytest.raises(FileNotFoundError, match=r'instances_train2014\.json'):
        tiny_coco_dataset(own, split='trn')


def test_presence_of_lists(tiny_coco_dataset: Build, coco_pipeline: Callable) -> None:
    """Without masks an image shows the classes that the lists name it for."""
    dataset = tiny_coco_dataset(
        way=2, masks='none', pipeline=coco_pipeline(False))
    both = 0
    for j in range(12):
        sample = dataset[j]['data_samples']
        image_id = int(sample.query_path[-16:-4])
        main, index = image_id // 10 % 10, image_id % 10
        assert sample.gt_presence.tolist() == [
            number == main or index == 0 for number in sample.class_ids]
        both += sample.gt_presence.all().item()
    assert 0 < both < 12


# ------------------------------------------------------------- configs
@pytest.fixture
def coco_config(monkeypatch: pytest.MonkeyPatch, shared_data: Path
                ) -> Callable[..., Config]:
    """Reads a config, restricted to the real images that are there."""
    def read(name: str, root: Path = shared_data, **environment: str) -> Config:
        for key in ('FOLD', 'WAY', 'SHOT', 'PROTOCOL', 'SPLITS'):
            monkeypatch.setenv(f'MMWSFS_{key}', '')
            monkeypatch.delenv(f'MMWSFS_{key}')
        monkeypatch.setenv('MMWSFS_DATA_ROOT', str(root))
        for key, value in environment.items():
            monkeypatch.setenv(f'MMWSFS_{key}', value)
        cfg = Config.fromfile(REPO / 'configs' / name)
        for split in ('train', 'val', 'test'):
            cfg[f'{split}_dataloader'].dataset.restrict_to_existing = True
        return cfg
    monkeypatch.setattr(entry_list, 'print_log', lambda line, *args: None)
    return read


@pytest.mark.parametrize(('name', 'size'), [
    ('vit-s_coco20i_1shot', 400), ('dinov2-vit-s_coco20i_1shot', 392)])
@pytest.mark.parametrize('pixel', [False, True])
def test_configs(coco_config: Callable, name: str, size: int, pixel: bool) -> None:
    """All sets of all configs on real images and the published lists."""
    cfg = coco_config(f'wsfs/{name}{"_pixel" * pixel}.py', FOLD='1', WAY='2', SHOT='3')
    for split in ('train', 'val', 'test'):
        assert cfg[f'{split}_dataloader'].dataset.type == 'Coco20iDataset'
    assert cfg.test_dataloader.dataset.ann_files == [
        'coco/annotations/instances_val2014.json']
    for split in ('train', 'val', 'test'):
        if split != 'train' or pixel:
            cfg[f'{split}_dataloader'].dataset.ann_files = [SUBSET]
    train, val, test = (DATASETS.build(cfg[f'{split}_dataloader'].dataset)
                        for split in ('train', 'val', 'test'))
    assert (train.split, val.split, test.split) == ('trn', 'val', 'val')
    assert (val.way, val.shot, len(val)) == (1, 1, 1000)
    assert (test.way, test.shot, len(test)) == (2, 3, 1000)
    assert train.fold == val.fold == test.fold == 1
    assert all(number % 4 == 2 for number in test.class_ids)
    assert not set(train.class_ids) & set(range(2, 81, 4))
    sample = train[EpisodeKey(0, 1)]['data_samples']
    assert ('gt_sem_seg' in sample) == ('support_masks' in sample) == pixel
    item = test[0]
    sample = item['data_samples']
    assert item['inputs']['query'].shape == (3, size, size)
    assert item['inputs']['support'].shape == (2, 3, 3, size, size)
    assert sample.gt_sem_seg.data.shape[1:] == sample.ori_shape
    assert ('support_masks' in sample) == pixel


def test_image_level_config_trains_without_annotations(
        coco_config: Callable, shared_data: Path, tmp_path: Path) -> None:
    """The image-level config really asks for no annotation file in training."""
    (tmp_path / 'coco').mkdir()
    (tmp_path / 'coco/images').symlink_to(shared_data / 'coco/images')
    (tmp_path / 'splits').symlink_to(shared_data / 'splits')
    cfg = coco_config('wsfs/vit-s_coco20i_1shot.py', tmp_path)
    train = DATASETS.build(cfg.train_dataloader.dataset)
    assert train[0]['inputs']['query'].shape == (3, 400, 400)
    with pytest.raises(FileNotFoundError, match='instances_val2014.json'):
        DATASETS.build(cfg.test_dataloader.dataset)


@pytest.mark.parametrize('name', ['coco20i', 'pascal5i'])
def test_protocol_of_configs(coco_config: Callable, name: str) -> None:
    """FS-S is tested with its queries and its void rule; validation stays FS-CS."""
    path = f'_base_/datasets/{name}.py'
    for protocol, void in (('FS-CS', 'background'), ('FS-S', 'ignored')):
        cfg = coco_config(path, PROTOCOL=protocol)
        assert cfg.test_dataloader.dataset.protocol == protocol
        assert cfg.test_evaluator.void == void
        assert 'protocol' not in cfg.val_dataloader.dataset
        assert cfg.val_evaluator.void == 'background'
    assert coco_config(path).test_dataloader.dataset.protocol == 'FS-CS'


# ------------------------------------------------------------- real images
@pytest.mark.parametrize('fold', range(4))
def test_real_items(fold: int, shared_data: Path, coco_pipeline: Callable,
                    monkeypatch: pytest.MonkeyPatch) -> None:
    """The published lists, as far as there are images; labels by plain JSON."""
    log: list[str] = []
    monkeypatch.setattr(
        entry_list, 'print_log', lambda line, *args: log.append(line))
    dataset = Coco20iDataset(
        data_root=str(shared_data), lists='splits/coco20i', fold=fold, split='val',
        way=2, ann_files=[SUBSET], restrict_to_existing=True, num_episodes=1000,
        pipeline=coco_pipeline(True, True, 48))
    content = json.loads((shared_data / SUBSET).read_text())
    there = {image['id'] for image in content['images']}
    listed = [
        (int(index) + 1, file[-16:-4])
        for index, files in read_list(
            shared_data / f'splits/coco20i/val/fold{fold}.json.gz').items()
        for file in files]
    kept = [(n, name) for n, name in listed if int(name) in there]
    counts = {n: sum(n == other for other, _ in kept) for n in range(1, 81)}
    assert dataset.class_ids == [n for n in counts if counts[n] > 1]
    assert [(e['class_id'], e['name']) for e in dataset.data_list] == [
        (n, name) for n, name in kept if counts[n] > 1]
    assert f'{len(dataset.data_list)} of {len(listed)} entries' in log[0]
    assert f'{len(dataset.class_ids)} of 20 classes' in log[0]

    names = {c['id']: c['name'] for c in content['categories']}
    shown: dict[int, set[str]] = {}
    for a in content['annotations']:
        if not a['iscrowd']:
            shown.setdefault(a['image_id'], set()).add(names[a['category_id']])
    for j in range(fold, 1000, 250):
        sample = dataset[j]['data_samples']
        for number, present in zip(sample.class_ids, sample.gt_presence.tolist()):
            name = dataset.metainfo['classes'][number - 1]
            # A small object may be hidden by smaller ones, but none appears.
            assert not present or name in shown[int(sample.query_path[-16:-4])]
        for number, paths in zip(sample.class_ids, sample.support_paths):
            name = dataset.metainfo['classes'][number - 1]
            assert all(name in shown[int(path[-16:-4])] for path in paths)
        assert sample.gt_sem_seg.data.shape[1:] == sample.ori_shape
