"""FewShotDataset: what all datasets of episodes share."""
from __future__ import annotations

import pickle
import shutil
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
import torch
from deadline import deadline
from mmengine.dataset import pseudo_collate
from PIL import Image
from torch.utils.data import DataLoader

from mmwsfs.datasets import EpisodeKey, entry_list
from mmwsfs.datasets.few_shot_dataset import FewShotDataset

IMAGES = 'VOCdevkit/VOC2012/JPEGImages'
MASKS = 'VOCdevkit/VOC2012/SegmentationClassAug'
Build = Callable[..., FewShotDataset]


class Listed(FewShotDataset):
    """Entries that a test gives, all there but those of ``lacking``."""

    METAINFO = dict(classes=('ant', 'bee', 'cat', 'dog'))

    def __init__(self, entries: list[tuple[str, int]], *, lacking: Iterable[str] = (),
                 **kwargs) -> None:
        self.entries = entries
        self.lacking = set(lacking)
        self.looked_at: list[str] = []
        super().__init__(**{**dict(split='val', pipeline=[]), **kwargs})

    def load_entries(self) -> list[tuple[str, int]]:
        return self.entries

    def split_classes(self) -> list[int]:
        return [1, 2, 4]

    def source(self) -> str:
        return 'the test'

    def missing_files(self, names: Iterable[str]) -> dict[str, str]:
        self.looked_at += names
        return {name: f"image '{name}.jpg'" for name in names if name in self.lacking}

    def image_info(self, name: str) -> dict:
        return dict(img_path=f'{name}.jpg')


def entries(*counts: int) -> list[tuple[str, int]]:
    """So many entries of class 1, 2 and 4: a0, a1, ..., b0, ..., d0, ..."""
    return [(f'{letter}{index}', number)
            for letter, number, count in zip('abd', (1, 2, 4), counts)
            for index in range(count)]


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The lines that the dataset logs."""
    lines: list[str] = []
    monkeypatch.setattr(
        entry_list, 'print_log', lambda line, *args: lines.append(line))
    return lines


# ------------------------------------------------------------- a child's part
def test_a_child_only_says_what_the_list_is() -> None:
    """Entries make episodes, labels and an item before its transforms."""
    dataset = Listed([*entries(3, 3, 3), ('a0', 4)], way=3, shot=2, num_episodes=20)
    assert len(dataset) == 20
    assert dataset.class_ids == dataset.metainfo['class_ids'] == [1, 2, 4]
    assert dataset.metainfo['protocol'] == 'FS-CS'
    assert dataset.metainfo['fold'] is None
    for j in range(20):
        episode = dataset.draw(j)
        assert episode.query == dataset.data_list[j % 10]['name']
        item = dataset[j]
        assert item['episode'] == j
        assert [[image['img_path'] for image in images] for images in item['supports']
                ] == [[f'{name}.jpg' for name in names] for names in episode.supports]
        own = {1, 4} if episode.query == 'a0' else {dict(entries(3, 3, 3))[
            episode.query]}
        assert item['query'] == dict(
            img_path=f'{episode.query}.jpg', labels=sorted(own), seg_fields=[])
        assert sorted(item['class_ids']) == [1, 2, 4]
        for number, images in zip(item['class_ids'], item['supports']):
            assert all(number in image['labels'] for image in images)


@pytest.mark.parametrize(('settings', 'message'), [
    (dict(split='test'), "unknown split 'test': choose 'trn' or 'val'"),
    (dict(protocol='FSS'), r"unknown protocol 'FSS': choose one of \('FS-CS', 'FS-S'"),
    (dict(shot=0), 'shot=0: an episode needs at least one support'),
    (dict(num_episodes=0), 'num_episodes=0: give at least 1'),
    (dict(way=0), r'way=0 is not in 1\.\.3'),
    (dict(way=4), r"way=4 is not in 1\.\.3, the number of classes in split 'val'"),
    (dict(shot=3), r"class 1 \('ant'\) has 3 images in 'the test', but 3-shot"),
])
def test_bad_settings(settings: dict, message: str) -> None:
    """Refused when the dataset is made, with the choice."""
    with deadline(), pytest.raises(ValueError, match=message):
        Listed(entries(3, 3, 3), **settings)


def test_numbered_episodes_check_their_own_images() -> None:
    """Testing looks for the images of its episodes, training for all entries'."""
    many = entries(30, 30, 30)
    dataset = Listed(many, num_episodes=2)
    used = {name for j in range(2)
            for name in (dataset.draw(j).query, *dataset.draw(j).supports[0])}
    assert set(dataset.looked_at) == used and len(used) < 5
    unused = next(name for name, _ in many if name not in used)
    Listed(many, num_episodes=2, lacking=[unused])
    with pytest.raises(FileNotFoundError) as error:
        Listed(many, num_episodes=2, lacking=used)
    for part in (f"{len(used)} of {len(used)} images that 'the test' asks for",
                 "Episode 0 needs image 'a0.jpg'", 'restrict_to_existing=True'):
        assert part in str(error.value)
    assert set(Listed(many, split='trn').looked_at) == dict(many).keys()
    with pytest.raises(FileNotFoundError, match="1 of 90 .* Entry 31 needs image 'b1"):
        Listed(many, split='trn', lacking=['b1'])


# ------------------------------------------------------------- FS-S
def restated_fs_s(dataset: FewShotDataset, query_class: int, j: int) -> list[int]:
    """FS-S classes of episode j where the query is drawn without the generator."""
    others = [n for n in dataset.class_ids if n != query_class]
    drawn = np.random.RandomState(j).choice(others, dataset.way - 1, replace=False)
    return [query_class, *drawn.tolist()]


@pytest.mark.parametrize('way', [1, 2, 3])
def test_fs_s_query_shows_the_first_way(way: int) -> None:
    """The first class is the query's entry's; all are distinct; seeds decide."""
    first, second = (
        Listed(entries(6, 6, 6), protocol='FS-S', way=way, shot=2) for _ in range(2))
    for j in range(40):
        episode = first.draw(j)
        own = first.data_list[j % 18]['class_id']
        assert list(episode.classes) == restated_fs_s(first, own, j)
        assert len(set(episode.classes)) == way
        assert episode.query not in sum(episode.supports, ())
        assert own in first[j]['query']['labels']
    np.random.seed(3)
    forward = [first.draw(j) for j in range(40)]
    assert forward == [second.draw(j) for j in reversed(range(40))][::-1]
    assert first.metainfo['protocol'] == 'FS-S'


def test_fs_s_other_ways_are_even() -> None:
    """The other classes are equally likely, unlike in FS-CS."""
    dataset = Listed(entries(6, 6, 6), protocol='FS-S', way=2, num_episodes=1800)
    pairs = Counter(dataset.draw(j).classes for j in range(1800))
    assert len(pairs) == 6
    for count in pairs.values():  # 300 expected, 4.4 sigma
        assert 240 < count < 360


def test_fs_s_in_training() -> None:
    """Keys of the training sampler follow the protocol as well."""
    dataset = Listed(entries(6, 6, 6), split='trn', protocol='FS-S', way=2)
    for query in range(18):
        own = dataset.data_list[query]['class_id']
        for seed in range(5):
            assert dataset.draw(EpisodeKey(query, seed)).classes[0] == own
            absent = dataset.draw(EpisodeKey(query, seed, False))
            assert own not in absent.classes


@pytest.mark.parametrize('fold', range(4))
def test_fs_s_on_real_masks(
        fold: int, shared_data: Path, tiny_dataset: Build,
        make_pipeline: Callable[..., list[dict]]) -> None:
    """The query's true mask has pixels of the first way."""
    dataset = tiny_dataset(
        shared_data, lists='splits/pascal5i_subset', fold=fold, way=2, protocol='FS-S',
        pipeline=make_pipeline(query_mask=True), num_episodes=1000)
    for j in range(fold, 1000, 199):
        sample = dataset[j]['data_samples']
        assert sample.gt_presence[0]
        with Image.open(shared_data / MASKS / f'{Path(sample.query_path).stem}.png'
                        ) as image:
            mask = np.array(image)
        assert (mask == sample.class_ids[0]).any()
        assert np.array_equal(sample.gt_sem_seg.data[0] == 1,
                              mask == sample.class_ids[0])


def test_fs_s_of_coco(tiny_coco_dataset: Build) -> None:
    """There the query is drawn first, from the same generator."""
    dataset = tiny_coco_dataset(protocol='FS-S', way=2, masks='none')
    for j in range(12):
        rng = np.random.RandomState(j)
        own = int(rng.choice([1, 5], 1, replace=False)[0])
        images = dataset.images_of[own]
        query = str(rng.choice(images, 1, replace=False)[0])
        other = int(rng.choice([6 - own], 1, replace=False)[0])
        episode = dataset.draw(j)
        assert (episode.query, episode.classes) == (query, (own, other))


# ------------------------------------------------------------- what exists
def test_restricted_to_what_exists(log: list[str]) -> None:
    """Entries without files go, then classes with fewer than K + 1 images."""
    listed = [*entries(4, 4, 4), ('a0', 2), ('b1', 1), ('d3', 4)]
    lacking = ['b0', 'd0', 'd1', 'a2']
    kept = [(name, number) for name, number in listed
            if name not in lacking and number != 4]
    dataset = Listed(listed, lacking=lacking, shot=2, way=2, restrict_to_existing=True)
    assert dataset.data_list == [dict(name=n, class_id=c) for n, c in kept]
    assert dataset.class_ids == dataset.metainfo['class_ids'] == [1, 2]
    assert dataset.labels_of['a0'] == {1, 2}
    line, = log
    assert line == (
        "split 'val' of 'the test' is restricted to what exists: 8 of 15 entries, 8 of "
        "12 images, 2 of 3 classes; fewer than 3 images left for class 4 ('dog')")
    for j in range(40):
        assert set(dataset.draw(j).classes) == {1, 2}
    log.clear()
    more = Listed(listed, lacking=lacking, shot=1, restrict_to_existing=True)
    assert more.class_ids == [1, 2, 4]
    assert '11 of 15 entries, 8 of 12 images, 3 of 3 classes' in log[0]
    assert log[0].endswith('fewer than 2 images left for none')


def test_restricted_to_everything(log: list[str]) -> None:
    """Where nothing is missing the episodes are the published ones."""
    plain, restricted = (Listed(entries(5, 4, 3), way=2, restrict_to_existing=flag)
                         for flag in (False, True))
    assert [plain.draw(j) for j in range(30)] == [
        restricted.draw(j) for j in range(30)]
    assert len(log) == 1 and '12 of 12 entries' in log[0]


def test_restricted_to_nothing(log: list[str]) -> None:
    """The error names a missing file, or says that the lists are too short."""
    with pytest.raises(ValueError) as error:
        Listed(entries(2, 2, 2), lacking=['a0', 'b0', 'd0'], restrict_to_existing=True)
    for part in ("nothing is left of split 'val' of 'the test'",
                 'no class has 2 images', "first missing is image 'a0.jpg'"):
        assert part in str(error.value)
    with pytest.raises(ValueError, match='nothing .* 3 images .* none: the lists'):
        Listed(entries(2, 2, 2), shot=2, restrict_to_existing=True)
    assert len(log) == 2


def test_restricted_files(tiny_voc: Path, tiny_dataset: Build, tmp_path: Path,
                          log: list[str], make_pipeline: Callable) -> None:
    """Real files: a missing mask matters where masks are read."""
    for folder in (IMAGES, MASKS):
        (tmp_path / folder).mkdir(parents=True)
        for path in (tiny_voc / folder).glob('val_0[1-5]_*'):
            shutil.copy(path, tmp_path / folder)
    (tmp_path / 'splits').symlink_to(tiny_voc / 'splits')
    (tmp_path / IMAGES / 'val_02_1.jpg').unlink()
    (tmp_path / MASKS / 'val_03_1.png').unlink()
    settings = dict(restrict_to_existing=True, way=2)
    masks = tiny_dataset(tmp_path, **settings, pipeline=make_pipeline(True, True))
    images = tiny_dataset(
        tmp_path, **settings, pipeline=make_pipeline(), masks='none')
    assert '18 of 20 entries, 13 of 15 images' in log[0]
    assert '19 of 20 entries, 14 of 15 images' in log[1]
    for dataset in (masks, images):
        for j in range(len(dataset)):
            assert dataset[j]['inputs']['support'].shape == (2, 1, 3, 32, 32)


# ------------------------------------------------------------- worker processes
def item_tensors(item: dict) -> dict[str, torch.Tensor]:
    """All of an item that a model or a metric reads."""
    sample = item['data_samples']
    return dict(
        item['inputs'], presence=sample.gt_presence, masks=sample.support_masks,
        truth=sample.gt_sem_seg.data, classes=torch.tensor(sample.class_ids),
        episode=torch.tensor(sample.episode))


@pytest.fixture(params=['pascal', 'coco'])
def with_all_masks(request: pytest.FixtureRequest, make_pipeline: Callable,
                   coco_pipeline: Callable) -> FewShotDataset:
    """A test dataset that reads all masks."""
    if request.param == 'pascal':
        return request.getfixturevalue('tiny_dataset')(
            way=2, num_episodes=12, pipeline=make_pipeline(True, True))
    return request.getfixturevalue('tiny_coco_dataset')(
        way=2, num_episodes=12, pipeline=coco_pipeline(True, True))


def assert_same_items(first: Iterable[dict], second: Iterable[dict]) -> None:
    first, second = list(first), list(second)
    assert len(first) == len(second) == 12
    for one, other in zip(first, second):
        one, other = item_tensors(one), item_tensors(other)
        assert one.keys() == other.keys()
        for name in one:
            assert torch.equal(one[name], other[name]), name


def test_worker_processes_give_the_same_items(with_all_masks: FewShotDataset) -> None:
    """Two persistent workers, two rounds: bit by bit what no worker gives."""
    def loader(workers: int) -> DataLoader:
        return DataLoader(
            with_all_masks, num_workers=workers, collate_fn=lambda items: items[0],
            persistent_workers=workers > 0)
    alone = list(loader(0))
    assert len(alone) == 12
    shared = loader(2)
    for _ in range(2):
        assert_same_items(shared, alone)


def test_batches_of_workers(with_all_masks: FewShotDataset) -> None:
    """MMEngine's collation of batches from workers."""
    batches = [
        list(DataLoader(with_all_masks, batch_size=5, num_workers=workers,
                        collate_fn=pseudo_collate)) for workers in (0, 2)]
    assert len(batches[0]) == len(batches[1]) == 3
    for one, other in zip(*batches):
        for key in ('query', 'support'):
            assert all(map(torch.equal, one['inputs'][key], other['inputs'][key]))


def test_pickled_dataset_gives_the_same_items(with_all_masks: FewShotDataset) -> None:
    """Where processes are spawned, not forked, they get a pickle."""
    copy = pickle.loads(pickle.dumps(with_all_masks))
    assert_same_items((copy[j] for j in range(12)),
                      (with_all_masks[j] for j in range(12)))
