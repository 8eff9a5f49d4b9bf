"""Pascal5iDataset: episodes, items and errors."""
from __future__ import annotations

import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path

import mmengine.fileio
import numpy as np
import pytest
import torch
from deadline import deadline
from mmengine.config import Config
from PIL import Image

from mmwsfs.datasets import EpisodeKey, Pascal5iDataset
from mmwsfs.registry import DATASETS

REPO = Path(__file__).parents[2]
IMAGES = 'VOCdevkit/VOC2012/JPEGImages'
MASKS = 'VOCdevkit/VOC2012/SegmentationClassAug'
Build = Callable[..., Pascal5iDataset]


def true_classes(path: Path) -> set[int]:
    """Classes in a mask, read without the package."""
    with Image.open(path) as image:
        return set(np.unique(np.array(image)).tolist()) - {0, 255}


@pytest.fixture
def own_lists(tiny_voc: Path, tmp_path: Path) -> Path:
    """``tiny_voc`` with lists that the test may change."""
    shutil.copytree(tiny_voc / 'splits', tmp_path / 'own/splits')
    (tmp_path / 'own/VOCdevkit').symlink_to(tiny_voc / 'VOCdevkit')
    return tmp_path / 'own'


@pytest.fixture
def own_files(tiny_voc: Path, tmp_path: Path) -> Path:
    """``tiny_voc`` with the files of fold 0, val, that the test may change."""
    for folder in (IMAGES, MASKS):
        (tmp_path / 'own' / folder).mkdir(parents=True)
        for path in (tiny_voc / folder).glob('val_0[1-5]_*'):
            shutil.copy(path, tmp_path / 'own' / folder)
    (tmp_path / 'own/splits').symlink_to(tiny_voc / 'splits')
    return tmp_path / 'own'


# ------------------------------------------------------------- the published draw
def restated(entries: list[tuple[str, int]], novel: list[int], j: int, way: int,
             shot: int) -> tuple[str, tuple, tuple]:
    """Episode j as the protocol states it: query, classes, supports."""
    rng = np.random.RandomState(j)
    query, query_class = entries[j % len(entries)]
    p = np.ones(len(novel)) / 2 / (len(novel) - 1)
    p[novel.index(query_class)] = 1 / 2
    classes = rng.choice(novel, way, replace=False, p=p)
    supports = []
    for number in classes:
        pool = [name for name, other in entries if other == number]
        taken: list[str] = []
        while len(taken) != shot:
            name = str(rng.choice(pool, 1, replace=False)[0])
            if name != query and name not in taken:
                taken.append(name)
        supports.append(tuple(taken))
    return query, tuple(classes.tolist()), tuple(supports)


@pytest.mark.parametrize('fold', range(4))
def test_draw_follows_the_published_recipe(shared_data: Path, fold: int) -> None:
    """``draw(j)`` is the protocol's test episode j, past the list's end as well."""
    lists = shared_data / 'splits/pascal5i_subset'
    text = (lists / f'val/fold{fold}.txt').read_text()
    entries = [(line.split('__')[0], int(line.split('__')[1])) for line in text.split()]
    for way, shot in ((1, 1), (2, 1), (1, 5), (2, 5)):
        dataset = Pascal5iDataset(
            data_root=str(shared_data), lists=str(lists), fold=fold, split='val',
            way=way, shot=shot, num_episodes=1000, masks='none', pipeline=[])
        assert len(dataset) == 1000
        for j in range(fold, 1000, 23):
            episode = dataset.draw(j)
            assert (episode.query, episode.classes, episode.supports) == restated(
                entries, list(range(5 * fold + 1, 5 * fold + 6)), j, way, shot)


# ------------------------------------------------------------- real images
@pytest.mark.parametrize('fold', range(4))
def test_real_val_items(
        shared_data: Path, fold: int, make_pipeline: Callable[..., list[dict]]) -> None:
    """Real test episodes: shapes as documented, labels as in the masks."""
    dataset = Pascal5iDataset(
        data_root=str(shared_data), lists='splits/pascal5i_subset', fold=fold,
        split='val', way=2, shot=5, pipeline=make_pipeline(True, True, 48))
    lines = (shared_data / f'splits/pascal5i_subset/val/fold{fold}.txt').read_text()
    assert len(dataset) == len(lines.split())
    for j in range(0, len(dataset), len(dataset) // 3):
        item = dataset[j]
        sample = item['data_samples']
        assert item['inputs']['query'].shape == (3, 48, 48)
        assert item['inputs']['support'].shape == (2, 5, 3, 48, 48)
        assert item['inputs']['support'].dtype == torch.uint8
        assert sample.support_masks.shape == (2, 5, 48, 48)
        query = Path(sample.query_path)
        with Image.open(query) as image:
            size = image.size[::-1]
        assert sample.ori_shape == size and sample.img_shape == (48, 48)
        assert sample.gt_sem_seg.data.shape == (1, *size)
        assert set(sample.class_ids) <= set(range(5 * fold + 1, 5 * fold + 6))
        mask = shared_data / MASKS / f'{query.stem}.png'
        assert sample.gt_presence.tolist() == [
            number in true_classes(mask) for number in sample.class_ids]
        for number, paths in zip(sample.class_ids, sample.support_paths):
            for path in paths:
                assert path != str(query)
                assert number in true_classes(
                    shared_data / MASKS / f'{Path(path).stem}.png')


@pytest.mark.parametrize('fold', range(4))
def test_real_trn_items(
        shared_data: Path, fold: int, make_pipeline: Callable[..., list[dict]]) -> None:
    """Training reads the other folds alone: no novel class is ever seen by label."""
    dataset = Pascal5iDataset(
        data_root=str(shared_data), lists='splits/pascal5i_subset', fold=fold,
        split='trn', masks='none', pipeline=make_pipeline())
    novel = set(range(5 * fold + 1, 5 * fold + 6))
    base = set(range(1, 21)) - novel
    assert set(dataset.class_ids) == set(dataset.metainfo['class_ids']) == base
    assert {entry['class_id'] for entry in dataset.data_list} == base
    counts = {0: 37, 1: 273, 2: 331, 3: 203}
    assert len(dataset) == sum(n for other, n in counts.items() if other != fold)
    drawn = {number for j in range(300) for number in dataset.draw(j).classes}
    assert drawn == base
    item = dataset[EpisodeKey(5, 77)]
    assert item['inputs']['query'].shape == (3, 32, 32)
    assert item['inputs']['support'].shape == (1, 1, 3, 32, 32)
    assert 'gt_sem_seg' not in item['data_samples']
    assert 'support_masks' not in item['data_samples']


def test_real_list_labels_are_in_the_masks(shared_data: Path) -> None:
    """The class that a list gives to an image is in its mask: numbers agree."""
    for fold in range(4):
        dataset = Pascal5iDataset(
            data_root=str(shared_data), lists='splits/pascal5i_subset', fold=fold,
            split='val', pipeline=[])
        for name, classes in dataset.labels_of.items():
            assert classes <= true_classes(shared_data / MASKS / f'{name}.png')


# ------------------------------------------------------------- the tiny dataset
@pytest.mark.parametrize(('split', 'entries'), [('val', 20), ('trn', 60)])
def test_length(tiny_dataset: Build, split: str, entries: int) -> None:
    """One episode an entry, unless a number of episodes is asked for."""
    assert len(tiny_dataset(split=split)) == entries
    assert len(tiny_dataset(split=split, num_episodes=7)) == 7
    assert len(tiny_dataset(split=split, num_episodes=1000)) == 1000


def test_metainfo(tiny_dataset: Build) -> None:
    """The metric and the visualizer read these."""
    metainfo = tiny_dataset(fold=2, way=2).metainfo
    assert metainfo['class_ids'] == [11, 12, 13, 14, 15]
    assert (metainfo['fold'], metainfo['way'], metainfo['shot']) == (2, 2, 1)
    assert len(metainfo['classes']) == len(metainfo['palette']) == 20
    assert metainfo['classes'][0] == 'aeroplane'
    assert metainfo['classes'][19] == 'tvmonitor'


def test_number_and_key_agree(tiny_dataset: Build) -> None:
    """Number j means the j-th entry, modulo the list, with seed j."""
    dataset = tiny_dataset(way=2)
    for j in (0, 19, 20, 47):
        episode = dataset.draw(j)
        assert episode == dataset.draw(EpisodeKey(j % 20, j))
        assert episode.query == dataset.data_list[j % 20]['name']
    assert dataset.draw(EpisodeKey(3, 3)) != dataset.draw(EpisodeKey(3, 4))


def test_items_do_not_depend_on_order(
        tiny_dataset: Build, make_pipeline: Callable[..., list[dict]]) -> None:
    """An episode is the same whatever was drawn before, and whatever NumPy's seed."""
    pipeline = make_pipeline(True, True)
    first, second = (tiny_dataset(way=2, pipeline=pipeline) for _ in range(2))
    forward = [first[j] for j in range(6)]
    np.random.seed(5)
    backward = [second[j] for j in reversed(range(6))][::-1]
    for one, other in zip(forward, backward):
        for key in ('query', 'support'):
            assert torch.equal(one['inputs'][key], other['inputs'][key])
        one, other = one['data_samples'], other['data_samples']
        assert one.class_ids == other.class_ids
        assert torch.equal(one.gt_sem_seg.data, other.gt_sem_seg.data)
        assert torch.equal(one.support_masks, other.support_masks)


def test_present_and_absent_keys(tiny_dataset: Build) -> None:
    """A key can ask for the query's own class, or for one that it does not show."""
    dataset = tiny_dataset()
    for query in range(20):
        entry = dataset.data_list[query]
        for seed in range(5):
            present = dataset.draw(EpisodeKey(query, seed, True))
            absent = dataset.draw(EpisodeKey(query, seed, False))
            assert present.classes == (entry['class_id'], )
            assert absent.classes[0] not in dataset.labels_of[entry['name']]
            assert absent.classes[0] in dataset.class_ids
            assert present.query == absent.query == entry['name']


def test_absent_key_of_an_image_with_every_class(own_lists: Path, tiny_dataset: Build
                                                 ) -> None:
    """Where nothing is absent the query's own class is taken."""
    path = own_lists / 'splits/tiny/val/fold0.txt'
    path.write_text(path.read_text() + ''.join(
        f'val_01_1__{number:02d}\n' for number in range(2, 6)))
    dataset = tiny_dataset(own_lists)
    query = next(i for i, entry in enumerate(dataset.data_list)
                 if entry == dict(name='val_01_1', class_id=1))
    assert dataset.draw(EpisodeKey(query, 0, False)).classes == (1, )


def test_list_labels_give_presence(
        tiny_dataset: Build, make_pipeline: Callable[..., list[dict]]) -> None:
    """Without masks an image shows the classes that the lists name it for."""
    dataset = tiny_dataset(
        masks='none', way=5, pipeline=make_pipeline())
    position = [entry['name'] for entry in dataset.data_list].index('val_03_0')
    sample = dataset[position]['data_samples']
    presence = dict(zip(sample.class_ids, sample.gt_presence.tolist()))
    assert presence == {1: False, 2: False, 3: True, 4: True, 5: False}


def test_without_masks_no_mask_is_opened(
        tiny_voc_without_masks: Path, tiny_dataset: Build,
        make_pipeline: Callable[..., list[dict]],
        monkeypatch: pytest.MonkeyPatch) -> None:
    """Image-level supervision: no mask file is needed, listed or read."""
    read = []
    get = mmengine.fileio.LocalBackend.get

    def spy(self, path) -> bytes:
        read.append(str(path))
        return get(self, path)

    monkeypatch.setattr(mmengine.fileio.LocalBackend, 'get', spy)
    kwargs = dict(split='trn', masks='none', pipeline=make_pipeline())
    dataset = tiny_dataset(**kwargs)
    before = [dataset[j] for j in range(8)]
    assert len(read) == 16 and all(path.endswith('.jpg') for path in read)
    dataset = tiny_dataset(tiny_voc_without_masks, **kwargs)
    for j in range(8):
        assert torch.equal(
            dataset[j]['inputs']['support'], before[j]['inputs']['support'])


def test_image_level_config_trains_without_masks(
        tiny_voc_without_masks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The image-level config really asks for no mask in training."""
    monkeypatch.setenv('MMWSFS_DATA_ROOT', str(tiny_voc_without_masks))
    monkeypatch.setenv('MMWSFS_SPLITS', 'tiny')
    for name in ('FOLD', 'WAY', 'SHOT'):
        monkeypatch.setenv(f'MMWSFS_{name}', '1')
    cfg = Config.fromfile(REPO / 'configs/wsfs/vit-s_pascal5i_1shot.py')
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    assert dataset.fold == 1
    item = dataset[0]
    assert item['inputs']['query'].shape == (3, 400, 400)
    assert 'support_masks' not in item['data_samples']
    with pytest.raises(FileNotFoundError, match='mask folder'):
        DATASETS.build(cfg.test_dataloader.dataset)


def test_names_composed_either_way(
        own_files: Path, tiny_dataset: Build, make_pipeline: Callable) -> None:
    """A list writes ü as one character, macOS the file's name as two."""
    lists = own_files / 'own_lists/val'
    lists.mkdir(parents=True)
    text = (own_files / 'splits/tiny/val/fold0.txt').read_text()
    (lists / 'fold0.txt').write_text(text.replace('val_01_1', 'ü'))
    for folder, suffix in ((IMAGES, 'jpg'), (MASKS, 'png')):
        (own_files / folder / f'val_01_1.{suffix}').rename(
            own_files / folder / unicodedata.normalize('NFD', f'ü.{suffix}'))
    dataset = tiny_dataset(
        own_files, lists='own_lists', pipeline=make_pipeline(True, True))
    index = dataset.data_list.index(dict(name='ü', class_id=1))
    sample = dataset[index]['data_samples']
    assert Path(sample.query_path).is_file() and 'gt_sem_seg' in sample


# ------------------------------------------------------------- bad input
@pytest.mark.parametrize(('kind', 'path'), [
    ('image', f'{IMAGES}/val_02_1.jpg'), ('mask', f'{MASKS}/val_02_1.png')])
def test_missing_file(
        own_files: Path, tiny_dataset: Build, kind: str, path: str) -> None:
    """A list that names a missing image or mask: count, episode, file, way out."""
    (own_files / path).unlink()
    with pytest.raises(FileNotFoundError) as error:
        tiny_dataset(own_files)
    for part in ('1 of 15 images', 'Episode', f"needs {kind} '{own_files / path}'",
                 'splits/tiny/val/fold', 'restrict_to_existing'):
        assert part in str(error.value)


def test_list_naming_an_unknown_image(own_lists: Path, tiny_dataset: Build) -> None:
    """A name that no file has is found before training starts."""
    path = own_lists / 'splits/tiny/trn/fold1.txt'
    path.write_text(path.read_text() + '2012_999999__06\n')
    with pytest.raises(FileNotFoundError, match=r"1 of 46 images .*2012_999999\.jpg'"):
        tiny_dataset(own_lists, split='trn', masks='none')


@pytest.mark.parametrize(('kind', 'folder'), [('image', IMAGES), ('mask', MASKS)])
def test_missing_folder(
        own_files: Path, tiny_dataset: Build, kind: str, folder: str) -> None:
    """The error names the folder and the setting."""
    shutil.rmtree(own_files / folder)
    with pytest.raises(
            FileNotFoundError,
            match=f"{kind} folder '.*{folder}' does not exist: set MMWSFS_DATA_ROOT"):
        tiny_dataset(own_files)


def test_missing_list(tiny_dataset: Build) -> None:
    """The error names the list and the converter."""
    with pytest.raises(
            FileNotFoundError, match=r"splits/none/val/fold0\.txt' does not exist"):
        tiny_dataset(lists='splits/none')


def test_empty_list(own_lists: Path, tiny_dataset: Build) -> None:
    """Training does not go on with fewer folds than it thinks."""
    (own_lists / 'splits/tiny/trn/fold2.txt').write_text('')
    with pytest.raises(ValueError, match=r"trn/fold2\.txt' is empty"):
        tiny_dataset(own_lists, split='trn')


@pytest.mark.parametrize(('line', 'message'), [
    ('val_02_1 02', r'val/fold0\.txt:21: .*name__class'),
    ('val_02_1__07', r'val/fold0\.txt:21: .*class 7, but this fold holds classes 1'),
])
def test_bad_line(
        own_lists: Path, tiny_dataset: Build, line: str, message: str) -> None:
    """A malformed line and a class out of the fold are named with their line."""
    path = own_lists / 'splits/tiny/val/fold0.txt'
    path.write_text(path.read_text() + line + '\n')
    with pytest.raises(ValueError, match=message):
        tiny_dataset(own_lists)


@pytest.mark.parametrize(('lines', 'count'), [([0], 1), ([0, 0, 0], 1), ([], 0)])
def test_class_with_too_few_images(
        own_lists: Path, tiny_dataset: Build, lines: list[int], count: int) -> None:
    """Published code loops for ever here; repeats of a name do not count."""
    path = own_lists / 'splits/tiny/val/fold0.txt'
    kept = [line for line in path.read_text().split() if not line.endswith('__04')]
    path.write_text('\n'.join(kept + ['val_04_0__04' for _ in lines]))
    with deadline(), pytest.raises(ValueError) as error:
        tiny_dataset(own_lists)
    for part in (f"class 4 ('boat') has {count} images", '1-shot', 'at least 2',
                 'splits/tiny/val'):
        assert part in str(error.value)


def test_shot_too_large(tiny_dataset: Build) -> None:
    """Four images a class give 3 shots and not 4; and nothing hangs."""
    with deadline():
        dataset = tiny_dataset(shot=3)
        assert all(len(set(dataset.draw(j).supports[0])) == 3 for j in range(20))
        with pytest.raises(ValueError, match='4 images .* 4-shot .* at least 5'):
            tiny_dataset(shot=4)


@pytest.mark.parametrize(('split', 'way', 'most'), [
    ('val', 6, 5), ('val', 0, 5), ('trn', 16, 15)])
def test_way_out_of_range(
        tiny_dataset: Build, split: str, way: int, most: int) -> None:
    """More ways than classes cannot be drawn."""
    with pytest.raises(ValueError, match=rf"way={way} is not in 1\.\.{most}.*{split}"):
        tiny_dataset(split=split, way=way)


@pytest.mark.parametrize('fold', [-1, 4])
def test_unknown_fold(tiny_dataset: Build, fold: int) -> None:
    """The error shows the choice."""
    with pytest.raises(ValueError, match=rf'unknown fold {fold}: choose one of 0\.\.3'):
        tiny_dataset(fold=fold)


def test_unknown_split(tiny_dataset: Build) -> None:
    """The error shows the choice."""
    with pytest.raises(ValueError, match="unknown split 'train': choose 'trn' or"):
        tiny_dataset(split='train')


def spoil(own_files: Path, tiny_dataset: Build, pipeline: list[dict],
          change: Callable[[Path, Path], None]) -> str:
    """Spoil a query's files and return the message of loading its episode, 6."""
    dataset = tiny_dataset(own_files, pipeline=pipeline)
    name = dataset.data_list[6]['name']
    assert dataset[6]['data_samples'].episode == 6
    change(own_files / IMAGES / f'{name}.jpg', own_files / MASKS / f'{name}.png')
    with pytest.raises(RuntimeError) as error:
        dataset[6]
    message = str(error.value)
    assert message.startswith('episode 6, image ')
    assert f'{IMAGES}/{name}.jpg' in message
    return message


def test_truncated_image(
        own_files: Path, tiny_dataset: Build,
        make_pipeline: Callable[..., list[dict]]) -> None:
    """The error names the episode and the file."""
    def truncate(image: Path, mask: Path) -> None:
        image.write_bytes(image.read_bytes()[:-200])
    message = spoil(own_files, tiny_dataset, make_pipeline(True), truncate)
    assert 'truncated' in message


def test_mask_with_unknown_labels(
        own_files: Path, tiny_dataset: Build,
        make_pipeline: Callable[..., list[dict]]) -> None:
    """Labels that are no class are named, not taken for background."""
    def relabel(image: Path, mask: Path) -> None:
        pixels = np.array(Image.open(mask))
        pixels[0, :2] = 21, 254
        Image.fromarray(pixels).save(mask)
    message = spoil(own_files, tiny_dataset, make_pipeline(True), relabel)
    assert f'{MASKS}/' in message
    assert 'unknown labels [21, 254]' in message and '255 (void)' in message


@pytest.mark.parametrize('mode', ['RGB', 'I;16'])
def test_mask_that_is_no_label_map(
        own_files: Path, tiny_dataset: Build, mode: str,
        make_pipeline: Callable[..., list[dict]]) -> None:
    """A coloured or a 16-bit mask is refused."""
    def recolour(image: Path, mask: Path) -> None:
        with Image.open(mask) as label:
            label.convert('RGB' if mode == 'RGB' else 'L').convert(mode).save(mask)
    message = spoil(own_files, tiny_dataset, make_pipeline(True), recolour)
    assert f'{MASKS}/' in message and 'is no label map' in message


@pytest.mark.parametrize('settings, message', [
    (dict(shot=0), 'shot=0'),
    (dict(num_episodes=0), 'num_episodes=0'),
    (dict(num_episodes=-3), 'num_episodes=-3'),
    (dict(fold='1'), "unknown fold '1'"),
])
def test_bad_numbers(tiny_dataset: Build, settings: dict, message: str) -> None:
    """Refused when the dataset is made, not met later."""
    with pytest.raises(ValueError, match=message):
        tiny_dataset(**settings)


def test_lazy_dataset_fails_the_same_way_twice(
        tiny_dataset: Build, tiny_voc_without_masks: Path) -> None:
    """A failed check leaves no half-made dataset."""
    dataset = tiny_dataset(tiny_voc_without_masks, lazy_init=True)
    for _ in range(2):
        with pytest.raises(FileNotFoundError, match='mask folder'):
            len(dataset)
