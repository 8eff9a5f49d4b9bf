from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mmwsfs.models.build_part import build_part
from mmwsfs.models.position_subspace import project_out

from .episode_segmentor import EpisodeSegmentor

POSITION_RANK = 8  # directions in which tokens tell where they are
SLOPE = 10.  # from a difference of cosines to a logit


def as_logits(logit: Tensor, dim: int) -> Tensor:
    """The two logits whose difference is ``logit``, in a new axis ``dim``."""
    return torch.stack([-logit / 2, logit / 2], dim=dim)


def set_likeness(likeness: float, shot: int) -> float:
    """The cosine with the mean of K vectors that is worth as much as one with one.

    It is that of a vector which is as like each of K as these are each other.

    Args:
        likeness: 0..1, with one.
        shot: K.
    """
    return likeness / ((1 + (shot - 1) * likeness) / shot)**0.5


class TokenSegmentor(EpisodeSegmentor):
    """What compares the tokens of a ViT as they are: nothing is learned.

    Tokens of some blocks are compared by cosines, without what they tell of their
    place: of the directions in which the tokens of a blank image differ the leading
    eight of each block are projected out (:class:`.PositionSubspace`).

    Args:
        backbone (dict): see :class:`.EpisodeSegmentor`.
        blocks (Sequence[int], optional): numbers of the blocks, from 0, the first one
            of which says whether the class is present, and all of which say where: an
            earlier block tells better what a photograph shows as a whole. Defaults to
            None: the last third, 8 to 11 of 12.
        gated (bool): whether a pixel is no more probable than its way is present, so
            that an absent way has no mask. False for few-shot segmentation, where the
            class is there. Defaults to True.
        supervision, labeler, cache, data_preprocessor, init_cfg: see
            :class:`.EpisodeSegmentor`.
        pretrained, train_cfg: always None; ``mmseg.apis.init_model`` gives them.

    Raises:
        ValueError: a block that the backbone does not have; or as the parent.
    """

    def __init__(self,
                 backbone: dict,
                 blocks: Sequence[int] | None = None,
                 gated: bool = True,
                 supervision: str | None = None,
                 labeler: dict | None = None,
                 cache: dict | None = None,
                 data_preprocessor: dict | None = None,
                 init_cfg: dict | None = None,
                 pretrained: None = None,
                 train_cfg: None = None) -> None:
        super().__init__(
            backbone, supervision, labeler, cache, data_preprocessor, init_cfg)
        self.gated = gated
        self.labeler = build_part(labeler, **self.sizes)
        count = self.sizes['num_layers']
        self.blocks = list(range(2 * count // 3, count) if blocks is None else blocks)
        if not self.blocks or not all(0 <= block < count for block in self.blocks):
            raise ValueError(
                f'model.blocks={self.blocks}: the backbone has the blocks 0 to '
                f'{count - 1}, name at least one of them')

    def without_place(self, patches: Tensor, size: tuple[int, int]) -> Tensor:
        """Patches, or means of patches, (B, n, T, C), without what tells their place.

        Args:
            patches: of the first n of the ``blocks``, in single precision.
            size: (H, W) of the images.
        """
        subspace = self.positions.of_tokens(size, self.blocks, POSITION_RANK)
        return project_out(patches, subspace[:patches.shape[1]].to(patches.device))
