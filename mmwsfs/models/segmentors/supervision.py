"""Where the masks that a model learns from, and predicts with, come from."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

SUPERVISIONS = ('pixel', 'image', 'mixed')


def check_supervision(supervision: str | None, labeler: object) -> str:
    """The supervision itself.

    Raises:
        ValueError: there is none, it is unknown, or it needs a labeler.
    """
    if supervision not in SUPERVISIONS:
        raise ValueError(
            f"model.supervision is {supervision!r}: set it to 'pixel', 'image' or "
            "'mixed' (a config of before it was the model's: 'image' where its "
            "custom_hooks have a PseudoLabelHook, 'mixed' where they have a "
            "PseudoLabelEnhancerHook, else 'pixel')")
    if supervision != 'pixel' and labeler is None:
        raise ValueError(
            f"supervision '{supervision}' needs a labeler: set model.labeler, e.g. "
            "to dict(type='AttentionLabeler')")
    return supervision


def choose_masks(supervision: str, given: Sequence[Tensor | None],
                 make: Callable[[], Tensor], role: str) -> Tensor:
    """Of every image the mask that came with it, or its pseudo-mask.

    Args:
        supervision: 'pixel' takes the masks that came with the images, 'image' makes
            all, 'mixed' makes those that are missing.
        given: of B images the mask, (H, W), 0 outside the object, or None.
        make: makes the pseudo-masks, (B, H, W) bool.
        role: 'support' or 'query', for the message.

    Returns:
        Tensor: (B, H, W) bool.

    Raises:
        ValueError: under supervision 'pixel' a mask is missing.
    """
    if supervision == 'image':
        return make()
    if supervision == 'mixed':
        return torch.stack([
            pseudo_mask if mask is None else mask > 0
            for mask, pseudo_mask in zip(given, make())])
    masks = [mask > 0 for mask in given if mask is not None]
    if len(masks) < len(given):
        raise ValueError(
            f"supervision 'pixel' needs {role} masks, but the data carry none: set "
            "masks='all' (in testing support_masks=True as well) in the dataset, or "
            "model.supervision='image'")
    return torch.stack(masks)
