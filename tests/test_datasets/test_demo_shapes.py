"""The synthetic demo dataset: layout, lists, masks, determinism."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmwsfs.datasets.demo_shapes import DEMO_CLASSES, make_demo_shapes

COUNTS = {'trn': 10, 'val': 5}
SIZE = 96


def _make(root: Path, seed: int = 0) -> Path:
    make_demo_shapes(root, seed=seed, train_images=COUNTS['trn'],
                     val_images=COUNTS['val'], size=SIZE)
    return root


@pytest.fixture(scope='module')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _make(tmp_path_factory.mktemp('demo') / 'some' / 'data')


def _files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes()
            for path in root.rglob('*') if path.is_file()}


def _pairs(root: Path, split: str, fold: int) -> list[tuple[str, int]]:
    text = (root / 'splits' / 'demo' / split / f'fold{fold}.txt').read_text()
    lines = text.splitlines()
    assert lines == sorted(lines)
    assert all(len(line.split('__')[1]) == 2 for line in lines)
    return [(line.split('__')[0], int(line.split('__')[1])) for line in lines]


def _mask(root: Path, name: str) -> np.ndarray:
    folder = root / 'VOCdevkit' / 'VOC2012' / 'SegmentationClassAug'
    with Image.open(folder / f'{name}.png') as image:
        assert image.mode == 'P'
        return np.array(image)


def test_classes_have_distinct_names() -> None:
    assert len(DEMO_CLASSES) == len(set(DEMO_CLASSES)) == 20


def test_layout_and_counts(root: Path) -> None:
    voc = root / 'VOCdevkit' / 'VOC2012'
    images = sorted(path.stem for path in (voc / 'JPEGImages').glob('*.jpg'))
    masks = sorted(path.stem for path in (voc / 'SegmentationClassAug').glob('*.png'))
    assert images == masks
    assert len(images) == 4 * sum(COUNTS.values())
    assert len(_files(root)) == 2 * len(images) + 8
    assert [path.name for path in root.parent.iterdir()] == [root.name]
    for name in images:
        with Image.open(voc / 'JPEGImages' / f'{name}.jpg') as image:
            assert (image.size, image.mode) == ((SIZE, SIZE), 'RGB')


def test_lists_agree_with_masks(root: Path) -> None:
    listed: set[str] = set()
    for split, count in COUNTS.items():
        for fold in range(4):
            pairs = _pairs(root, split, fold)
            names = {name for name, _ in pairs}
            assert len(names) == count
            assert not names & listed  # splits and folds share no image
            listed |= names
            shown = {(name, int(number)) for name in names
                     for number in np.unique(_mask(root, name)) if number}
            assert len(pairs) == len(shown)
            assert set(pairs) == shown
    assert len(listed) == 4 * sum(COUNTS.values())


def test_folds_share_no_class_and_classes_are_even(root: Path) -> None:
    for split, count in COUNTS.items():
        for fold in range(4):
            numbers = [number for _, number in _pairs(root, split, fold)]
            for number in range(5 * fold + 1, 5 * fold + 6):
                assert numbers.count(number) >= count // 5
            assert set(numbers) == set(range(5 * fold + 1, 5 * fold + 6))


def test_mask_values_and_areas(root: Path) -> None:
    for split in COUNTS:
        for fold in range(4):
            for name in {name for name, _ in _pairs(root, split, fold)}:
                mask = _mask(root, name)
                assert mask.shape == (SIZE, SIZE)
                assert mask.max() <= 20
                shares = np.bincount(mask.ravel(), minlength=21)[1:] / mask.size
                assert (shares[shares > 0] >= 0.02).all()
                main = 5 * fold + int(name[-4:]) % 5
                assert shares.argmax() == main
                assert 0.1 <= shares[main] <= 0.4  # 0.3 and maybe a second instance


def test_objects_are_visible(root: Path) -> None:
    """The objects differ from the carpet in colour by far more than noise."""
    pixels = {0: [], 1: []}
    for name, number in _pairs(root, 'trn', 0):
        if number == 1:
            path = root / 'VOCdevkit' / 'VOC2012' / 'JPEGImages' / f'{name}.jpg'
            with Image.open(path) as image:
                saturation = np.array(image.convert('HSV'))[..., 1]
            mask = _mask(root, name)
            for value, found in pixels.items():
                found.append(saturation[mask == value])
    carpet, toys = (np.concatenate(pixels[value]).mean() for value in (0, 1))
    assert toys > carpet + 20


def test_same_seed_same_bytes(root: Path, tmp_path: Path) -> None:
    assert _files(_make(tmp_path / 'again')) == _files(root)


def test_images_depend_on_seed_and_not_on_counts(root: Path, tmp_path: Path) -> None:
    make_demo_shapes(tmp_path / 'few', train_images=1, val_images=1, size=SIZE)
    make_demo_shapes(tmp_path / 'other', seed=1, train_images=1, val_images=1,
                     size=SIZE)
    whole = _files(root)
    for key, content in _files(tmp_path / 'few').items():
        if key.endswith('.jpg'):
            assert whole[key] == content
            assert whole[key] != (tmp_path / 'other' / key).read_bytes()


def test_refuses_an_existing_root(tmp_path: Path) -> None:
    (tmp_path / 'taken').mkdir()
    with pytest.raises(FileExistsError, match='taken exists already'):
        _make(tmp_path / 'taken')
    assert not list((tmp_path / 'taken').iterdir())


def test_a_failure_leaves_nothing(tmp_path: Path,
                                  monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr('mmwsfs.datasets.demo_shapes._draw_image', fail)
    with pytest.raises(KeyboardInterrupt):
        _make(tmp_path / 'data')
    assert not list(tmp_path.iterdir())
