from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class TokenGrid:
    """Tokens of B images after L blocks: all that a pair of images is compared by.

    Attributes:
        tokens: (B, L, 1 + hw, C). Position 0 is CLS, then the patches row by row.
        grid: (h, w).
    """

    tokens: Tensor
    grid: tuple[int, int]

    def __len__(self) -> int:
        return len(self.tokens)


@dataclass(frozen=True)
class ViTFeatures:
    """What one pass of a frozen ViT gives for B images.

    L blocks, H heads, width C = H * D, h x w patches.

    Attributes:
        tokens: (B, L, 1 + hw, C), the residual stream after every block, put through
            the ViT's final LayerNorm. Position 0 is CLS, then the patches row by row.
        cls_query: (B, H, D), the last block's attention query of CLS.
        keys: (B, H, hw, D), the last block's attention keys of the patches.
        grid: (h, w).
    """

    tokens: Tensor
    cls_query: Tensor
    keys: Tensor
    grid: tuple[int, int]

    def map(self, function: Callable[[Tensor], Tensor]) -> ViTFeatures:
        """Apply ``function`` to the tensors."""
        return ViTFeatures(
            function(self.tokens), function(self.cls_query), function(self.keys),
            self.grid)

    def __getitem__(self, index: slice | Sequence[int] | Tensor) -> ViTFeatures:
        """Select images; numbers that follow each other are not copied."""
        if isinstance(index, Sequence):
            start, stop = index[0], index[0] + len(index)
            if list(index) == list(range(start, stop)):
                index = slice(start, stop)
        return self.map(lambda tensor: tensor[index])

    def without_tokens(self) -> ViTFeatures:
        """A copy of what pseudo-masks are made of; its tokens are of no positions."""
        return ViTFeatures(
            self.tokens[:, :, :0].clone(), self.cls_query.clone(), self.keys.clone(),
            self.grid)

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def nbytes(self) -> int:
        """Bytes the tensors take."""
        return self.tokens.nbytes + self.cls_query.nbytes + self.keys.nbytes

    @classmethod
    def cat(cls, parts: Sequence[ViTFeatures]) -> ViTFeatures:
        """Join batches of one grid.

        Raises:
            ValueError: the parts are of different grids.
        """
        grids = {part.grid for part in parts}
        if len(grids) != 1:
            raise ValueError(
                f'images of one batch have different token grids {sorted(grids)}: '
                'resize them to one size in the pipeline')
        return cls(
            torch.cat([part.tokens for part in parts]),
            torch.cat([part.cls_query for part in parts]),
            torch.cat([part.keys for part in parts]), grids.pop())
