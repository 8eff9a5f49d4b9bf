"""PseudoMaskSegmentor: the labeler's mask of the query is the prediction."""

import numpy as np
import pytest
import torch

from mmwsfs.models import PseudoMaskSegmentor
from mmwsfs.models.position_subspace import directions, project_out
from mmwsfs.structures import LazyImage, LazyImages

SIZE = 48


@pytest.mark.parametrize('way, shot', [(1, 1), (3, 1), (2, 3)])
@torch.no_grad()
def test_prediction_is_the_bare_pseudo_mask(build_model, make_batch, way, shot):
    """Most votes of the shots; a way is background unless half of them say so."""
    model = build_model(PseudoMaskSegmentor)
    inputs, samples = make_batch(way=way, shot=shot, masks=False)
    for index, result in enumerate(model(inputs, samples, mode='predict')):
        query = model.backbone.extract(inputs['query'][index:index + 1])
        votes = torch.zeros(way, SIZE, SIZE)
        for n in range(way):
            for k in range(shot):
                support = model.backbone.extract(inputs['support'][index, n, k][None])
                votes[n] += model.labeler(support, query, (SIZE, SIZE))[0]
        assert votes.max() > 0 and votes.min() < shot
        expected = torch.zeros(SIZE, SIZE, dtype=torch.uint8)
        for row in range(SIZE):
            for column in range(SIZE):
                counts = votes[:, row, column].tolist()
                if max(counts) * 2 > shot:
                    expected[row, column] = counts.index(max(counts)) + 1
        # Rounding at the threshold may move two pixels in a thousand.
        differing = result.pred_sem_seg.data[0] != expected
        assert differing.float().mean() < 2e-3
        assert (result.presence_scores > 0.5).all()


@torch.no_grad()
@pytest.mark.parametrize('supervision', ['pixel', 'mixed', None])
def test_masks_of_the_data_play_no_part(build_model, make_batch, supervision):
    """Whatever supervision the config of the model beside it has."""
    model = build_model(PseudoMaskSegmentor, supervision=supervision)
    assert model.supervision == 'image'
    inputs, samples = make_batch()
    first = [x.pred_sem_seg.data for x in model(inputs, samples, mode='predict')]
    for sample in samples:
        del sample.support_masks, sample.gt_sem_seg
    second = [x.pred_sem_seg.data for x in model(inputs, samples, mode='predict')]
    for x, y in zip(first, second):
        assert torch.equal(x, y)


@torch.no_grad()
def test_keys_go_without_their_place_where_the_labeler_says_so(build_model):
    """Of images and of cached features alike; these are kept as they were."""
    plain, model = (
        build_model(PseudoMaskSegmentor, cache=dict(ram_gb=1), labeler=dict(
            type='AttentionLabeler', adaptive=0.5, position_rank=rank))
        for rank in (0, 3))
    model.cache = plain.cache
    plain.cache.bind(plain.backbone)
    pixels = torch.randn(3, SIZE, SIZE)
    images = LazyImages(
        np.array([LazyImage('1', (SIZE, SIZE), lambda: pixels)], dtype=object),
        torch.stack)
    blank = model.backbone.extract(torch.zeros(1, 3, SIZE, SIZE)).keys[0]
    subspace = directions(blank, 3)
    before = plain.extract_feat(images)
    for given, tolerance in ((pixels[None], 1e-5), (images, 1e-2)):
        found = model.extract_feat(given)
        torch.testing.assert_close(
            found.keys.float(), project_out(before.keys.float(), subspace),
            atol=1e-2, rtol=1e-2)
        assert found.keys.dtype == plain.extract_feat(given).keys.dtype
        assert (found.keys.float() @ subspace.transpose(1, 2)).abs().max() < tolerance
    assert torch.equal(plain.extract_feat(images).keys, before.keys)
    assert (before.keys.float() @ subspace.transpose(1, 2)).abs().max() > 0.1
    assert len(plain.cache) == 1


def test_needs_a_labeler(build_model):
    """It has nothing else to predict with."""
    with pytest.raises(ValueError, match='needs a labeler: set model.labeler'):
        build_model(PseudoMaskSegmentor, labeler=None)
