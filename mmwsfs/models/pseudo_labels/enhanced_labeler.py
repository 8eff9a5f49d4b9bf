from __future__ import annotations

from torch import Tensor

from mmwsfs.models.build_part import build_part
from mmwsfs.registry import MODELS
from mmwsfs.structures import Fitting

from .attention_labeler import AttentionLabeler
from .enhancer_training import train_enhancer
from .maps import upsample


@MODELS.register_module()
class EnhancedLabeler(AttentionLabeler):
    """Pseudo-masks that a trained network makes of the head maps.

    It stands in the place of an :class:`AttentionLabeler` (section 3.4 of the paper).
    The network learns from the images that carry masks, before the model is trained
    (:meth:`fit_to`), and is frozen otherwise.

    Args:
        enhancer (dict): head maps, (B, H, h, w) -> logits, (B, h, w); a
            :class:`PseudoLabelEnhancer`.
        threshold (float): of the foreground probability. Defaults to 0.5.
        probe (dict, optional): as for :class:`AttentionLabeler`. Defaults to None.
        steps (int): of the network's training; to be tuned where far more or fewer
            images carry masks than in the configs here. Defaults to 200.
        position_rank (int): as for :class:`AttentionLabeler`. Defaults to 0.
    """

    def __init__(self,
                 enhancer: dict,
                 threshold: float = 0.5,
                 probe: dict | None = None,
                 steps: int = 200,
                 position_rank: int = 0) -> None:
        super().__init__(threshold, probe=probe, position_rank=position_rank)
        self.enhancer = build_part(enhancer).requires_grad_(False)
        self.steps = steps

    def merge(self, maps: Tensor) -> Tensor:
        """Head maps, (B, H, h, w), as logits of foreground, (B, h, w)."""
        return self.enhancer(maps).float()

    def soften(self, scores: Tensor, size: tuple[int, int]) -> Tensor:
        """Logits, (B, h, w), as probabilities, ``(B, *size)``."""
        return upsample(scores, size).sigmoid()

    def fit_to(self, fitting: Fitting) -> None:
        """Train the network, unless it comes from a file.

        Raises:
            ValueError: no image carries a mask, or a state file to be continued is of
                another training.
        """
        if self.enhancer.pretrained:
            fitting.report(
                f"enhancer: from '{self.enhancer.init_cfg['checkpoint']}'")
        else:
            train_enhancer(self, self.enhancer, fitting, self.steps)
