"""augmentation: queries without a target that are photographs of base classes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mmwsfs.datasets import EpisodeKey, Pascal5iDataset

Build = Callable[..., Pascal5iDataset]


@pytest.fixture
def build(shared_data: Path) -> Build:
    """Fold 1 of the subset, 300 episodes."""
    def call(**settings) -> Pascal5iDataset:
        return Pascal5iDataset(**{**dict(
            data_root=str(shared_data), lists='splits/pascal5i_subset', fold=1,
            split='val', pipeline=[], num_episodes=300), **settings})
    return call


@pytest.mark.parametrize(('augmentation', 'low', 'high'), [
    ('partial', 0.35, 0.65), ('full', 1, 1)])
@pytest.mark.parametrize('way', [1, 2])
def test_only_queries_without_a_target(
        build: Build, augmentation: str, low: float, high: float, way: int) -> None:
    """All else stays; the new queries are those of the base selection."""
    published = build(way=way)
    dataset = build(way=way, augmentation=augmentation)
    others = build(selection='base').labels_of
    without = replaced = 0
    for j in range(300):
        old, new = published.draw(j), dataset.draw(j)
        assert (new.classes, new.supports) == (old.classes, old.supports)
        if published.labels_of[old.query] & set(old.classes):
            assert new == old
            continue
        without += 1
        if new.query != old.query:
            replaced += 1
            assert new.query in others
            assert new.query not in published.labels_of
    assert without > 50 and low <= replaced / without <= high


def test_partly_is_a_part_of_fully(build: Build) -> None:
    """The same photograph wherever both replace; a number alone says which."""
    full, partial, published = (
        build(augmentation=name) for name in ('full', 'partial', 'none'))
    for j in (299, 5, *range(40)):
        assert partial.draw(j).query in (full.draw(j).query, published.draw(j).query)
        assert partial.draw(j) == build(augmentation='partial', num_episodes=j + 1
                                        ).draw(j)
    key = EpisodeKey(3, 8)
    assert full.draw(key) == published.draw(key)


def test_presence_of_a_replaced_query(
        build: Build, make_pipeline: Callable[..., list[dict]]) -> None:
    """It is absent, by its mask and without one."""
    settings = dict(num_episodes=20, augmentation='full')
    published = build(num_episodes=20)
    masked = build(pipeline=make_pipeline(query_mask=True), **settings)
    tagged = build(pipeline=make_pipeline(), masks='none', **settings)
    new = [j for j in range(20) if masked.draw(j) != published.draw(j)]
    assert new
    for j in new:
        assert not tagged[j]['data_samples'].gt_presence.any()
        assert not masked[j]['data_samples'].gt_presence.any()


def test_restricted(build: Build) -> None:
    """Of the published lists a few photographs exist here."""
    dataset = build(
        lists='splits/pascal5i', restrict_to_existing=True, augmentation='full')
    assert set(dataset.draw(j).query for j in range(300)) - set(dataset.labels_of)


def test_no_other_photographs(tiny_voc: Path, tiny_dataset: Build,
                              tmp_path: Path) -> None:
    """Where only those of the fold exist."""
    for folder in ('JPEGImages', 'SegmentationClassAug'):
        target = tmp_path / 'VOCdevkit/VOC2012' / folder
        target.mkdir(parents=True)
        for path in (tiny_voc / 'VOCdevkit/VOC2012' / folder).glob('val_0[1-5]_*'):
            (target / path.name).symlink_to(path)
    (tmp_path / 'splits').symlink_to(tiny_voc / 'splits')
    with pytest.raises(ValueError, match="augmentation='full' finds no photograph of"):
        tiny_dataset(tmp_path, augmentation='full', restrict_to_existing=True)
    with pytest.raises(FileNotFoundError, match="Episode . needs image .*/val_"):
        tiny_dataset(tmp_path, augmentation='full')


@pytest.mark.parametrize('settings', [dict(protocol='FS-S'), dict(selection='base')])
def test_nothing_to_choose(build: Build, settings: dict) -> None:
    """It goes with FS-CS and novel classes alone."""
    with pytest.raises(ValueError, match="augmentation='full' chooses queries without"):
        build(augmentation='full', **settings)


@pytest.mark.parametrize(('settings', 'message'), [
    (dict(selection='all'), "unknown selection 'all': choose one of"),
    (dict(augmentation='half'), "unknown augmentation 'half': choose one of"),
    (dict(split='trn', augmentation='full'), "'trn' has no augmentation: these"),
    (dict(split='trn', selection='base', object_size=(0, 1)),
     "split 'trn' has no selection nor object_size: these choose"),
])
def test_wrong_options(build: Build, settings: dict, message: str) -> None:
    """Named, with the mend."""
    with pytest.raises(ValueError, match=message):
        build(**settings)
