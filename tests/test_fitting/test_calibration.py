"""Calibration on episodes of base classes: which they are, and what comes of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mmwsfs.fitting import calibrate, calibration_dataset
from mmwsfs.models import FewShotSegmentor, PresenceCalibration
from mmwsfs.registry import MODELS

BASE = list(range(6, 21))


@pytest.fixture
def model(tiny_model: dict) -> FewShotSegmentor:
    """With a head whose logits differ from image to image."""
    torch.manual_seed(0)
    tiny_model['calibration'] = dict(type='PresenceCalibration')
    tiny_model['prior'] = dict(type='WholeImagePrior')
    model = MODELS.build(tiny_model)
    with torch.no_grad():
        model.prior.weights.copy_(torch.tensor([90., -80., 0., 0.]))
    return model.eval()


@pytest.fixture
def spied(monkeypatch: pytest.MonkeyPatch) -> list[tuple]:
    """What the calibration was fitted to."""
    seen: list[tuple] = []
    monkeypatch.setattr(
        PresenceCalibration, 'fit',
        lambda self, logits, presence: seen.append((logits, presence)))
    return seen


@pytest.fixture
def weighed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Random weights may tell nothing of presence: the values are sums instead."""
    def fit(self: PresenceCalibration, logits: torch.Tensor,
            presence: torch.Tensor) -> None:
        weights = torch.linspace(1, 2, len(logits), dtype=torch.double)
        self.temperature.fill_((logits * weights).sum())
        self.threshold.fill_((presence * weights).sum())

    monkeypatch.setattr(PresenceCalibration, 'fit', fit)


def test_episodes_of_the_training_images(
        tiny_config: Config, tiny_voc_without_masks: Path) -> None:
    """1-way 1-shot of base classes, whatever the test's are; no mask is there."""
    tiny_config.train_dataloader.dataset.update(
        data_root=str(tiny_voc_without_masks), pipeline=None, img_size=32, masks=0.5)
    tiny_config.test_dataloader.dataset.update(way=2, shot=2, protocol='FS-S')
    dataset = calibration_dataset(tiny_config, None)
    assert (dataset.split, dataset.way, dataset.shot, dataset.protocol) == (
        'trn', 1, 1, 'FS-CS')
    assert dataset.class_ids == BASE and dataset.masked_images == []


def test_supports_carry_masks_as_in_the_test(tiny_config: Config) -> None:
    """Where they do there, those of the training images that carry them."""
    tiny_config.train_dataloader.dataset.update(
        pipeline=None, img_size=32, masks='all')
    tiny_config.test_dataloader.dataset.support_masks = True
    dataset = calibration_dataset(tiny_config, None)
    assert dataset.support_masks and dataset.masked_images is None


def test_another_dataset_is_told_by_what_differs(tiny_config: Config) -> None:
    """From validation's where there is one, from the test's where there is none."""
    tiny_config.test_dataloader.dataset.update(
        pipeline=None, img_size=16, way=2, num_episodes=3)
    dataset = calibration_dataset(tiny_config, dict(fold=2))
    assert (dataset.split, dataset.fold, dataset.img_size) == ('val', 2, 16)
    assert dataset.masked_images == [] and not dataset.support_masks
    assert (dataset.way, len(dataset)) == (1, len(dataset.data_list))
    tiny_config.val_dataloader = Config(dict(
        dataset=dict(tiny_config.test_dataloader.dataset, img_size=24)))
    assert calibration_dataset(tiny_config, dict(fold=2)).img_size == 24
    with pytest.raises(ValueError, match='there is neither'):
        calibration_dataset(
            dict(train_dataloader=tiny_config.train_dataloader), dict(fold=2))


def test_fitted_to_what_a_test_predicts(
        model: FewShotSegmentor, tiny_config: Config, spied: list[tuple]) -> None:
    """The scores of ``predict``, as many present as absent, of all base classes.

    What was fitted before does not count.
    """
    dataset = calibration_dataset(tiny_config, None)
    model.calibration.temperature.fill_(7)
    asked = []
    draw = dataset.draw
    dataset.draw = lambda key: asked.append(key) or draw(key)
    calibrate(model.train(), [dataset], 90)
    assert model.training
    (logits, presence), = spied
    assert presence.tolist() == [True, False] * 45
    assert len(set(logits.tolist())) > 60
    queries = [key.query for key in asked]
    assert queries[::2] == queries[1::2] and len(set(queries)) == 45
    classes = {dataset.data_list[query]['class_id'] for query in queries}
    assert classes == set(BASE)  # of all the list, not of its beginning
    assert len({key.seed for key in asked}) == 90
    model.eval()
    for number in (0, 1, 17, 89):
        item = dataset[asked[number]]
        data = model.data_preprocessor(dict(
            inputs={name: [value] for name, value in item['inputs'].items()},
            data_samples=[item['data_samples']]))
        with torch.no_grad():
            sample, = model(**data, mode='predict')
        assert sample.presence_scores.item() == pytest.approx(
            logits[number].sigmoid().item(), abs=1e-6)
        assert sample.gt_presence.item() == presence[number]


@pytest.mark.parametrize('cache', [False, True])
def test_nothing_else_changes(
        model: FewShotSegmentor, tiny_config: Config, cache: bool, tiny_model: dict,
        weighed: None) -> None:
    """No weight, and no generator; the values are the same every time."""
    if cache:
        weights = model.state_dict()
        model = MODELS.build(dict(tiny_model, cache=dict(ram_gb=1)))
        model.load_state_dict(weights)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    values = []
    for _ in range(2):
        torch.manual_seed(5)
        calibrate(model, [calibration_dataset(tiny_config, None)], 60)
        generator = torch.rand(1)
        torch.manual_seed(5)
        assert generator == torch.rand(1)
        values.append([value.item() for value in model.calibration.buffers()])
    assert values[0] == values[1] != [1, 0]
    assert not cache or len(model.cache)
    changed = {name for name, value in model.state_dict().items()
               if not torch.equal(value, before[name])}
    assert changed == {'calibration.temperature', 'calibration.threshold'}


def test_ranks_share_the_episodes(
        model: FewShotSegmentor, tiny_config: Config, weighed: None,
        on_ranks: Callable[..., list]) -> None:
    """Each reads its own; all get the values of one process."""
    def values() -> dict:
        dataset = calibration_dataset(tiny_config, None)
        read = []
        draw = dataset.draw
        dataset.draw = lambda key: read.append(key) or draw(key)
        calibrate(model, [dataset], 31)
        return dict(count=len(read), values=torch.stack(
            list(model.calibration.buffers())).clone())

    one = values()
    ranks = on_ranks(values, 2)
    assert one['count'] == 31
    assert [rank['count'] for rank in ranks] == [16, 15]
    for rank in ranks:
        assert torch.equal(rank['values'], one['values'])


def test_datasets_take_turns(
        model: FewShotSegmentor, tiny_config: Config, spied: list[tuple]) -> None:
    """Each gives what it gives alone, both truths among them."""
    folds = [calibration_dataset(tiny_config, dict(fold=fold)) for fold in (1, 2)]
    for datasets in (folds[:1], folds[1:], folds):
        calibrate(model, datasets, 20)
    (first, _), (second, _), (both, presence) = spied
    assert torch.equal(both[::2], first[:10]) and torch.equal(both[1::2], second[:10])
    assert presence.tolist() == [True, True, False, False] * 5


def test_on_photographs(
        model: FewShotSegmentor, tiny_config: Config, shared_data: Path,
        spied: list[tuple]) -> None:
    """Other lists than the test's, by what differs; with tags alone."""
    tiny_config.test_dataloader.dataset.update(
        data_root=str(shared_data), lists='splits/pascal5i_subset', fold=3,
        pipeline=None, img_size=32)
    dataset = calibration_dataset(tiny_config, dict(split='trn', fold=0))
    assert dataset.class_ids == BASE and dataset.masked_images == []
    calibrate(model, [dataset], 40)
    (logits, presence), = spied
    assert presence.tolist() == [True, False] * 20
    assert logits.isfinite().all() and len(set(logits.tolist())) > 30
