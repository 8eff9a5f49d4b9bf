from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mmwsfs.registry import MODELS
from mmwsfs.structures import ViTFeatures

from .decision import mean_of_shots
from .few_shot_segmentor import FewShotSegmentor


class LabelingSupports(NamedTuple):
    """What labels a query: P supports' features without tokens, and their masks,
    (P, H, W) bool."""

    features: ViTFeatures
    masks: Tensor


@MODELS.register_module()
class PseudoMaskSegmentor(FewShotSegmentor):
    """The baseline that learns nothing: the bare pseudo-mask of the query.

    The labeler's query map is the prediction and every way is called present. What a
    trained model adds is seen beside it, on the same episodes. Its supervision is
    always 'image'.

    Args:
        **kwargs: as for :class:`FewShotSegmentor`, with a ``labeler``.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, 'supervision': 'image'})

    # What the one method keeps only the other one reads.
    def embed_supports(  # type: ignore[override]
            self, support: ViTFeatures, masks: Tensor) -> LabelingSupports:
        """What is kept of P supports."""
        return LabelingSupports(support.without_tokens(), masks)

    def pair_logits(  # type: ignore[override]
            self, query: ViTFeatures,
            supports: LabelingSupports) -> tuple[Tensor, Tensor]:
        """As :meth:`FewShotSegmentor.pair_logits`; logits are +-20, certain."""
        pairs = len(supports.masks)
        masks = self.labeler(
            supports.features, query[torch.zeros(pairs, dtype=torch.long)],
            (supports.masks.shape[-2], supports.masks.shape[-1]))
        foreground = masks.float() * 40 - 20
        present = torch.full((pairs, ), 20., device=masks.device)
        return (torch.stack([-present, present], dim=1),
                torch.stack([-foreground, foreground], dim=1))

    def way_presence(  # type: ignore[override]
            self, query: ViTFeatures, supports: LabelingSupports, logits: Tensor,
            shots: Sequence[int]) -> Tensor:
        """As :meth:`FewShotSegmentor.way_presence`: every way is present, whatever a
        prior or a calibration would say."""
        return torch.stack([mean_of_shots(way) for way in logits.split(list(shots))])
