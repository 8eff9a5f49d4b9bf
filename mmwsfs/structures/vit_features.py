from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class ViTFeatures:
    """What one pass of a frozen ViT gives for B images.

    L blocks, H heads, width C = H * D, h x w patches. Position 0 on the token axis
    is CLS, then the patches row by row.

    Attributes:
        tokens: (B, L, 1 + hw, C), the residual stream after every block, put through
            the ViT's final LayerNorm.
        queries: (B, H, 1 + hw, D), queries of the last block.
        keys: (B, H, 1 + hw, D), keys of the last block.
        grid: (h, w).
        thumbnail: (B, 3, 4 * h, 4 * w), the normalised images, averaged to 4 pixels a
            side of a patch; None where a backbone gives none.
    """

    tokens: Tensor
    queries: Tensor
    keys: Tensor
    grid: tuple[int, int]
    thumbnail: Tensor | None = None

    def map(self, function) -> ViTFeatures:
        """Apply ``function`` to the tensors."""
        return ViTFeatures(
            function(self.tokens), function(self.queries), function(self.keys),
            self.grid,
            None if self.thumbnail is None else function(self.thumbnail))

    def __getitem__(self, index) -> ViTFeatures:
        """Select images: ``index`` is anything that keeps the batch axis."""
        return self.map(lambda tensor: tensor[index])

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def nbytes(self) -> int:
        """Bytes the tensors take."""
        thumbnail = 0 if self.thumbnail is None else self.thumbnail.nbytes
        return (self.tokens.nbytes + self.queries.nbytes + self.keys.nbytes
                + thumbnail)

    @classmethod
    def cat(cls, parts: Sequence[ViTFeatures]) -> ViTFeatures:
        """Join batches of one grid.

        Raises:
            ValueError: the parts are of different grids, or only some have thumbnails.
        """
        grids = {part.grid for part in parts}
        if len(grids) != 1:
            raise ValueError(
                f'images of one batch have different token grids {sorted(grids)}: '
                'resize them to one size in the pipeline')
        thumbnails = [part.thumbnail for part in parts if part.thumbnail is not None]
        if len(thumbnails) not in (0, len(parts)):
            raise ValueError(
                f'of {len(parts)} batches of features {len(thumbnails)} carry '
                'thumbnails: take all from one backbone')
        return cls(
            torch.cat([part.tokens for part in parts]),
            torch.cat([part.queries for part in parts]),
            torch.cat([part.keys for part in parts]), grids.pop(),
            torch.cat(thumbnails) if thumbnails else None)
