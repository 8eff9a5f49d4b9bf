from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mmwsfs.datasets.transforms.pack_episode_inputs import class_pixels
from mmwsfs.structures import VOID


def patch_shares(image: dict, classes: Sequence[int],
                 grid: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """How much of every patch an image's mask gives to some classes.

    Args:
        image: with its labels, as ``FewShotDataset.read_image`` gives it.
        classes: N class numbers.
        grid: (h, w).

    Returns:
        tuple[Tensor, Tensor]: each class's share of a patch, (N, hw), and the share
        that is not void, (hw,), in 0..1.
    """
    maps = [class_pixels(image, number) for number in classes]
    maps.append(image['gt_seg_map'] != VOID)
    shares = F.adaptive_avg_pool2d(
        torch.from_numpy(np.stack(maps).astype(np.float32)), grid).flatten(1)
    return shares[:-1], shares[-1]
