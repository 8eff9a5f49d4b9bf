"""object_size: test episodes by the size of the query's object."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmwsfs.datasets import Coco20iDataset, FewShotFolderDataset, Pascal5iDataset

Build = Callable[..., Pascal5iDataset]
MASKS = 'VOCdevkit/VOC2012/SegmentationClassAug'


@pytest.fixture
def build(shared_data: Path) -> Build:
    """Fold 1 of the subset, 150 episodes."""
    def call(**settings) -> Pascal5iDataset:
        return Pascal5iDataset(**{**dict(
            data_root=str(shared_data), lists='splits/pascal5i_subset', fold=1,
            split='val', pipeline=[], num_episodes=150), **settings})
    return call


def test_sizes_of_real_objects(build: Build, shared_data: Path) -> None:
    """By the mask files, read without the package; the subsets are disjoint."""
    whole = build()
    expected: dict[tuple, list] = {
        (0, 0.05): [], (0.05, 0.1): [], (0.1, 0.15): [], (0.15, 1): []}
    for j in range(150):
        entry = whole.data_list[j % len(whole.data_list)]
        with Image.open(shared_data / MASKS / f"{entry['name']}.png") as image:
            share = float(np.mean(np.array(image) == entry['class_id']))
        size, = (size for size in expected if size[0] <= share < size[1])
        expected[size].append(whole.draw(j))
    for size, episodes in expected.items():
        subset = build(object_size=size)
        assert len(episodes) > 3
        assert [subset.draw(j) for j in range(len(subset))] == episodes
    small = build(object_size=[0, 0.15])
    assert len(small) == sum(len(e) for s, e in expected.items() if s[1] <= 0.15)
    assert small.metainfo['episode_choice'] == 'objects of 0 to 15 % of the image'
    asked = [small.labels_of[e.query] & set(e.classes)
             for e in map(small.draw, range(len(small)))]
    assert any(asked) and not all(asked)  # with a target and without


def test_whole_images_are_objects_too(tmp_path: Path) -> None:
    """A mask file of one class, and 1 as the upper end."""
    for name in ('cat', 'dog'):
        for folder in ('images', 'masks'):
            (tmp_path / folder / name).mkdir(parents=True)
        for number, rows in enumerate((10, 4, 5)):
            Image.new('RGB', (10, 10)).save(tmp_path / f'images/{name}/{number}.jpg')
            mask = np.zeros((10, 10), np.uint8)
            mask[:rows] = 255
            Image.fromarray(mask).save(tmp_path / f'masks/{name}/{number}.png')

    def queries(*size: float) -> list[str]:
        dataset = FewShotFolderDataset(
            data_root=str(tmp_path), novel=['cat', 'dog'], split='val', pipeline=[],
            object_size=size)
        return [dataset.draw(j).query for j in range(len(dataset))]

    assert queries(0.5, 1) == [
        'cat/0.jpg', 'cat/2.jpg', 'dog/0.jpg', 'dog/2.jpg']
    assert queries(0.4, 0.5) == ['cat/1.jpg', 'dog/1.jpg']


def test_coco(tiny_coco_dataset: Callable[..., Coco20iDataset]) -> None:
    """By the annotations; the small object has a class of its own."""
    whole = tiny_coco_dataset(num_episodes=40)
    small = tiny_coco_dataset(num_episodes=40, object_size=(0, 0.06))
    own = [whole.episode_source.query(j) for j in range(40)]
    expected = [whole.draw(j) for j, entry in enumerate(own)  # 10x10 of 48x40 pixels
                if entry['name'][-2] != str(entry['class_id'])]
    assert [small.draw(j) for j in range(len(small))] == expected
    assert 0 < len(expected) < 40


def test_with_augmentation(build: Build) -> None:
    """Of a replaced query its own object counts."""
    whole = build(augmentation='full')
    parts = [build(augmentation='full', object_size=size)
             for size in ((0, 0.1), (0.1, 1))]
    assert sum(map(len, parts)) == len(whole)
    drawn = {part.draw(j) for part in parts for j in range(len(part))}
    assert drawn == {whole.draw(j) for j in range(150)}


@pytest.mark.parametrize('size', [
    (0.05, ), (0.1, 0.05), (-0.1, 0.5), (0, 5), (0.1, 0.1), (0, 0.1, 0.2)])
def test_wrong_sizes(build: Build, size: tuple) -> None:
    """Per cent among them."""
    with pytest.raises(ValueError, match='must be two shares of the image, 0 at least'):
        build(object_size=size)


def test_no_such_episode(tiny_dataset: Build) -> None:
    """It tells which sizes there are."""
    with pytest.raises(ValueError, match=r'none of 20 episodes has a query with such an'
                       r' object; they cover 0\.0\d\d to 0\.\d+ of their images'):
        tiny_dataset(object_size=(0.9, 1))


def test_missing_masks(
        tiny_dataset: Build, tiny_voc_without_masks: Path) -> None:
    """Queries have to carry masks."""
    with pytest.raises(ValueError, match="found from the masks of queries, but 'val_01_"
                       r"0' carries none \(masks='none'\): set masks='all'"):
        tiny_dataset(masks='none', object_size=(0, 0.5))
    with pytest.raises(FileNotFoundError, match='mask folder .* does not exist'):
        tiny_dataset(tiny_voc_without_masks, object_size=(0, 0.5))


@pytest.mark.parametrize('options', [
    dict(selection='base'), dict(augmentation='full'), dict(object_size=(0, 0.2)),
    dict(augmentation='partial', object_size=[0.05, 0.2])])
def test_episode_files(build: Build, tmp_path: Path, options: dict) -> None:
    """The head names options that are not the published ones; both sides must agree."""
    path, plain = tmp_path / 'chosen.json', tmp_path / 'plain.json'
    settings = dict(num_episodes=40)
    dataset = build(**settings, **options)
    dataset.export_episodes(path)
    head = json.loads(path.read_text())
    for key, value in options.items():
        assert head[key] == (list(value) if key == 'object_size' else value)
    replayed = build(episodes=str(path), **options)
    assert len(replayed) == len(dataset)
    assert [replayed.draw(j) for j in range(len(replayed))] == [
        dataset.draw(j) for j in range(len(dataset))]
    build(**settings).export_episodes(plain)
    assert not {'selection', 'augmentation', 'object_size'} & set(
        json.loads(plain.read_text()))
    key = next(iter(options))
    with pytest.raises(
            ValueError, match=f"has {key} .*, but this dataset .* set the dataset's "
            f"{key} to the file's; a file that names none has"):
        build(episodes=str(plain), **options)
    with pytest.raises(ValueError, match=f'has {key} .*, but this dataset'):
        build(episodes=str(path))


def test_replay_of_augmented_episodes_by_tags(build: Build, tmp_path: Path) -> None:
    """Photographs of base classes show none of the classes, by the lists."""
    path = tmp_path / 'episodes.json'
    settings = dict(masks='none', augmentation='full', num_episodes=30)
    build(**settings).export_episodes(path)
    assert len(build(**settings, episodes=str(path))) == 30
