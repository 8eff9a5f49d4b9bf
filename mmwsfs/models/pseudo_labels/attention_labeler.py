from __future__ import annotations

import torch
from mmengine.model import BaseModule
from torch import Tensor

from mmwsfs.models.build_part import build_part
from mmwsfs.registry import MODELS
from mmwsfs.structures import ViTFeatures

from .maps import head_maps, propagate, upsample


@MODELS.register_module()
class AttentionLabeler(BaseModule):
    """Pseudo-masks from the last attention of the backbone (section 3.3 of the paper).

    The cosine, per head, of the *support's* CLS query with the patch keys of an image,
    averaged over the heads: with the support's own keys its pseudo-mask, with the
    query's keys the query's.

    Args:
        threshold (float): of the map in 0..1. The paper's 0.4 belongs to DINO
            ViT-S/8; ignored where ``adaptive`` is given. Defaults to 0.4.
        adaptive (float, optional): a; the threshold is each map's own mean + a * std,
            for backbones whose cosines have another range. Defaults to None.
        affinity (float, optional): sharpness with which the head maps are spread over
            patches of like keys first (see :func:`.propagate`). Defaults to None.
        probe (dict, optional): knows the training classes of which some images carry
            masks, a :class:`ClassProbe`. Goes with ``adaptive=0.5``, which its maps are
            made for. Defaults to None.
        position_rank (int): in how many directions of each head's keys, at most, their
            place in the image is taken out of them: the leading ones of a blank image's
            (:class:`~mmwsfs.models.position_subspace.PositionSubspace`). The owner of
            the backbone does it, as it extracts features. Defaults to 0.
    """

    def __init__(self,
                 threshold: float = 0.4,
                 adaptive: float | None = None,
                 affinity: float | None = None,
                 probe: dict | None = None,
                 position_rank: int = 0) -> None:
        super().__init__()
        self.threshold = threshold
        self.adaptive = adaptive
        self.affinity = affinity
        self.probe = build_part(probe)
        self.position_rank = position_rank

    def maps(self, support: ViTFeatures, image: ViTFeatures) -> Tensor:
        """Head maps, (B, H, h, w) in -1..1, spread if ``affinity`` is given."""
        maps = head_maps(support, image)
        if self.affinity is None:
            return maps
        with torch.autocast(maps.device.type, enabled=False):
            return propagate(maps, image, self.affinity)

    def merge(self, maps: Tensor) -> Tensor:
        """Head maps, (B, H, h, w), as scores of foreground, (B, h, w)."""
        return maps.mean(dim=1)

    def soften(self, scores: Tensor, size: tuple[int, int]) -> Tensor:
        """Scores, (B, h, w), as a soft map, ``(B, *size)`` in 0..1."""
        return (upsample(scores, size) + 1) / 2

    def binarise(self, soft: Tensor) -> Tensor:
        """Soft maps, (B, H, W), above the threshold: (B, H, W) bool."""
        if self.adaptive is None:
            return soft > self.threshold
        pixels = soft.flatten(1)
        threshold = pixels.mean(dim=1) + self.adaptive * pixels.std(dim=1)
        return soft > threshold[:, None, None]

    def scores(self, support: ViTFeatures, image: ViTFeatures,
               classes: Tensor | None = None) -> Tensor:
        """(B, h, w), of B images against as many supports.

        Args:
            support: features of the supports.
            image: features of the images.
            classes: (B,) int, the class of each pair: what the probe knows of it is
                added. Given for the targets of training alone.
        """
        scores = self.merge(self.maps(support, image))
        if self.probe is None or classes is None:
            return scores
        return self.probe.combine(scores, image, classes)

    def forward(self, support: ViTFeatures, image: ViTFeatures, size: tuple[int, int],
                classes: Tensor | None = None) -> Tensor:
        """Pseudo-masks, ``(B, *size)`` bool: the soft map above the threshold."""
        return self.binarise(self.soften(self.scores(support, image, classes), size))
