"""Files of supports: the same predictions, and nothing but supports."""
from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from mmwsfs.apis import FewShotInferencer

PARTS = {
    'FewShotSegmentor': {},
    'FewShotSegmentor with all parts': dict(
        prototypes=dict(type='PrototypeMaps'), metric=dict(type='DiscriminantMetric')),
    'PseudoMaskSegmentor': {},
    'PrototypeSegmentor': {},
    'PatchMatchingSegmentor': dict(clusters=3),
}


@pytest.fixture
def images(tiny_voc: Path) -> list[Path]:
    return sorted((tiny_voc / 'VOCdevkit/VOC2012/JPEGImages').glob('val_*.jpg'))


@pytest.fixture
def build(tiny_config: Config, tmp_path: Path) -> Callable[..., FewShotInferencer]:
    """Makes the inferencer of a segmentor; every time with the same weights, unless
    ``seed`` is another."""
    def make(kind: str = 'FewShotSegmentor', seed: int = 0) -> FewShotInferencer:
        config, name = tiny_config.copy(), kind.split()[0]
        model = dict(config.model)
        if name in ('PrototypeSegmentor', 'PatchMatchingSegmentor'):
            model = {key: model[key] for key in (
                'backbone', 'data_preprocessor', 'labeler', 'supervision')}
        config.model = {**model, **PARTS[kind], 'type': name}
        torch.manual_seed(seed)
        return FewShotInferencer(config, device='cpu')
    return make


@pytest.fixture
def saved(build, images: list[Path], tmp_path: Path) -> Path:
    """Of a ``FewShotSegmentor``, two classes, one negative."""
    inferencer = build()
    inferencer.set_supports(
        {'cat': images[:2], 'dog': images[4]}, negatives={'dog': images[5]})
    inferencer.save_supports(tmp_path / 'pets.supports')
    return tmp_path / 'pets.supports'


@pytest.mark.parametrize('negatives', [False, True])
@pytest.mark.parametrize('kind', PARTS)
def test_predictions_are_the_same(
        build, images: list[Path], tmp_path: Path, kind: str, negatives: bool) -> None:
    """To the last bit, in another process's model; names, thumbnails and masks too."""
    before = build(kind)
    mask = np.zeros((40, 50), bool)
    mask[5:20, 5:30] = True
    before.set_supports(
        {'größe, "x"': images[:3], 'dog': [np.zeros((40, 50, 3), np.uint8)]},
        {'dog': [mask]}, {'dog': images[5:7]} if negatives else None)
    expected = before(images[8:12], absent_pixels=True)
    before.save_supports(tmp_path / 'deep/file')
    after = build(kind)
    after.load_supports(tmp_path / 'deep/file')
    for one, other in zip(after(images[8:12], absent_pixels=True), expected):
        assert one['presence'] == other['presence']
        assert np.array_equal(one['probs'], other['probs'])
        assert np.array_equal(one['label_map'], other['label_map'])
    assert after.supports.names == before.supports.names
    assert after.supports.support_paths == {
        'größe, "x"': [*map(str, images[:3])], 'dog': [None]}
    assert after.supports.negative_paths == (
        {'dog': [*map(str, images[5:7])]} if negatives else {})
    for one, other in zip(after.supports.masks, before.supports.masks):
        assert torch.equal(one, other)
    for one, other in zip(after.supports.pictures, before.supports.pictures):
        assert [x.shape for x in one] == [x.shape for x in other]
        for x, y in zip(one, other):  # JPEG
            assert np.abs(x.astype(int) - y).mean() < 12
    after.save_supports(tmp_path / 'again')  # and it can be done over and over
    build(kind).load_supports(tmp_path / 'again')


def test_no_supports(build, tmp_path: Path) -> None:
    """There is nothing to save."""
    with pytest.raises(RuntimeError, match='no supports are set'):
        build().save_supports(tmp_path / 'x')
    assert not (tmp_path / 'x').exists()


def test_of_another_model(build, images: list[Path], saved: Path) -> None:
    """Other weights, or images of another size: refused, and what is set stays."""
    other = build(seed=1)
    other.set_supports({'cow': images[3]})
    with pytest.raises(ValueError, match=r"pets\.supports': these supports are of an"):
        other.load_supports(saved)
    assert other.supports.names == ['cow']
    with pytest.raises(ValueError, match='are of another model'):
        build('PrototypeSegmentor').load_supports(saved)
    larger = build()
    larger._support_pipeline.transforms.transforms[0].scale = (64, 64)
    with pytest.raises(ValueError, match='or of images of another size'):
        larger.load_supports(saved)


def test_what_is_no_file_of_supports(
        build, images: list[Path], saved: Path, tmp_path: Path) -> None:
    """One sentence names the file; a pickle is not opened."""
    inferencer = build()
    with pytest.raises(FileNotFoundError, match=r"'.*none' does not exist"):
        inferencer.load_supports(tmp_path / 'none')
    with pytest.raises(FileNotFoundError):
        inferencer.load_supports(tmp_path)

    class Bomb:
        def __reduce__(self):
            return Path.touch, (tmp_path / 'exploded', )

    content = saved.read_bytes()
    path = tmp_path / 'file'
    for bad in (b'', b'text', images[0].read_bytes(), content[:100], content[:-1],
                content + b'x', pickle.dumps(Bomb()),
                (1 << 62).to_bytes(8, 'little') + content[8:]):
        path.write_bytes(bad)
        with pytest.raises(ValueError, match=r"file' is no whole file of supports \("):
            inferencer.load_supports(path)
    torch.save(Bomb(), path)
    with pytest.raises(ValueError, match='is no whole file of supports'):
        inferencer.load_supports(path)
    assert not (tmp_path / 'exploded').exists()
    save_file({'weight': torch.zeros(3)}, path)
    with pytest.raises(ValueError, match='it says nothing of supports'):
        inferencer.load_supports(path)


def changed(path: Path, tensors: dict | None = None, **content) -> None:
    """Write another file of the same digest."""
    with safe_open(path, framework='pt') as file:
        metadata = json.loads(file.metadata()['mmwsfs.supports'])
    kept = {**load_file(path), **(tensors or {})}
    save_file(
        {name: value for name, value in kept.items() if value is not None}, path,
        {'mmwsfs.supports': json.dumps({**metadata, **content})})


JPEG = torch.tensor([*b'\xff\xd8\xff no picture'], dtype=torch.uint8)


@pytest.mark.parametrize(('change', 'message'), [
    (dict(format=2), 'its format is 2, but this release reads 1'),
    (dict(names='cat'), "'names' is wrong"),
    (dict(names=['cat', 3]), "'names' is wrong"),
    (dict(names=['cat', 'cat']), 'its classes do not fit their supports'),
    (dict(names=[], shots=[], negative_of=[], paths=[]), 'no supports: give'),
    (dict(shots=[2, 0, 1]), "'shots' is wrong"),
    (dict(shots=[2, True, 1]), "'shots' is wrong"),
    (dict(shots=[2, 1, 1 << 40]), 'its classes do not fit'),
    (dict(shots=[1 << 70, 1, 1]), 'its classes do not fit'),
    (dict(negative_of=[2]), "'negative_of' is wrong"),
    (dict(paths=[None] * 5), 'its classes do not fit'),
    (dict(paths=None), "'paths' is wrong"),
    (dict(tensors={'embedded.cls': None}), "'embedded.cls' is missing"),
    (dict(tensors={'embedded.masks': None}), "'embedded.masks' is missing"),
    (dict(tensors={'embedded.masks': torch.ones(4, 5000, 1, dtype=torch.bool)}),
     r"'embedded.masks' is \(4, 5000, 1\)"),
    (dict(tensors={'embedded.masks': torch.ones(4, 32, 32)}), 'torch.float32 instead'),
    (dict(tensors={'embedded.cls': torch.zeros(4, 1, 16)}), "'embedded.cls' is"),
    (dict(tensors={'embedded.cls': torch.full((4, 2, 16), torch.inf)}), 'no numbers'),
    (dict(tensors={'embedded.more': torch.zeros(1)}), "nobody knows 'embedded.more'"),
    (dict(tensors={'picture.0': None}), "'picture.0' is missing"),
    (dict(tensors={'picture.0': JPEG}), 'a thumbnail is no small JPEG'),
    (dict(tensors={'picture.0': torch.zeros(9)}), 'a thumbnail is no small JPEG'),
])
def test_hostile_files(build, saved: Path, change: dict, message: str) -> None:
    """Whole, of the model's digest, and still not to be believed."""
    inferencer = build()
    before = saved.read_bytes()
    changed(saved)
    inferencer.load_supports(saved)
    saved.write_bytes(before)
    changed(saved, **change)
    inferencer = build()
    with pytest.raises(ValueError, match=message):
        inferencer.load_supports(saved)
    assert inferencer.supports is None
