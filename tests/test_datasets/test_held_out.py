"""selection='base': base classes on photographs that neither training nor test shows.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mmwsfs.datasets import Coco20iDataset, FewShotFolderDataset, Pascal5iDataset
from mmwsfs.datasets.few_shot_dataset import FewShotDataset
from mmwsfs.datasets.held_out import held_out_base

Build = Callable[..., FewShotDataset]


def images_of(dataset: FewShotDataset, episodes: int) -> set[str]:
    drawn = map(dataset.draw, range(episodes))
    return {name for e in drawn for name in (e.query, *sum(e.supports, ()))}


def assert_nothing_leaks(build: Build, novel: set[int]) -> None:
    """Neither a novel class, nor an image of training or test; every base class."""
    base = build(split='val', selection='base', num_episodes=400)
    test, training = build(split='val'), build(split='trn')
    classes = {number for j in range(400) for number in base.draw(j).classes}
    assert classes == set(base.class_ids) == set(base.metainfo['class_ids'])
    assert not classes & novel and not set(sum(
        map(list, base.labels_of.values()), [])) & novel
    shown = images_of(base, 400) | set(base.labels_of)
    assert not shown & set(training.labels_of)
    assert not shown & set(test.labels_of)
    assert set(base.class_ids) == set(training.class_ids)
    assert set(test.class_ids) == novel


@pytest.mark.parametrize('fold', range(4))
def test_nothing_leaks_on_pascal(shared_data: Path, fold: int) -> None:
    """By the published lists, whose images are not needed for this."""
    class Listed(Pascal5iDataset):
        def missing_files(self, names) -> dict:
            return {}

    assert_nothing_leaks(
        lambda **settings: Listed(
            data_root=str(shared_data), lists='splits/pascal5i', fold=fold,
            masks='none', pipeline=[], **settings),
        set(range(5 * fold + 1, 5 * fold + 6)))


def test_nothing_leaks_on_coco(shared_data: Path) -> None:
    """The same by COCO's, whose images mostly show several classes."""
    class Listed(Coco20iDataset):
        def missing_files(self, names) -> dict:
            return {}

    base = Listed(
        data_root=str(shared_data), lists='splits/coco20i', fold=0, masks='none',
        pipeline=[], split='val', selection='base', num_episodes=300)
    assert not {n for j in range(300) for n in base.draw(j).classes} & set(
        range(1, 81, 4))
    test = Listed(
        data_root=str(shared_data), lists='splits/coco20i', fold=0, masks='none',
        pipeline=[], split='val', num_episodes=1)
    assert not set(base.labels_of) & set(test.labels_of)
    assert len(base.class_ids) == 60


def test_nothing_leaks_on_tiny_coco(tiny_coco_dataset: Build) -> None:
    """Against the training lists too."""
    assert_nothing_leaks(tiny_coco_dataset, {1, 5})


def test_masks_of_real_photographs(
        shared_data: Path, make_pipeline: Callable[..., list[dict]]) -> None:
    """Items are as in a test; novel classes in a photograph are background."""
    base = Pascal5iDataset(
        data_root=str(shared_data), lists='splits/pascal5i_subset', fold=2,
        split='val', selection='base', num_episodes=20,
        pipeline=make_pipeline(query_mask=True))
    present = 0
    for j in range(20):
        sample = base[j]['data_samples']
        assert set(sample.gt_sem_seg.data.unique().tolist()) <= {0, 1, 255}
        present += int(sample.gt_presence)
    assert 4 < present < 16


def test_the_first_episodes_are_of_all_folds(tiny_dataset: Build) -> None:
    """The order is shuffled, and the same however the lists are ordered."""
    dataset = tiny_dataset(selection='base', fold=1)
    first = [entry['class_id'] for entry in dataset.data_list[:12]]
    assert {(number - 1) // 5 for number in first} == {0, 2, 3}
    base, rest = [('a', 1), ('b', 2), ('c', 1), ('a', 2), ('n', 1)], ([('n', 9)], [])
    assert held_out_base(base, *rest, 'L') == held_out_base(base[::-1], *rest, 'L')
    assert sorted(held_out_base(base, *rest, 'L')) == [
        ('a', 1), ('a', 2), ('b', 2), ('c', 1)]


def test_images_that_training_sees(tiny_voc: Path, tiny_dataset: Build,
                                   tmp_path: Path) -> None:
    """Lists of one's own that share images are refused."""
    shutil.copytree(tiny_voc / 'splits/tiny', tmp_path / 'lists')
    path = tmp_path / 'lists/trn/fold2.txt'
    path.write_text(path.read_text() + 'val_11_1__11\n')
    with pytest.raises(ValueError, match=r'but 1 images of .*val/fold\*\.txt. are in '
                       "the trn lists as well, the first 'val_11_1'"):
        tiny_dataset(selection='base', lists=str(tmp_path / 'lists'))
    # In the fold that is held out they are not trained on.
    tiny_dataset(selection='base', lists=str(tmp_path / 'lists'), fold=2)


def test_only_photographs_of_the_test() -> None:
    """Nothing that is left is told."""
    with pytest.raises(ValueError, match="all that 'L' names for base classes are"):
        held_out_base([('a', 1)], [('a', 9)], [], 'L')


def test_data_without_held_out_photographs(tmp_path: Path) -> None:
    """One's own folders are trained on whole."""
    for name in ('cat', 'dog'):
        (tmp_path / 'images' / name).mkdir(parents=True)
        (tmp_path / 'images' / name / '1.jpg').touch()
    for setting in (dict(selection='base'), dict(augmentation='full')):
        with pytest.raises(ValueError, match='a FewShotFolderDataset trains on all'):
            FewShotFolderDataset(
                data_root=str(tmp_path), novel='cat', split='val', masks='none',
                pipeline=[], **setting)
