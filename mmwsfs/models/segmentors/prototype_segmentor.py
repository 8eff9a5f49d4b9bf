from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mmwsfs.models.evidence.prototype_maps import support_prototypes
from mmwsfs.registry import MODELS
from mmwsfs.structures import ViTFeatures

from .decision import WayLogits
from .token_segmentor import SLOPE, TokenSegmentor, as_logits, set_likeness


class PrototypeSupports(NamedTuple):
    """What is kept of P supports.

    Attributes:
        prototypes: (P, L', 2, C), their means inside and outside the masks.
        whole: (P, C), the mean of all patches of the first block compared.
        masks: (P, H, W) bool.
    """

    prototypes: Tensor
    whole: Tensor
    masks: Tensor


@MODELS.register_module()
class PrototypeSegmentor(TokenSegmentor):
    """Compares a query with two prototypes of a class: its object, its surroundings.

    No training. A prototype is the mean token inside, or outside, the masks of all K
    supports (after PANet, Wang et al., ICCV 2019, whose features are trained; here they
    are a frozen ViT's, in several blocks, without their place). A patch is of the
    class if it is more like the object than like the surroundings, and by more than the
    middle between the query's most and least likely patch.

    Whether the class is there is asked once more: how like are the patches above that
    middle, as one, to the object, and how like are the photographs as a whole? The mean
    of both cosines is the presence score. A cosine of means is the likeness of patches
    across two photographs, over that within each, so that its threshold is a share.

    Args:
        likeness (float): where the presence score of one support parts present from
            absent; of K supports it follows (:func:`.set_likeness`). Defaults to 0.62.
        **kwargs: as for :class:`.TokenSegmentor`.
    """

    def __init__(self, likeness: float = 0.62, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.likeness = likeness

    def embed_supports(self, support: ViTFeatures, masks: Tensor) -> PrototypeSupports:
        """What is kept of P supports and their masks, (P, H, W) bool."""
        size = (masks.shape[-2], masks.shape[-1])
        prototypes = support_prototypes(
            ViTFeatures(
                support.tokens[:, self.blocks], support.cls_query, support.keys,
                support.grid), masks)
        whole = support.tokens[:, self.blocks[:1], 1:].float().mean(dim=2)
        # To take the place out is linear, and cheaper of means.
        return PrototypeSupports(
            self.without_place(prototypes, size),
            self.without_place(whole.unsqueeze(2), size)[:, 0, 0], masks)

    def way_logits(self, query: ViTFeatures, supports: PrototypeSupports,
                   shots: Sequence[int]) -> WayLogits:
        """As :meth:`.EpisodeSegmentor.way_logits`: a way's supports are one set."""
        size = (supports.masks.shape[-2], supports.masks.shape[-1])
        patches = self.without_place(query.tokens[:, self.blocks, 1:].float(), size)[0]
        unit = F.normalize(patches, dim=-1)
        presence, segmentation = [], []
        for shot, prototypes, whole in zip(
                shots, supports.prototypes.split([*shots]),
                supports.whole.split([*shots])):
            pair = prototypes.mean(dim=0)
            inside, outside = F.normalize(pair, dim=-1).unbind(dim=1)
            closer = (unit @ (inside - outside).unsqueeze(2)).mean(dim=0).squeeze(1)
            middle = (closer.max() + closer.min()) / 2
            found = patches[0][closer >= middle].mean(dim=0)
            score = (
                F.cosine_similarity(found, pair[0, 0], dim=0)
                + F.cosine_similarity(
                    patches[0].mean(dim=0), whole.mean(dim=0), dim=0)) / 2
            presence.append(SLOPE * (score - set_likeness(self.likeness, shot)))
            segmentation.append(
                as_logits(SLOPE * (closer - middle.clamp_min(0)), dim=0).view(
                    1, 2, *query.grid))
        return WayLogits(as_logits(torch.stack(presence), dim=1), segmentation)
