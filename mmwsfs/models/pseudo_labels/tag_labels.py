from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmwsfs.structures import VOID, ViTFeatures


def class_support(images: ViTFeatures) -> ViTFeatures:
    """One support that stands for a class: the mean CLS query, per head, of its images.

    Args:
        images: features of K images of the class.

    Returns:
        ViTFeatures: a batch of one, without tokens; its keys are the first image's.
    """
    first = images[[0]].without_tokens()
    mean = F.normalize(images.cls_query.float(), dim=-1).mean(dim=0, keepdim=True)
    return ViTFeatures(first.tokens, mean.to(first.keys), first.keys, first.grid)


def label_by_tags(labeler: nn.Module, images: ViTFeatures,
                  tags: Sequence[Sequence[int]], supports: Mapping[int, ViTFeatures],
                  size: tuple[int, int], background: int) -> Tensor:
    """Label maps of images of which the classes, but no masks, are known.

    A tag claims the pixels of its pseudo-mask. That is made, as in few-shot testing,
    from a support of the class, for an image of several tags; an image of one tag is
    its own support. A pixel that several tags claim is void, one that none claims is
    background.

    Args:
        labeler: (supports, images, size) -> (P, H, W) bool.
        images: features of B images.
        tags: of every image its class numbers, one at least.
        supports: class number -> a support, a batch of one.
        size: (H, W).
        background: the label of pixels that no tag claims.

    Returns:
        Tensor: (B, H, W) uint8.
    """
    images = images.without_tokens()
    pairs = [(row, tag) for row, row_tags in enumerate(tags) for tag in row_tags]
    masks = labeler(
        ViTFeatures.cat([
            images[[row]] if len(tags[row]) == 1 else supports[tag]
            for row, tag in pairs]),
        images[[row for row, _ in pairs]], size)
    labels = torch.full(
        (len(images), *size), background, dtype=torch.uint8, device=masks.device)
    claims = torch.zeros_like(labels)
    for (row, tag), mask in zip(pairs, masks):
        labels[row].masked_fill_(mask, tag)
        claims[row] += mask
    return labels.masked_fill(claims > 1, VOID)
