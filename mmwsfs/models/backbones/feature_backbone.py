from __future__ import annotations

from abc import abstractmethod

import torch
from mmengine.model import BaseModule
from torch import Tensor

from mmwsfs.structures import ViTFeatures

from .dino_vit import IMAGES_AT_ONCE
from .frozen_dtype import own_precision
from .onednn_linear import onednn_linear


class FeatureBackbone(BaseModule):
    """Another library's backbone, as a few-shot model asks for one.

    A child has ``num_layers``, ``num_heads`` and ``embed_dims`` and says what the
    features of some images are (:meth:`features`).

    Args:
        frozen (bool): no gradient, and evaluation mode even through ``train()``.
        init_cfg (dict, optional): as for ``BaseModule``. Defaults to None.
    """

    num_layers: int
    num_heads: int
    embed_dims: int

    def __init__(self, frozen: bool, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.frozen = frozen

    def freeze(self) -> None:
        """To be called by a child once it is built; nothing where it trains."""
        if self.frozen:
            self.requires_grad_(False)
            self.train(False)

    def train(self, mode: bool = True) -> FeatureBackbone:
        """Set the mode; a frozen backbone stays in evaluation mode."""
        super().train(mode and not self.frozen)
        return self

    @abstractmethod
    def features(self, images: Tensor) -> ViTFeatures:
        """Of B images, (B, 3, H, W)."""

    def extract(self, images: Tensor) -> ViTFeatures:
        """Features of B images, (B, 3, H, W); a frozen backbone takes some at a time.
        """
        at_once = len(images)
        if self.frozen:
            at_once = IMAGES_AT_ONCE.get(images.device.type, at_once)
        with own_precision(self, images.device), torch.set_grad_enabled(
                torch.is_grad_enabled() and not self.frozen), onednn_linear(
                    images.device):
            parts = [self.features(part) for part in images.split(at_once)]
        return parts[0] if len(parts) == 1 else ViTFeatures.cat(parts)
