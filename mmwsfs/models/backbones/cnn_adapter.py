from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from mmwsfs.registry import MODELS
from mmwsfs.structures import ViTFeatures

from .feature_backbone import FeatureBackbone


@MODELS.register_module()
class CNNAdapter(FeatureBackbone):
    """A CNN under a few-shot model: its stages are the layers.

    The stages' maps are resized to the grid of one of them. Their channels are split
    into heads, and every head is filled up with zeros to the width of the widest
    stage's: zeros change no cosine, which is all that the correlation transformer
    reads.

    A CNN has neither CLS nor attention. CLS is the mean over the patches of each
    layer; its query is that of the last stage, and keys are the last stage's patches.
    A cosine with the mean says what is common in an image, not what is its object:
    pseudo-masks of it are poor, and ``supervision='pixel'`` is what suits a CNN. A
    :class:`~mmwsfs.models.DiscriminantMetric`, which inverts covariances, cannot be
    fitted to channels that are always zero.

    Args:
        cnn (dict): config of a backbone that gives a tuple of maps, (B, C_l, h_l, w_l),
            of mmseg or mmpretrain, with its ``init_cfg``.
        channels (Sequence[int]): C_l of these maps.
        num_heads (int): H, into which every stage is split; divides all of
            ``channels``. Defaults to 8.
        grid_stage (int): number of the stage whose grid all take. Defaults to -2, the
            last but one.
        frozen (bool): see :class:`FeatureBackbone`. Defaults to True.

    Raises:
        ValueError: a number of channels is no multiple of ``num_heads``.
    """

    def __init__(self,
                 cnn: dict,
                 channels: list[int],
                 num_heads: int = 8,
                 grid_stage: int = -2,
                 frozen: bool = True) -> None:
        super().__init__(frozen)
        if any(width % num_heads for width in channels):
            raise ValueError(
                f'channels {list(channels)} must be multiples of num_heads '
                f'({num_heads})')
        self.cnn = MODELS.build(cnn)
        self.channels = tuple(channels)
        self.num_layers = len(channels)
        self.num_heads = num_heads
        self.embed_dims = max(channels)
        self.grid_stage = grid_stage
        self.freeze()

    def features(self, images: Tensor) -> ViTFeatures:
        """Of B images, (B, 3, H, W).

        Raises:
            ValueError: the CNN's maps are not of ``channels``.
        """
        stages = self.cnn(images)
        widths = tuple(stage.shape[1] for stage in stages)
        if widths != self.channels:
            raise ValueError(
                f'the CNN gives maps of {widths} channels, but CNNAdapter was told '
                f'{self.channels}: set model.backbone.channels, or out_indices of '
                'model.backbone.cnn')
        grid = tuple(stages[self.grid_stage].shape[-2:])
        layers = []
        for stage in stages:
            if tuple(stage.shape[-2:]) != grid:
                stage = F.interpolate(
                    stage, grid, mode='bilinear', align_corners=False)
            heads = stage.flatten(2).transpose(1, 2).unflatten(
                -1, (self.num_heads, -1))
            missing = self.embed_dims // self.num_heads - heads.shape[-1]
            layers.append(F.pad(heads, (0, missing)))
        patches = torch.stack(layers, dim=1)
        cls = patches.mean(dim=2, keepdim=True)
        tokens = torch.cat([cls, patches], dim=2).flatten(-2)
        last = patches[:, -1].transpose(1, 2)
        return ViTFeatures(tokens, last.mean(dim=2), last, grid)
