"""PrototypeSegmentor and PatchMatchingSegmentor, against loops over patches."""

import math

import pytest
import torch
import torch.nn.functional as F

from mmwsfs.models import (
    FewShotSegmentor,
    PatchMatchingSegmentor,
    PrototypeSegmentor,
)
from mmwsfs.models.segmentors.clusters import cluster
from mmwsfs.models.segmentors.token_segmentor import set_likeness

SIZE, GRID = 48, 36
RIVALS = [PrototypeSegmentor, PatchMatchingSegmentor]


@pytest.fixture
def build():
    """Makes a rival on a small random backbone that tells patches apart."""

    def make(cls, **kwargs):
        torch.manual_seed(3)
        model = cls(**{**dict(
            backbone=dict(
                type='DINOVisionTransformer',
                arch=dict(embed_dims=24, num_layers=3, num_heads=3,
                          feedforward_channels=48), img_size=32, patch_size=8),
            supervision='pixel',
            labeler=dict(type='AttentionLabeler', adaptive=0.5),
            blocks=[1, 2]), **kwargs})
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.ndim > 1:
                    parameter.normal_(std=(2 / parameter[0].numel())**0.5)
            model.backbone.patch_embed.projection.weight.mul_(4)
        return model.eval()
    return make


def placeless(model, image):
    """(2, 36, 24), projected token by token."""
    blank = model.backbone.extract(torch.zeros(1, 3, SIZE, SIZE)).tokens[0, :, 1:]
    tokens = model.backbone.extract(image[None]).tokens[0, :, 1:]
    rows = []
    for block in (1, 2):
        centred = blank[block] - blank[block].mean(0)
        # The leading eight eigenvectors of what a blank image's tokens vary by.
        _, vectors = torch.linalg.eigh(centred.T @ centred)
        lead = vectors[:, -8:]
        rows.append(tokens[block] - tokens[block] @ lead @ lead.T)
    return torch.stack(rows)


def cosine(a, b):
    return F.cosine_similarity(a, b, dim=-1)


def naive_prototypes(model, query, supports, insides):
    """Presence logit and (36,) logits of pixels of one way."""
    pair = []
    for weights in (insides, [1 - inside for inside in insides]):
        pair.append(torch.stack([
            sum(w * token for w, token in zip(weight, support.unbind(1)))
            / weight.sum() for weight, support in zip(weights, supports)]).mean(0))
    closer = torch.stack([
        (cosine(token, pair[0]) - cosine(token, pair[1])).mean()
        for token in query.unbind(1)])
    middle = (closer.max() + closer.min()) / 2
    found = query[0][closer >= middle].mean(0)
    whole = torch.stack([support[0].mean(0) for support in supports]).mean(0)
    score = (cosine(found, pair[0][0]) + cosine(query[0].mean(0), whole)) / 2
    return 10 * (score - set_likeness(0.62, len(supports))), (
        10 * (closer - middle.clamp_min(0)))


def naive_matching(model, query, supports, insides):
    """The same for matches, patch by patch."""
    inside = torch.cat(insides)
    patches = [token for support in supports for token in support.unbind(1)]
    cosines = torch.stack([
        torch.stack([cosine(q, s) for s in patches]) for q in query.unbind(1)])
    both, first = cosines.mean(2), cosines[..., 0]
    total = weights = 0
    for s in range(len(patches)):
        q = int(first[:, s].argmax())
        weight = inside[s] * inside[first[q].argmax()]
        total, weights = total + weight * first[q, s], weights + weight
    whole = torch.stack([support[0].mean(0) for support in supports]).mean(0)
    alike = cosine(query[0].mean(0), whole) * 0.6 / set_likeness(0.6, len(supports))
    agreement = [float(inside[both[q].argmax()]) for q in range(GRID)]
    weight = [1] * GRID
    for s in range(len(patches)):
        q = int(both[:, s].argmax())
        if inside[s] >= 0.5 and inside[both[q].argmax()] >= 0.5:
            weight[q] = 2
    joint = F.normalize(F.normalize(query, dim=-1).transpose(0, 1).flatten(1), dim=1)
    number = cluster(joint, model.clusters).tolist()
    shares = []
    for q in range(GRID):
        mine = [p for p in range(GRID) if number[p] == number[q]]
        shares.append(sum(weight[p] * agreement[p] for p in mine)
                      / sum(weight[p] for p in mine))
    middle = max((max(shares) + min(shares)) / 2, 0.01)
    return (10 * ((total / weights + alike) / 2 - 0.6),
            10 * (torch.tensor(shares) - middle))


@torch.no_grad()
@pytest.mark.parametrize(('cls', 'naive'), [
    (PrototypeSegmentor, naive_prototypes), (PatchMatchingSegmentor, naive_matching)])
@pytest.mark.parametrize(('way', 'shot'), [(1, 1), (2, 3)])
def test_logits(build, make_batch, cls, naive, way, shot):
    """Of every way by its own supports, as one set."""
    model = build(cls)
    inputs, samples = make_batch(batch=2, way=way, shot=shot)
    presence, segmentation = model(inputs, samples, mode='tensor')
    assert presence.shape == (2, way, 2)
    assert segmentation.shape == (2, way, 1, 2, 6, 6)
    for row in range(2):
        query = placeless(model, inputs['query'][row])
        for n in range(way):
            masks = samples[row].support_masks[n].float()
            logit, pixels = naive(
                model, query,
                [placeless(model, image) for image in inputs['support'][row, n]],
                [F.adaptive_avg_pool2d(mask[None], (6, 6)).flatten() for mask in masks])
            found = presence[row, n].diff()
            torch.testing.assert_close(found[0], logit, rtol=0, atol=2e-3)
            torch.testing.assert_close(
                segmentation[row, n, 0].diff(dim=0).flatten(), pixels,
                rtol=0, atol=2e-3)
    # One patch is above, one below the middle.
    assert (segmentation[..., 1, :, :] > 0).any()
    assert (segmentation[..., 1, :, :] < 0).any()


@torch.no_grad()
@pytest.mark.parametrize('cls', RIVALS)
@pytest.mark.parametrize('supervision', ['pixel', 'image', 'mixed'])
def test_every_supervision(build, make_batch, cls, supervision):
    """Given masks, or the labeler's, which are handed back."""
    model = build(cls, supervision=supervision)
    inputs, samples = make_batch(batch=1, way=2, shot=1)
    given = samples[0].support_masks.clone()
    result, = model(inputs, samples, mode='predict')
    assert torch.equal(result.support_masks, given) == (supervision != 'image')
    assert result.pred_sem_seg.data.shape == (1, SIZE, SIZE)
    assert ((result.presence_scores > 0) & (result.presence_scores < 1)).all()


@torch.no_grad()
@pytest.mark.parametrize('cls', RIVALS)
def test_a_query_is_its_own_likest(build, make_batch, cls):
    """An episode whose support is the query: present, and more so than any other."""
    model = build(cls)
    inputs, samples = make_batch(batch=4, way=1, shot=1)
    inputs['support'][0, 0, 0] = inputs['query'][0]
    scores = [float(sample.presence_scores) for sample in model(
        inputs, samples, mode='predict')]
    assert scores[0] == max(scores) and scores[0] > 0.9


@torch.no_grad()
@pytest.mark.parametrize('cls', [*RIVALS, FewShotSegmentor])
@pytest.mark.parametrize('shot', [1, 2])
def test_negative_supports(build, build_model, make_batch, cls, shot):
    """A negative is asked about as a way of one shot, and held against its way."""
    model = build_model() if cls is FewShotSegmentor else build(cls, gated=False)
    inputs, samples = make_batch(batch=1, way=2, shot=shot)
    plain = model(inputs, samples, mode='predict')[0]
    before = plain.presence_scores.clone(), plain.seg_probs.data.clone()
    # Of the first way a photograph that is the query itself, of the second another.
    negative = torch.randn(1, 2, 1, 3, SIZE, SIZE)
    negative[0, 0, 0] = inputs['query'][0]
    features = model.extract_feat(negative.flatten(0, 2))
    masks = model.negative_masks(features, (SIZE, SIZE))
    assert 0 < masks.float().mean() < 1
    own = model.predict_query(
        model.extract_feat(inputs['query']), model.embed_supports(features, masks),
        [1, 1], (SIZE, SIZE))
    found = model(dict(inputs, negative=negative), samples, mode='predict')[0]
    for mine, now, against in (
            (before[0], found.presence_scores, own.scores),
            (before[1], found.seg_probs.data, own.probs)):
        expected = torch.where(
            against > mine, torch.minimum(mine, 1 - against), mine)
        torch.testing.assert_close(now, expected, rtol=0, atol=1e-4)
    assert found.support_masks.shape == (2, shot, SIZE, SIZE)
    assert not torch.equal(found.seg_probs.data, before[1])


@torch.no_grad()
def test_negatives_without_a_labeler(build):
    """Nobody draws masks of what a class is not: all of the photograph."""
    model = build(PrototypeSegmentor, labeler=None)
    features = model.extract_feat(torch.randn(2, 3, SIZE, SIZE))
    assert model.negative_masks(features, (SIZE, SIZE)).all()


@torch.no_grad()
def test_gated(build, make_batch):
    """An absent way has no mask, unless the class is known to be there."""
    inputs, samples = make_batch(batch=1, way=1, shot=1)
    for gated in (True, False):
        model = build(PrototypeSegmentor, gated=gated, likeness=0.999)
        result, = model(inputs, samples, mode='predict')
        assert result.presence_scores < 0.5
        assert bool(result.pred_sem_seg.data.any()) is not gated


@torch.no_grad()
def test_places_are_of_the_backbone_there_is(build, make_batch):
    """Weights that are loaded later count."""
    model, other = (build(PrototypeSegmentor) for _ in range(2))
    for parameter in other.backbone.parameters():
        parameter.add_(0.1 * torch.randn_like(parameter))
    inputs, samples = make_batch(batch=1)
    wanted = other(inputs, samples, mode='tensor')
    assert not torch.allclose(model(inputs, samples, mode='tensor')[0], wanted[0])
    model.load_state_dict(other.state_dict())
    for found, expected in zip(model(inputs, samples, mode='tensor'), wanted):
        assert torch.equal(found, expected)


def test_default_blocks(build):
    """The last third, whatever their number."""
    assert build(PrototypeSegmentor, blocks=None).blocks == [2]


@pytest.mark.parametrize(('cls', 'settings', 'message'), [
    (PrototypeSegmentor, dict(blocks=[3]), r'model.blocks=\[3\].*blocks 0 to 2'),
    (PrototypeSegmentor, dict(blocks=[]), r'model.blocks=\[\].*at least one'),
    (PatchMatchingSegmentor, dict(clusters=0), 'model.clusters=0: give at least 1'),
    (PrototypeSegmentor, dict(supervision='image', labeler=None), 'needs a labeler')])
def test_bad_settings(build, cls, settings, message):
    with pytest.raises(ValueError, match=message):
        build(cls, **settings)


def test_nothing_to_train(build, make_batch):
    with pytest.raises(ValueError, match='nothing to train: test it by tools/test.py'):
        build(PrototypeSegmentor).loss(*make_batch())


def test_clusters_part_what_differs():
    """Three groups apart from each other are found; equal tokens stay together."""
    generator = torch.Generator().manual_seed(0)
    groups = [0, 1, 2, 1, 0, 2, 2, 1, 0, 0]
    tokens = F.normalize(
        torch.eye(3, 8)[groups] + 0.1 * torch.randn(10, 8, generator=generator), dim=1)
    found = cluster(tokens, 3).tolist()
    assert len(set(zip(groups, found))) == 3 == len(set(found))
    assert cluster(tokens[:2], 10).tolist() in ([0, 1], [1, 0])
    assert cluster(tokens[:1].expand(5, -1), 3).unique().numel() == 1


@pytest.mark.parametrize('shot', [1, 4])
def test_likeness_with_a_set(shot):
    """Unit vectors of mutual cosine c: one more of them has this with their mean."""
    likeness, size = 0.6, shot + 1
    gram = torch.full((size, size), likeness).fill_diagonal_(1)
    vectors = torch.linalg.cholesky(gram)
    found = cosine(vectors[-1], vectors[:-1].mean(0))
    assert math.isclose(float(found), set_likeness(likeness, shot), abs_tol=1e-5)
