"""Published results that a run can be compared with.

All are exact ratio and mIoU in per cent, means over the four folds of 1000 episodes
each, of few-shot classification and segmentation ('FS-CS'), with void pixels as
background. The methods' published code chooses the checkpoint on episodes of the test
classes.
"""

from __future__ import annotations

from typing import NamedTuple

PROTOCOL = 'FS-CS'
VOID = 'background'
FOLDS = 4
EPISODES = 1000

# Type of the dataset -> name of the benchmark.
BENCHMARKS = {'Pascal5iDataset': 'Pascal-5i', 'Coco20iDataset': 'COCO-20i'}
# Name of the benchmark -> folder of the published lists below data_root.
LISTS = {'Pascal-5i': 'splits/pascal5i', 'COCO-20i': 'splits/coco20i'}
# Supervision -> share of the training images with masks; what a test support carries.
MASK_SHARES = {'image': 0., 'pixel': 1.}
SUPPORTS = {'image': 'tag', 'pixel': 'mask'}


class Published(NamedTuple):
    """One row of a paper's table.

    Attributes:
        method: name and backbone.
        supervision: 'image' or 'pixel', the labels it was trained with.
        source: where the numbers were published.
        scores: (benchmark, way, shot) -> (exact ratio, mIoU).
    """

    method: str
    supervision: str
    source: str
    scores: dict[tuple[str, int, int], tuple[float, float]]


_CST = 'Kang et al., CVPR 2023'
_EMAT = 'Carrion-Ojeda et al., GCPR 2025'

PUBLISHED = (
    Published('CST, DINO ViT-S/8', 'image', _CST, {
        ('Pascal-5i', 1, 1): (79.9, 33.2), ('Pascal-5i', 2, 1): (64.6, 31.9),
        ('COCO-20i', 1, 1): (78.2, 19.6), ('COCO-20i', 2, 1): (62.4, 18.3)}),
    Published('CST, DINO ViT-S/8', 'pixel', _CST, {
        ('Pascal-5i', 1, 1): (85.7, 55.5), ('Pascal-5i', 2, 1): (70.4, 53.7),
        ('COCO-20i', 1, 1): (80.8, 38.3), ('COCO-20i', 2, 1): (64.0, 36.2)}),
    Published('ASNet, ResNet-50', 'pixel', 'Kang and Cho, CVPR 2022', {
        ('Pascal-5i', 1, 1): (84.9, 52.3), ('Pascal-5i', 2, 1): (68.3, 47.8),
        ('COCO-20i', 1, 1): (78.6, 35.8), ('COCO-20i', 2, 1): (63.1, 31.6)}),
    Published('CST, DINOv2 ViT-S/14', 'pixel', _EMAT, {
        ('Pascal-5i', 2, 1): (80.6, 63.3), ('COCO-20i', 2, 1): (78.7, 51.5)}),
    Published('EMAT, DINOv2 ViT-S/14', 'pixel', _EMAT, {
        ('Pascal-5i', 2, 1): (82.7, 63.4), ('COCO-20i', 2, 1): (80.1, 52.8)}),
)
