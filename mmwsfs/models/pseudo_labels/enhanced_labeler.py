from __future__ import annotations

from torch import Tensor

from mmwsfs.registry import MODELS
from mmwsfs.structures import ViTFeatures

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
        probe (dict, optional): knows the training classes of which some images carry
            masks, a :class:`ClassProbe`. Defaults to None.
        affinity (float, optional): as for :class:`AttentionLabeler`. Defaults to None.
        refine (dict, optional): as for :class:`AttentionLabeler`. Defaults to None.
    """

    def __init__(self,
                 enhancer: dict,
                 threshold: float = 0.5,
                 probe: dict | None = None,
                 affinity: float | None = None,
                 refine: dict | None = None) -> None:
        super().__init__(threshold, affinity=affinity, refine=refine)
        self.enhancer = MODELS.build(enhancer).requires_grad_(False)
        self.probe = MODELS.build(probe) if probe else None

    def merge(self, maps: Tensor) -> Tensor:
        """Head maps, (B, H, h, w), as logits of foreground, (B, h, w)."""
        return self.enhancer(maps).float()

    def soften(self, scores: Tensor, size: tuple[int, int]) -> Tensor:
        """Logits, (B, h, w), as probabilities, (B, *size)."""
        return upsample(scores, size).sigmoid()

    def scores(self, support: ViTFeatures, image: ViTFeatures,
               classes: Tensor | None = None) -> Tensor:
        """As of :class:`AttentionLabeler`, with what the probe knows of the classes."""
        scores = super().scores(support, image, classes)
        if self.probe is None or classes is None:
            return scores
        return self.probe.combine(scores, image, classes)
