"""EnhancedLabeler: masks by a network, which is frozen and fitted before training."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmwsfs.engine import TrainableOptimWrapperConstructor
from mmwsfs.models import EnhancedLabeler, PseudoLabelEnhancer
from mmwsfs.structures import ViTFeatures
from mmwsfs.utils.checkpoint_file import write_checkpoint

HEADS, GRID, SIZE = 3, (4, 5), (16, 20)


def features(seed):
    generator = torch.Generator().manual_seed(seed)
    patches = GRID[0] * GRID[1]
    return ViTFeatures(
        torch.zeros(2, 2, 1 + patches, HEADS * 6),
        torch.randn(2, HEADS, 6, generator=generator),
        torch.randn(2, HEADS, patches, 6, generator=generator), GRID)


def cosine_maps(support, image):
    """(B, H, h, w), head by head and patch by patch."""
    maps = torch.empty(2, HEADS, *GRID)
    for b in range(2):
        for head in range(HEADS):
            for patch in range(GRID[0] * GRID[1]):
                maps[b, head, patch // GRID[1], patch % GRID[1]] = F.cosine_similarity(
                    support.cls_query[b, head], image.keys[b, head, patch], dim=0)
    return maps


@pytest.fixture
def labeler():
    torch.manual_seed(0)
    return EnhancedLabeler(dict(type='PseudoLabelEnhancer', num_heads=HEADS))


def test_masks(labeler):
    """The enhancer on the head maps, upsampled, as probability, above the half."""
    support, image = features(0), features(1)
    logits = labeler.enhancer(cosine_maps(support, image))
    expected = 1 / (1 + (-F.interpolate(
        logits[:, None], SIZE, mode='bilinear', align_corners=True)[:, 0]).exp())
    soft = labeler.soften(labeler.scores(support, image), SIZE)
    torch.testing.assert_close(soft, expected, rtol=1e-4, atol=1e-5)
    masks = labeler(support, image, SIZE)
    assert masks.dtype == torch.bool and masks.shape == (2, *SIZE)
    assert torch.equal(masks, soft > 0.5)


def test_is_frozen_but_part_of_the_model(labeler):
    """The segmentor's optimizer must not touch it, its checkpoint must hold it."""
    model = nn.ModuleDict(dict(labeler=labeler, head=nn.Conv2d(1, 1, 1)))
    constructor = TrainableOptimWrapperConstructor(dict(
        type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3)))
    trained = {id(p) for group in constructor(model).param_groups
               for p in group['params']}
    assert trained == {id(p) for p in model['head'].parameters()}
    assert 'labeler.enhancer.layers.0.weight' in model.state_dict()


def test_a_trained_network_is_left_as_it_is(make_fitting, tmp_path):
    """One from a file learns nothing more, needs no mask, and the log names the file.
    """
    path = write_checkpoint(
        dict(state_dict=PseudoLabelEnhancer(HEADS).state_dict()), tmp_path / 'e.pth')
    labeler = EnhancedLabeler(dict(
        type='PseudoLabelEnhancer', num_heads=HEADS,
        init_cfg=dict(type='Pretrained', checkpoint=str(path))))
    labeler.init_weights()
    before = {name: x.clone() for name, x in labeler.state_dict().items()}
    fitting, reports = make_fitting({}, 3)
    labeler.fit_to(fitting)
    assert all(torch.equal(x, before[name])
               for name, x in labeler.state_dict().items())
    assert str(path) in reports[0][0]
    assert not (tmp_path / 'enhancer').exists()


def test_needs_images_with_masks(labeler, make_fitting):
    """There is nothing to learn from: the error says how to give masks."""
    fitting, _ = make_fitting({}, 3)
    with pytest.raises(ValueError, match='no training image.*dataset.masks'):
        labeler.fit_to(fitting)
