"""PositionSubspace: what a blank image spans, taken out of keys and tokens."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from mmwsfs.models import AttentionLabeler, DINOv3VisionTransformer
from mmwsfs.models.position_subspace import PositionSubspace, directions, project_out
from mmwsfs.structures import ViTFeatures

SIDE, HEADS, WIDTH, PATCH = 8, 2, 16, 4
SIZE = (SIDE * PATCH, SIDE * PATCH)
PLACES = 3  # directions that tell the place


class MadeBackbone(nn.Module):
    """Keys of what a patch shows, two directions, and of its place, in three others.

    A patch shows its mean colour: the sign of red is object or not, green a detail.
    Its place counts ``strength`` times as much. CLS asks for the object, and for the
    upper left corner.
    """

    def __init__(self, strength: float) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        basis = torch.linalg.qr(
            torch.randn(HEADS, WIDTH, WIDTH, generator=generator))[0]
        self.basis = nn.Parameter(basis)  # (H, directions, D)
        self.strength = strength
        self._calls = 0

    def extract(self, images: Tensor) -> ViTFeatures:
        self._calls += 1
        colour = nn.functional.avg_pool2d(images, PATCH)[:, :2]  # (B, 2, h, w)
        grid = colour.shape[-2:]
        row, column = torch.meshgrid(
            torch.linspace(-1, 1, grid[0]), torch.linspace(-1, 1, grid[1]),
            indexing='ij')
        place = torch.stack([row, column, row * column]).expand(len(images), -1, -1, -1)
        parts = torch.cat([colour, self.strength * place], dim=1).flatten(2)
        keys = torch.einsum('bpn,hpd->bhnd', parts, self.basis[:, :5].to(parts))
        wanted = torch.tensor([1., 0, -self.strength, -self.strength, 0])
        query = (wanted @ self.basis[:, :5].to(parts)).expand(len(images), -1, -1)
        tokens = torch.zeros(len(images), 1, 1 + parts.shape[2], HEADS * WIDTH)
        return ViTFeatures(tokens, query, keys, (grid[0], grid[1]))


@pytest.fixture
def image() -> tuple[Tensor, Tensor]:
    """An object at the lower right, of changing detail, and its mask."""
    mask = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    mask[4:7, 3:8] = True
    generator = torch.Generator().manual_seed(1)
    colour = torch.stack([
        torch.where(mask, 1., -1.),
        0.5 * torch.randn(SIDE, SIDE, generator=generator),
        torch.zeros(SIDE, SIDE)])
    return colour.repeat_interleave(PATCH, 1).repeat_interleave(PATCH, 2)[None], mask


def iou_of(backbone: MadeBackbone, image: tuple[Tensor, Tensor], rank: int,
           affinity: float | None) -> float:
    pixels, truth = image
    labeler = AttentionLabeler(adaptive=0.5, affinity=affinity, position_rank=rank)
    features = PositionSubspace(backbone).for_labeler(
        backbone.extract(pixels), SIZE, labeler)
    mask = labeler(features, features, (SIDE, SIDE))[0]
    return float((mask & truth).sum() / (mask | truth).sum())


@torch.no_grad()
@pytest.mark.parametrize('affinity', [None, 20.])
def test_what_an_image_shows_is_found_again(
        image: tuple[Tensor, Tensor], affinity: float | None) -> None:
    """A place in the keys hides the object; without it the mask is as if none were."""
    without = iou_of(MadeBackbone(0.), image, 0, affinity)
    hidden = iou_of(MadeBackbone(3.), image, 0, affinity)
    assert without > 0.95 and hidden < 0.6
    assert iou_of(MadeBackbone(3.), image, PLACES, affinity) == without
    # A blank image differs in no more directions: none of what images show goes.
    assert iou_of(MadeBackbone(3.), image, WIDTH, affinity) == without
    assert hidden < iou_of(MadeBackbone(3.), image, 2, affinity) <= without
    assert iou_of(MadeBackbone(0.), image, WIDTH, affinity) == without


@torch.no_grad()
def test_directions_are_those_of_the_covariance() -> None:
    """The eigenvectors of the largest eigenvalues, head by head."""
    patches = torch.randn(HEADS, 30, WIDTH) * torch.linspace(3, 0.2, WIDTH)
    found = directions(patches, 4)
    assert found.shape == (HEADS, 4, WIDTH)
    for head in range(HEADS):
        leading = torch.linalg.eigh(torch.cov(patches[head].T))[1][:, -4:]
        torch.testing.assert_close(
            found[head].T @ found[head], leading @ leading.T, atol=1e-4, rtol=0)
    left = project_out(patches, found)
    assert (left @ found.transpose(1, 2)).abs().max() < 1e-4
    assert directions(patches, 99).shape == (HEADS, WIDTH, WIDTH)


@torch.no_grad()
def test_keys_without_a_place_lose_nothing() -> None:
    """Patches that differ by rounding alone span nothing."""
    patches = torch.randn(HEADS, 1, WIDTH).expand(-1, 30, -1)
    noisy = patches * (1 + 1e-7 * torch.randn(HEADS, 30, WIDTH))
    for same in (patches, noisy, torch.zeros(HEADS, 30, WIDTH)):
        assert not directions(same, 4).any()


@torch.no_grad()
def test_one_pass_for_a_size_until_the_backbone_is_another() -> None:
    """Keys and tokens, any rank, from one blank image; other weights, another number
    format and other settings have one of their own."""
    backbone = MadeBackbone(1.)
    positions = PositionSubspace(backbone)

    def calls_for(size: tuple[int, int] = SIZE) -> int:
        before = backbone._calls
        for rank in (1, 2):
            positions.of_keys(size, rank)
            positions.of_tokens(size, [0], rank)
        return backbone._calls - before

    assert calls_for() == 1
    assert calls_for() == 0
    assert calls_for((SIZE[0], 2 * SIZE[1])) == 1
    with torch.no_grad():
        backbone.basis.mul_(1)
    assert calls_for() == 1
    backbone.load_state_dict(MadeBackbone(1.).state_dict())
    assert calls_for() == 1
    backbone.strength = 2.
    assert calls_for() == 1
    backbone.double()
    assert calls_for() == 1
    backbone.float()
    assert calls_for() == 1
    assert calls_for() == 0


def test_features_stay_as_they_are_unless_the_labeler_asks() -> None:
    """The very same ones: for no labeler, one from outside, and by default."""
    backbone = MadeBackbone(1.)
    positions = PositionSubspace(backbone)
    features = backbone.extract(torch.randn(1, 3, *SIZE))
    for labeler in (None, nn.Identity(), AttentionLabeler()):
        assert positions.for_labeler(features, SIZE, labeler) is features
    assert backbone._calls == 1


@pytest.fixture
def one_block() -> DINOv3VisionTransformer:
    """Of one block, whose keys are of patches that have not yet met each other."""
    torch.manual_seed(0)
    backbone = DINOv3VisionTransformer(
        arch=dict(embed_dims=32, num_layers=1, num_heads=2, feedforward_channels=32,
                  swiglu=False), patch_size=8)
    with torch.no_grad():
        backbone.blocks[0].attn.qkv.weight.normal_()
    return backbone


@torch.no_grad()
def test_keys_before_rotation_tell_no_place(
        one_block: DINOv3VisionTransformer) -> None:
    """A patch moved to another place keeps its key; after rotation it doesn't."""
    image = torch.randn(1, 3, 32, 32)
    moved = image.roll((8, 16), dims=(2, 3))
    for rotated in (False, True):
        one_block.rotated_keys = rotated
        keys, moved_keys = (
            one_block.extract(pixels).keys[0].unflatten(1, (4, 4))
            for pixels in (image, moved))
        difference = (keys.roll((1, 2), dims=(1, 2)) - moved_keys).abs().max()
        assert (difference > 1) if rotated else (difference < 1e-4)


@torch.no_grad()
def test_rotated_keys_have_a_subspace_of_their_own(
        one_block: DINOv3VisionTransformer) -> None:
    """Found again when the setting is changed: a blank image's keys differ after the
    rotation alone."""
    positions = PositionSubspace(one_block)
    assert not positions.of_keys((32, 32), 2).any()
    one_block.rotated_keys = True
    rotated = positions.of_keys((32, 32), 2)
    torch.testing.assert_close(
        rotated @ rotated.transpose(1, 2), torch.eye(2).expand(2, -1, -1),
        atol=1e-4, rtol=0)
    one_block.rotated_keys = False
    assert not positions.of_keys((32, 32), 2).any()
