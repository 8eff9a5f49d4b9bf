"""Label maps from tags: who claims what."""

from __future__ import annotations

import torch

from mmwsfs.models.pseudo_labels.tag_labels import class_support, label_by_tags
from mmwsfs.structures import ViTFeatures


def features(number: int, images: int = 1) -> ViTFeatures:
    """Of images whose CLS query says what they claim."""
    return ViTFeatures(
        torch.zeros(images, 1, 0, 2), torch.full((images, 1, 2), float(number)),
        torch.zeros(images, 1, 4, 2), (2, 2))


def claim(supports: ViTFeatures, images: ViTFeatures,
          size: tuple[int, int]) -> torch.Tensor:
    """A labeler: a support of CLS n claims the first n columns, for -n the last n."""
    masks = torch.zeros(len(images), *size, dtype=torch.bool)
    for mask, cls in zip(masks, supports.cls_query[:, 0, 0].int().tolist()):
        mask[:, :cls] = cls > 0
        mask[:, cls:] |= cls < 0
    return masks


def test_who_claims_what() -> None:
    """One tag: the image's own CLS. Several: the classes'; twice claimed is void."""
    images = ViTFeatures.cat([features(1), features(3)])
    supports = {5: features(2), 7: features(-3)}
    labels = label_by_tags(claim, images, [[5], [5, 7]], supports, (2, 4), 0)
    assert labels.dtype == torch.uint8
    assert labels.tolist() == [[[5, 0, 0, 0]] * 2, [[5, 255, 7, 7]] * 2]
    other = label_by_tags(claim, images, [[7], [5, 7]], supports, (2, 4), 255)
    assert other[0].tolist() == [[7, 255, 255, 255]] * 2


def test_a_support_of_several_images() -> None:
    """The mean direction of their CLS queries, head by head, whatever their lengths."""
    torch.manual_seed(0)
    images = ViTFeatures(torch.randn(3, 1, 5, 4), torch.randn(3, 2, 2),
                         torch.randn(3, 2, 4, 2), (2, 2))
    support = class_support(images)
    expected = [
        [sum(images.cls_query[i, head, d] / images.cls_query[i, head].norm()
             for i in range(3)) / 3 for d in range(2)] for head in range(2)]
    torch.testing.assert_close(support.cls_query[0], torch.tensor(expected))
    assert len(support) == 1 and support.tokens.shape[2] == 0
