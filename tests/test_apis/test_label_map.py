"""label_map, and the decision of FewShotInferencer that it makes again."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config

from mmwsfs.apis import FewShotInferencer, label_map

PROBS = np.array([[[0.9, 0.6, 0.2, 0.5]], [[0.8, 0.7, 0.4, 0.1]]], np.float32)


@pytest.mark.parametrize(('presence', 'threshold', 'absent_pixels', 'expected'), [
    ((0.9, 0.8), 0.5, False, [1, 2, 0, 1]),
    ((0.9, 0.3), 0.5, False, [1, 1, 0, 1]),
    ((0.9, 0.3), 0.5, True, [1, 2, 0, 1]),
    ((0.9, 0.3), 0.2, False, [1, 2, 0, 1]),
    ((0.1, 0.3), 0.2, False, [2, 2, 0, 0]),
    ((0.1, 0.3), 0.5, False, [0, 0, 0, 0]),
    ((0.5, 0.3), 0.5, False, [0, 0, 0, 0]),  # present is above the threshold
])
def test_by_hand(presence: tuple, threshold: float, absent_pixels: bool,
                 expected: list[int]) -> None:
    """Pixels of the classes that are there, 0.5 the least."""
    for given in (presence, dict(zip('ab', presence))):
        found = label_map(PROBS, given, threshold, absent_pixels)
        assert found.dtype == np.uint8 and found.tolist() == [expected]


@pytest.mark.parametrize('threshold', [-0.1, 1.5, float('nan')])
def test_no_threshold(threshold: float) -> None:
    """Per cent are taken for what they are."""
    with pytest.raises(ValueError, match='threshold=.*: give a probability'):
        label_map(PROBS, (0.1, 0.2), threshold)


def test_other_classes() -> None:
    """Of two results mixed up."""
    with pytest.raises(ValueError, match='presence is of 1 classes, but probs of 2'):
        label_map(PROBS, {'a': 0.3})


def rival(config: Config) -> FewShotInferencer:
    """A gated model without training."""
    config.model = dict(
        type='PrototypeSegmentor', backbone=config.model.backbone,
        data_preprocessor=config.model.data_preprocessor,
        labeler=config.model.labeler, supervision='image')
    return FewShotInferencer(config, device='cpu')


@pytest.mark.parametrize('kind', ['trained', 'gated'])
def test_the_models_own_decision(
        kind: str, tiny_config: Config, tiny_checkpoint: Path, tiny_voc: Path) -> None:
    """Made again at every threshold, from one prediction; absent classes are empty."""
    inferencer = rival(tiny_config) if kind == 'gated' else FewShotInferencer(
        tiny_config, tiny_checkpoint, 'cpu')
    images = sorted((tiny_voc / 'VOCdevkit/VOC2012/JPEGImages').glob('val_*.jpg'))
    inferencer.set_supports(
        {'cat': images[:2], 'dog': images[4]}, negatives={'dog': images[7]})
    emptied = 0
    for query in images[8:14]:
        base, = inferencer(query)
        assert np.array_equal(
            label_map(base['probs'], base['presence']), base['label_map'])
        for threshold in [0, *base['presence'].values(), 0.3, 0.7, 1]:
            found, = inferencer(query, threshold=threshold)
            assert np.array_equal(found['probs'], base['probs'])
            assert found['presence'] == base['presence']
            assert found['present'] == [
                name for name, p in base['presence'].items() if p > threshold]
            again = label_map(base['probs'], base['presence'], threshold)
            assert np.array_equal(again, found['label_map'])
            labels = {
                way for way, name in enumerate(base['presence'], start=1)
                if name in found['present']}
            assert set(np.unique(again)) <= {0, *labels}
        published, = inferencer(query, absent_pixels=True)
        assert np.array_equal(published['label_map'], label_map(
            published['probs'], published['presence'], absent_pixels=True))
        emptied += int((published['label_map'] != base['label_map']).any())
    assert emptied or kind == 'gated'
