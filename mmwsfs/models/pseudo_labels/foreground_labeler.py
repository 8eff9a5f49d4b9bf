from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from mmwsfs.models.patch_sums import PatchSums
from mmwsfs.registry import MODELS
from mmwsfs.structures import Fitting, ViTFeatures

from .attention_labeler import AttentionLabeler


@MODELS.register_module()
class ForegroundLabeler(AttentionLabeler):
    """Pseudo-masks by what all training images together call foreground.

    The map of one image is noisy; what the maps of many images have in common is less
    so, and holds for new classes. Before training (:meth:`fit_to`) every training image
    says which of its patches are foreground: by its mask or, where it carries none, by
    the attention map's pseudo-mask. The mean key of foreground less that of all
    patches, whitened half-way (by the inverse root of the keys' covariance), is a
    direction that scores any patch; foreground is what lies ``adaptive`` deviations,
    over all training patches, above their mean. All in closed form, from one pass.
    Until then it is an :class:`AttentionLabeler`.

    Args:
        embed_dims (int): width of the backbone, C.
        adaptive (float): of the maps that it learns from, in each map's deviations, and
            of its own scores, in their deviation over all training patches. Defaults
            to 0.5.
        affinity (float, optional): spreads the maps that it learns from, as for
            :class:`AttentionLabeler`. Defaults to 20.
        probe, position_rank: as for :class:`AttentionLabeler`.
    """

    def __init__(self,
                 embed_dims: int,
                 adaptive: float = 0.5,
                 affinity: float | None = 20.,
                 probe: dict | None = None,
                 position_rank: int = 0) -> None:
        super().__init__(
            adaptive=adaptive, affinity=affinity, probe=probe,
            position_rank=position_rank)
        self.offset = adaptive
        # Of the scores, which have mean 0 and deviation 1 over the training patches.
        self.register_buffer('plane', torch.zeros(embed_dims))
        self.register_buffer('bias', torch.zeros(()))

    @property
    def fitted(self) -> bool:
        """Whether it has learned."""
        return bool(self.plane.any())

    @staticmethod
    def patches(image: ViTFeatures) -> Tensor:
        """Keys, those of each head of length 1: (B, hw, C) float."""
        return F.normalize(image.keys.float(), dim=-1).transpose(1, 2).flatten(2)

    @torch.no_grad()
    def fit_to(self, fitting: Fitting) -> None:
        """Learn from the patches of all training images.

        Raises:
            ValueError: no patch is foreground, or all are.
        """
        self.plane.zero_()  # what it learns from are the bare maps
        images = fitting.images
        sums = PatchSums((len(self.plane), ), 1)
        for name in sorted(images.classes):
            image = images[name]
            shares = (image.shares.sum(dim=0) / image.valid.clamp_min(1e-6)).clamp(0, 1)
            sums.add(
                self.patches(image.features)[0].double(), shares[:, None],
                image.valid.double())
        mean, share = sums.patches / sums.weight, sums.shares / sums.weight
        cross = sums.cross[:, 0] / sums.weight - mean * share
        values, vectors = torch.linalg.eigh(
            sums.gram / sums.weight - torch.outer(mean, mean))
        values = values.clamp_min(1e-6 * values[-1])
        plane = vectors @ ((vectors.T @ cross) / values.sqrt())
        deviation = ((vectors.T @ plane).square() * values).sum().sqrt()
        if not deviation > 0:
            raise ValueError(
                'a foreground needs images with masks, or pseudo-masks, that cover a '
                f'part of them: of the training images they cover {float(share):.0%}')
        self.plane.copy_(plane / deviation)
        self.bias.copy_(mean @ plane / deviation)
        fitting.report(
            f'foreground: fitted to {len(images.classes)} images, of which '
            f'{len(images.masked)} carry masks; {float(share):.0%} of their patches '
            'are foreground')

    def maps(self, support: ViTFeatures, image: ViTFeatures) -> Tensor:
        """One map, (B, 1, h, w), foreground above 0; what the support is, is no matter.

        Before it has learned the head maps, (B, H, h, w).
        """
        if not self.fitted:
            return super().maps(support, image)
        with torch.autocast(self.plane.device.type, enabled=False):
            scores = self.patches(image) @ self.plane - self.bias - self.offset
        return scores.unflatten(1, (1, *image.grid))

    def soften(self, scores: Tensor, size: tuple[int, int]) -> Tensor:
        """Scores, (B, h, w), as a soft map, ``(B, *size)`` in 0..1."""
        soft = super().soften(scores, size)
        return soft.clamp(0, 1) if self.fitted else soft

    def binarise(self, soft: Tensor) -> Tensor:
        """Soft maps, (B, H, W), above the threshold: (B, H, W) bool."""
        return soft > 0.5 if self.fitted else super().binarise(soft)
