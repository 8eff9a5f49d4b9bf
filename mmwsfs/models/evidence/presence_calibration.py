from __future__ import annotations

import torch
from mmengine.model import BaseModule
from torch import Tensor

from mmwsfs.registry import MODELS

from .logistic import fit_logistic


@MODELS.register_module()
class PresenceCalibration(BaseModule):
    """A temperature and a threshold that make scores of presence mean what they say.

    The logit of presence, that of present less that of absent, becomes
    (logit - threshold) / temperature: 0, a score of 0.5, is then at the threshold.
    Both are buffers, 1 and 0 until they are fitted, which changes nothing, and are
    part of the checkpoint. :class:`~mmwsfs.engine.CalibrationHook` fits them to
    episodes of base classes, when heads and prior have been trained.

    Platt, "Probabilistic outputs for support vector machines", 1999, whose scale is
    the temperature of Guo et al., "On calibration of modern neural networks", ICML
    2017.

    Args:
        fit_threshold (bool): whether the threshold is fitted too. False leaves it at 0,
            so that with one shot what is called present stays the same, and so does the
            exact ratio. Defaults to True.
        init_cfg (dict, optional): Defaults to None.
    """

    temperature: Tensor
    threshold: Tensor

    def __init__(self,
                 fit_threshold: bool = True,
                 init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.fit_threshold = fit_threshold
        self.register_buffer('temperature', torch.ones(()))
        self.register_buffer('threshold', torch.zeros(()))

    def forward(self, logits: Tensor) -> Tensor:
        """Calibrated logits of absent and present, (..., 2), of the given ones."""
        logit = logits[..., 1] - logits[..., 0]
        half = (logit - self.threshold) / self.temperature / 2
        return torch.stack([-half, half], dim=-1)

    def reset(self) -> None:
        """As before it was fitted."""
        self.temperature.fill_(1)
        self.threshold.fill_(0)

    def fit(self, logits: Tensor, presence: Tensor) -> None:
        """Minimise the negative log-likelihood, from whatever there is now.

        In double precision, always to the same values. As in Platt's paper the targets
        are a little less certain than 0 and 1, so that classes that the logits separate
        do not make a temperature of 0.

        Args:
            logits: (M,) uncalibrated logits of presence.
            presence: (M,) bool.

        Raises:
            ValueError: the logits tell nothing of presence, or the reverse: no
                temperature above 0 is best. The values stay.
        """
        logits, presence = logits.double().cpu(), presence.cpu()
        present = int(presence.sum())
        absent = len(presence) - present
        target = torch.where(presence, (present + 1) / (present + 2), 1 / (absent + 2))
        # Logits of any size and place: they are standardised first.
        centre = logits.mean() if self.fit_threshold else torch.zeros(())
        size = (logits - centre).square().mean().sqrt().clamp_min(1e-12)
        inputs = ((logits - centre) / size)[:, None]
        if self.fit_threshold:
            inputs = torch.cat([inputs, torch.ones_like(inputs)], dim=1)
        scale, offset = [*fit_logistic(inputs, target).tolist(), 0.][:2]
        if not scale > 1e-6:
            raise ValueError(
                f'in {len(presence)} episodes of base classes, {present} of them with '
                'the class, the logits of presence do not rise with it: train longer, '
                'or leave model.calibration out')
        self.temperature.fill_(size / scale)
        self.threshold.fill_(centre - size * offset / scale)
