from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from mmwsfs.structures import ViTFeatures

NOISE = 1e-4  # of the features' size: patches that differ by less do not differ


def directions(patches: Tensor, rank: int) -> Tensor:
    """The leading directions in which patches differ, in closed form.

    Args:
        patches: (..., hw, C), in single precision.
        rank: R, how many; no more than there can be are given.

    Returns:
        Tensor: (..., R, C), orthonormal; 0 where the patches differ in fewer.
    """
    centred = patches - patches.mean(dim=-2, keepdim=True)
    _, values, vectors = torch.linalg.svd(centred, full_matrices=False)
    size = torch.linalg.matrix_norm(patches)[..., None]
    return (vectors * (values > NOISE * size)[..., None])[..., :rank, :]


def project_out(patches: Tensor, subspace: Tensor) -> Tensor:
    """Patches, (..., n, C), without their part in a subspace, (..., R, C)."""
    return patches - patches @ subspace.transpose(-2, -1) @ subspace


def _state(backbone: nn.Module) -> tuple:
    """What tells, at once, whether a backbone's features may be others than before.

    Its settings, and of every parameter where it lies, how often it was written, and
    its number format. To digest the weights takes as long as a pass.
    """
    settings = {name: value for name, value in vars(backbone).items()
                if name[0] != '_' and isinstance(value, (bool, int, float, str))}
    return settings, [(value.data_ptr(), value._version, value.dtype)
                      for value in backbone.parameters()]


class PositionSubspace:
    """The directions in which a ViT's features tell where in the image they are.

    A blank image shows nothing: its patches differ by their places alone, and the
    directions in which they do are taken out of others' (as INSID3, 2026, does with
    tokens). The blank image goes through the backbone once for every image size, and
    again if the backbone has other weights, another number format or other settings.

    Args:
        backbone: frozen, with ``extract(images) -> ViTFeatures``.
    """

    def __init__(self, backbone: nn.Module) -> None:
        self._backbone: Any = backbone
        self._state: object = None
        self._blank: dict[tuple[int, int], ViTFeatures] = {}
        self._directions: dict[tuple, Tensor] = {}

    def _of(self, size: tuple[int, int], part: tuple, rank: int) -> Tensor:
        state = _state(self._backbone)
        if state != self._state:
            self._state = state
            self._blank.clear()
            self._directions.clear()
        if (size, part, rank) not in self._directions:
            blank = self._features(size)
            patches = (blank.tokens[0, list(part), 1:] if part else blank.keys[0])
            self._directions[size, part, rank] = directions(patches.float(), rank)
        return self._directions[size, part, rank]

    @torch.no_grad()
    def _features(self, size: tuple[int, int]) -> ViTFeatures:
        if size not in self._blank:
            device = next(self._backbone.parameters()).device
            with torch.autocast(device.type, enabled=False):
                self._blank[size] = self._backbone.extract(
                    torch.zeros(1, 3, *size, device=device))
        return self._blank[size]

    def of_tokens(self, size: tuple[int, int], blocks: Sequence[int],
                  rank: int) -> Tensor:
        """Of the tokens of some blocks, (L', R, C).

        Args:
            size: (H, W) of the images.
            blocks: numbers of L' blocks.
            rank: R, the leading ones.
        """
        return self._of(size, tuple(blocks), rank)

    def of_keys(self, size: tuple[int, int], rank: int) -> Tensor:
        """Of the keys of every head, (H, R, D); arguments as above."""
        return self._of(size, (), rank)

    def for_labeler(self, features: ViTFeatures, size: tuple[int, int],
                    labeler: Any) -> ViTFeatures:
        """Features as a labeler wants them.

        Args:
            features: of B images.
            size: (H, W) of the images.
            labeler: if it has a ``position_rank`` above 0, the keys go without so many
                directions of each head; None, or one without, takes them as they are.
        """
        rank = getattr(labeler, 'position_rank', 0)
        if not rank:
            return features
        keys = features.keys
        with torch.autocast(keys.device.type, enabled=False):
            subspace = self.of_keys(size, rank).to(keys.device)
            return replace(
                features, keys=project_out(keys.float(), subspace).to(keys.dtype))
