from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mmwsfs.registry import MODELS
from mmwsfs.structures import ViTFeatures

from .clusters import cluster
from .decision import WayLogits
from .token_segmentor import SLOPE, TokenSegmentor, as_logits, set_likeness


class PatchSupports(NamedTuple):
    """What is kept of P supports.

    Attributes:
        patches: (P, L', hw, C), unit vectors.
        inside: (P, hw), 0..1, the share of every patch that is the object.
        whole: (P, C), the mean of all patches of the first block compared.
        masks: (P, H, W) bool.
    """

    patches: Tensor
    inside: Tensor
    whole: Tensor
    masks: Tensor


@MODELS.register_module()
class PatchMatchingSegmentor(TokenSegmentor):
    """Matches patches of a query and of all supports of a class, there and back.

    No training, and no SAM: the line of Matcher (Liu et al., ICLR 2024), GF-SAM (Zhang
    et al., NeurIPS 2024) and INSID3 (2026). From there are the forward and backward
    matches and that whole segments are taken or left. Here the segments are clusters of
    the query's own patches, there is no limit to be set for a match, and the matches
    also say whether the class is there.

    - A query patch *agrees* if the patch that is most like it, of all supports, is the
      object's; by half if half of that patch is. It counts twice where an agreeing
      object patch finds it: one whose likest query patch leads back to the object.
    - The query's patches are clustered (:func:`~.clusters.cluster`). A cluster is of
      the class if its share of agreement is above the middle between the largest and
      the smallest.
    - The class is present as far as the object's patches, those that lead back to the
      object, have matches of high cosine, and the photographs are alike as a whole:
      the mean of both.

    Args:
        clusters (int): into how many a query is parted. Defaults to 10.
        likeness (float): where the presence score parts present from absent. Defaults
            to 0.6.
        **kwargs: as for :class:`.TokenSegmentor`.

    Raises:
        ValueError: ``clusters`` is below 1; or as the parent.
    """

    def __init__(self, clusters: int = 10, likeness: float = 0.6,
                 **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if clusters < 1:
            raise ValueError(f'model.clusters={clusters}: give at least 1')
        self.clusters = clusters
        self.likeness = likeness

    def _patches(self, features: ViTFeatures, size: tuple[int, int]) -> Tensor:
        return self.without_place(features.tokens[:, self.blocks, 1:].float(), size)

    def embed_supports(self, support: ViTFeatures, masks: Tensor) -> PatchSupports:
        """What is kept of P supports and their masks, (P, H, W) bool."""
        patches = self._patches(support, (masks.shape[-2], masks.shape[-1]))
        inside = F.adaptive_avg_pool2d(
            masks.unsqueeze(1).float(), support.grid).flatten(1)
        # Without an object, all of it: as the other segmentors have it.
        inside = torch.where(inside.sum(dim=1, keepdim=True) > 0, inside, 1.)
        return PatchSupports(
            F.normalize(patches, dim=-1), inside, patches[:, 0].mean(dim=1), masks)

    def way_logits(self, query: ViTFeatures, supports: PatchSupports,
                   shots: Sequence[int]) -> WayLogits:
        """As :meth:`.EpisodeSegmentor.way_logits`: a way's supports are one set."""
        patches = self._patches(
            query, (supports.masks.shape[-2], supports.masks.shape[-1]))[0]
        unit = F.normalize(patches, dim=-1)
        cluster_of = cluster(
            F.normalize(unit.transpose(0, 1).flatten(1), dim=1), self.clusters)
        members = F.one_hot(cluster_of, self.clusters).float()
        whole = patches[0].mean(dim=0)
        presence, segmentation = [], []
        parts = (part.split([*shots]) for part in supports[:3])
        for shot, others, inside, wholes in zip(shots, *parts):
            others, inside = others.transpose(0, 1).flatten(1, 2), inside.flatten()
            likeness = self._match_likeness(unit[0] @ others[0].T, inside)
            alike = F.cosine_similarity(whole, wholes.mean(dim=0), dim=0)
            # That with a set, as it would be with one.
            alike = alike * self.likeness / set_likeness(self.likeness, shot)
            presence.append(SLOPE * ((likeness + alike) / 2 - self.likeness))
            agreement, weight = self._agreement(
                (unit @ others.transpose(1, 2)).mean(dim=0), inside)
            shares = (members.T @ (agreement * weight)) / (
                members.T @ weight).clamp_min(1e-6)
            found = shares[cluster_of]
            # Where no patch agrees, none is of the class.
            middle = ((found.max() + found.min()) / 2).clamp_min(0.01)
            segmentation.append(
                as_logits(SLOPE * (found - middle), dim=0).view(1, 2, *query.grid))
        return WayLogits(as_logits(torch.stack(presence), dim=1), segmentation)

    @staticmethod
    def _match_likeness(cosines: Tensor, inside: Tensor) -> Tensor:
        """Mean cosine of the object's matches that lead back to it.

        Args:
            cosines: (Q, S), of query patches with support patches.
            inside: (S,), 0..1.
        """
        best, there = cosines.max(dim=0)
        weight = inside * inside[cosines.argmax(dim=1)[there]]
        return (best * weight).sum() / weight.sum().clamp_min(1e-6)

    @staticmethod
    def _agreement(cosines: Tensor, inside: Tensor) -> tuple[Tensor, Tensor]:
        """How far query patches agree, 0..1, and how much they count, 1 or 2: (Q,)."""
        back = cosines.argmax(dim=1)
        there = cosines.argmax(dim=0)
        agreeing = (inside >= 0.5) & (inside[back[there]] >= 0.5)
        weight = torch.ones_like(inside[back])
        weight[there[agreeing]] = 2
        return inside[back], weight
