"""PresenceCalibration against a search over all temperatures and thresholds."""

from __future__ import annotations

import math

import pytest
import torch

from mmwsfs.models import PresenceCalibration


def drawn(temperature: float, threshold: float, count: int = 4000):
    """Logits, and presence drawn as often as they would say once calibrated."""
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(count, generator=generator) + threshold
    chance = ((logits - threshold) / temperature).sigmoid()
    return logits, torch.rand(count, generator=generator) < chance


def loss(logits, presence, temperature, threshold) -> float:
    """Negative log-likelihood, with the targets of Platt's paper."""
    present = presence.sum().item()
    high, low = (present + 1) / (present + 2), 1 / (len(logits) - present + 2)
    total = 0.
    for logit, there in zip(logits.tolist(), presence.tolist()):
        chance = 1 / (1 + math.exp(-(logit - threshold) / temperature))
        target = high if there else low
        total -= target * math.log(chance) + (1 - target) * math.log(1 - chance)
    return total / len(logits)


@pytest.mark.parametrize('temperature, threshold', [(2.5, 1.), (0.4, -2.), (1., 0.)])
def test_what_was_drawn_is_found(temperature: float, threshold: float) -> None:
    """Nearly, of 4000; and nothing near is better."""
    logits, presence = drawn(temperature, threshold)
    calibration = PresenceCalibration()
    calibration.fit(logits, presence)
    found = calibration.temperature.item(), calibration.threshold.item()
    assert found[0] == pytest.approx(temperature, rel=0.1)
    assert found[1] == pytest.approx(threshold, abs=0.2)
    few = logits[:200], presence[:200]
    calibration.fit(*few)
    found = calibration.temperature.item(), calibration.threshold.item()
    best = loss(*few, *found)
    for factor, shift in ((1.02, 0), (0.98, 0), (1, 0.02), (1, -0.02)):
        assert best < loss(*few, found[0] * factor, found[1] + shift)


def test_without_a_threshold() -> None:
    """The best temperature at threshold 0, which is another one."""
    logits, presence = (values[:200] for values in drawn(2.5, 1.))
    calibration = PresenceCalibration(fit_threshold=False)
    calibration.fit(logits, presence)
    found = calibration.temperature.item()
    assert calibration.threshold == 0
    best = loss(logits, presence, found, 0)
    assert best < min(loss(logits, presence, found * f, 0) for f in (0.98, 1.02))
    both = PresenceCalibration()
    both.fit(logits, presence)
    assert both.temperature.item() != pytest.approx(found, rel=0.02)


def test_logits() -> None:
    """0.5 is at the threshold, a temperature away from it the sigmoid of 1."""
    calibration = PresenceCalibration()
    calibration.temperature.fill_(2)
    calibration.threshold.fill_(0.5)
    logits = torch.tensor([[[1., 1.5], [3., 5.5], [7., 5.5]]])
    found = calibration(logits)
    assert found.shape == logits.shape
    assert found.softmax(dim=-1)[0, :, 1].tolist() == pytest.approx(
        [0.5, 1 / (1 + math.exp(-1)), 1 / (1 + math.exp(1))])


def test_until_it_is_fitted_nothing_changes() -> None:
    """Also after a reset, whatever was fitted."""
    logits = torch.randn(7, 2)
    calibration = PresenceCalibration()
    for _ in range(2):
        torch.testing.assert_close(
            calibration(logits).softmax(dim=1), logits.softmax(dim=1))
        calibration.fit(*drawn(3., 1.))
        assert calibration.temperature > 2
        calibration.reset()


def test_from_wherever_it_begins() -> None:
    """To the last bit: a run that resumes has another calibration before."""
    calibration = PresenceCalibration()
    states = []
    for temperature in (1., 3.):
        calibration.fit(*drawn(temperature, 0.))
        calibration.fit(*drawn(2., 1.))
        states.append([value.item() for value in calibration.state_dict().values()])
    assert states[0] == states[1]


@pytest.mark.parametrize('scale', [1., 1e-6, 50., 1e4])
def test_separated_classes_leave_a_temperature(scale: float) -> None:
    """Finite and above 0, of any size of logits: scores near 1, not 1."""
    logits = scale * torch.tensor([-2., -1., -3., 1., 2., 4.])
    presence = torch.tensor([False] * 3 + [True] * 3)
    calibration = PresenceCalibration()
    calibration.fit(logits, presence)
    scores = calibration(torch.stack([-logits / 2, logits / 2], 1)).softmax(1)[:, 1]
    assert ((scores > 0.5) == presence).all()
    assert 0.7 < scores[-1] < 0.99


@pytest.mark.parametrize('logits', [[2., 1., -1., -2.], [1., 1., 1., 1.]])
@pytest.mark.parametrize('fit_threshold', [True, False])
def test_logits_that_tell_nothing(logits: list[float], fit_threshold: bool) -> None:
    """Or the reverse: an error that says so, and the values stay."""
    calibration = PresenceCalibration(fit_threshold)
    with pytest.raises(ValueError, match='4 episodes .* 2 of them .* do not rise'):
        calibration.fit(
            torch.tensor(logits), torch.tensor([False, False, True, True]))
    assert (calibration.temperature, calibration.threshold) == (1, 0)
