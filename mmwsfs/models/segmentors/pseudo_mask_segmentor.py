from __future__ import annotations

import torch
from torch import Tensor

from mmwsfs.registry import MODELS
from mmwsfs.structures import ViTFeatures

from .few_shot_segmentor import FewShotSegmentor


@MODELS.register_module()
class PseudoMaskSegmentor(FewShotSegmentor):
    """The baseline that learns nothing: the bare pseudo-mask of the query.

    The labeler's query map is the prediction and every way is called present. What a
    trained model adds is seen beside it, on the same episodes. Its supervision is
    'image' from the start.

    Args:
        **kwargs: as for :class:`FewShotSegmentor`, with a ``labeler``.
    """

    def __init__(self, **kwargs) -> None:
        super().__init__(**kwargs)
        self.supervision = 'image'

    def pair_logits(self, query: ViTFeatures, support: ViTFeatures, masks: Tensor,
                    way_shot: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """As :meth:`FewShotSegmentor.pair_logits`; logits are +-20, certain."""
        way, shot = way_shot
        repeated = query[torch.arange(len(query)).repeat_interleave(way * shot)]
        found = self.labeler(support, repeated, tuple(masks.shape[-2:]))
        foreground = found.unflatten(0, (len(query), way, shot)).float() * 40 - 20
        present = torch.full((len(query), way, shot), 20., device=masks.device)
        return (torch.stack([-present, present], dim=3),
                torch.stack([-foreground, foreground], dim=3))
