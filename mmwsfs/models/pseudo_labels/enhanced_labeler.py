from __future__ import annotations

from torch import Tensor

from mmwsfs.registry import MODELS

from .attention_labeler import AttentionLabeler, upsample


@MODELS.register_module()
class EnhancedLabeler(AttentionLabeler):
    """Pseudo-masks that a trained network makes of the head maps.

    It stands in the place of an :class:`AttentionLabeler` (section 3.4 of the paper).
    The network is trained by a
    :class:`~mmwsfs.engine.hooks.PseudoLabelEnhancerHook` and frozen otherwise.

    Args:
        enhancer (dict): head maps, (B, H, h, w) -> logits, (B, h, w); a
            :class:`PseudoLabelEnhancer`.
        threshold (float): of the foreground probability. Defaults to 0.5.
        affinity (float, optional): as for :class:`AttentionLabeler`. Defaults to None.
        refine (dict, optional): as for :class:`AttentionLabeler`. Defaults to None.
    """

    def __init__(self,
                 enhancer: dict,
                 threshold: float = 0.5,
                 affinity: float | None = None,
                 refine: dict | None = None) -> None:
        super().__init__(threshold, affinity=affinity, refine=refine)
        self.enhancer = MODELS.build(enhancer).requires_grad_(False)

    def soften(self, maps: Tensor, size: tuple[int, int]) -> Tensor:
        """Head maps, (B, H, h, w), as probabilities of foreground, (B, *size)."""
        return upsample(self.enhancer(maps).float(), size).sigmoid()
