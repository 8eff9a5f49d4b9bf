from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from mmwsfs.registry import MODELS


class LossTerms(nn.ModuleList):
    """The sum of one or several of mmseg's losses, each logged by its name.

    Args:
        configs: a loss config, or a list of them.
        prefix: put before the losses' own names, e.g. 'seg'.
    """

    def __init__(self, configs: dict | Sequence[dict], prefix: str) -> None:
        if isinstance(configs, dict):
            configs = [configs]
        super().__init__(MODELS.build(config) for config in configs)
        self.prefix = prefix

    def forward(self, logits: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Losses of logits (B, 2, ...) against integer targets (B, ...)."""
        losses: dict[str, Tensor] = {}
        for term in self:
            name = f'{self.prefix}.{term.loss_name}'
            losses[name] = losses.get(name, 0) + term(logits, target)
        return losses
