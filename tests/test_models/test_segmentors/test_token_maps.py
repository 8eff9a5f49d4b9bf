"""A pair's way: metric, neck, prototype maps; and supports that serve many queries."""

import pytest
import torch
import torch.nn.functional as F

SIZE, GRID, LAYERS = 48, (6, 6), 2
PARTS = dict(
    metric=dict(type='DiscriminantMetric'), prototypes=dict(type='PrototypeMaps'),
    prior=dict(type='WholeImagePrior'))


@pytest.fixture
def model(build_model):
    """With every part, a metric that changes tokens, and moments of some training."""
    model = build_model(**PARTS)
    generator = torch.Generator().manual_seed(2)
    for name, buffer in model.named_buffers():
        if name.startswith('metric.') or name.endswith('mean'):
            buffer.copy_(0.3 * torch.randn(buffer.shape, generator=generator))
        elif name.endswith('var'):
            buffer.copy_(0.5 + torch.rand(buffer.shape, generator=generator))
    return model.eval()


@pytest.fixture
def pairs(model):
    """Features of 2 queries and 4 supports, masks, and each support's query."""
    generator = torch.Generator().manual_seed(3)
    query, support = (
        model.backbone.extract(torch.randn(n, 3, SIZE, SIZE, generator=generator))
        for n in (2, 4))
    masks = torch.zeros(4, SIZE, SIZE, dtype=torch.bool)
    for number in range(4):
        masks[number, 4:12 + 6 * number, 8 * number:16 + 8 * number] = True
    return query, support, masks, [0, 0, 1, 1]


def in_space(metric, tokens):
    """(L, 1 + hw, C), token by token."""
    rows = []
    for layer in range(LAYERS):
        offsets = torch.cat([
            metric.cls_offset[layer],
            metric.patch_offset[layer].expand(tokens.shape[1] - 1, -1)])
        rows.append(torch.stack([
            token @ metric.matrix[layer] - offset
            for token, offset in zip(tokens[layer], offsets)]))
    return torch.stack(rows)


def naive_maps(query, support, inside):
    """Patch by patch: (2 * L, hw) cosines with the two weighted means."""
    rows = []
    for weights in (inside, 1 - inside):
        for layer in range(LAYERS):
            mean = sum(weight * patch for weight, patch in zip(
                weights / weights.sum(), support[layer, 1:]))
            rows.append(torch.stack([
                F.cosine_similarity(patch, mean, dim=0) for patch in query[layer, 1:]]))
    return torch.stack(rows)


@torch.no_grad()
def test_prototype_maps_are_appended(model, pairs):
    """To both token maps, of the tokens in the metric's space, standardised."""
    query, support, masks, query_of = pairs
    cls_map, seg_map = model.token_maps(
        query, model.embed_supports(support, masks), query_of)
    assert cls_map.shape == seg_map.shape == (4, 16 + 2 * LAYERS, *GRID)
    assert model.cls_head.layers[0].in_channels == 16 + 2 * LAYERS
    assert model.seg_head.layers[0].in_channels == 16 + 2 * LAYERS
    assert torch.equal(cls_map[:, 16:], seg_map[:, 16:])
    moments = model.prototypes.moments
    inside = F.adaptive_avg_pool2d(masks[:, None].float(), GRID).flatten(1)
    for pair, number in enumerate(query_of):
        expected = naive_maps(
            in_space(model.metric, query.tokens[number]),
            in_space(model.metric, support.tokens[pair]), inside[pair])
        expected = (expected - moments.mean[:, None]) / moments.var.sqrt()[:, None]
        torch.testing.assert_close(
            seg_map[pair, 16:].flatten(1), expected, rtol=1e-4, atol=1e-4)
    assert seg_map[:, 16:].std() > 0.1


@torch.no_grad()
def test_neck_correlates_in_the_space_of_the_metric(build_model, model, pairs):
    """As it does with tokens that were brought there, patch by patch, before."""
    query, support, masks, query_of = pairs
    found = model.token_maps(query, model.embed_supports(support, masks), query_of)

    def moved(features):
        return type(features)(
            torch.stack([in_space(model.metric, x) for x in features.tokens]),
            features.cls_query, features.keys, features.grid)

    expected = model.neck(moved(query), moved(support), masks, query_of)
    plain = model.neck(query, support, masks, query_of)
    for maps, wanted, without in zip(found, expected, plain):
        torch.testing.assert_close(maps[:, :16], wanted, rtol=1e-3, atol=1e-4)
        assert (wanted - without).abs().max() > 0.1


def test_moments_are_learned_in_training(model, pairs):
    """Standardised over the pairs seen; in testing they stay."""
    query, support, masks, query_of = pairs
    moments = model.prototypes.moments
    before = moments.mean.clone()
    model.token_maps(query, model.embed_supports(support, masks), query_of)
    assert torch.equal(moments.mean, before) and moments.num_pairs == 0
    model.train()
    model.token_maps(query, model.embed_supports(support, masks), query_of)
    assert moments.num_pairs == 4 and not torch.equal(moments.mean, before)


@torch.no_grad()
def test_a_pair_does_not_depend_on_its_batch(model, pairs):
    """To the last bit, however many stand beside it."""
    query, support, masks, query_of = pairs
    together = model.token_maps(query, model.embed_supports(support, masks), query_of)
    for pair, number in enumerate(query_of):
        one = slice(pair, pair + 1)
        alone = model.token_maps(
            query[number:number + 1], model.embed_supports(support[one], masks[one]),
            [0])
        for x, y in zip(together, alone):
            torch.testing.assert_close(x[one], y, rtol=0, atol=1e-5)
        assert torch.equal(together[0][one, :16], alone[0][:, :16])


@torch.no_grad()
def test_one_set_of_supports_serves_many_queries(model, make_batch):
    """Embedded once; every query's logits and prediction are an episode's."""
    way, shot = 2, 3
    inputs, samples = make_batch(batch=1, way=way, shot=shot)
    images, masks = inputs['support'], samples[0].support_masks
    supports = model.embed_supports(
        model.extract_feat(images[0].flatten(0, 1)),
        masks.flatten(0, 1) > 0)
    scores = []
    for _ in range(3):
        query = torch.randn(1, 3, SIZE, SIZE)
        episode = dict(query=query, support=images)
        expected = model(episode, samples, mode='tensor')
        logits = model.way_logits(model.extract_feat(query), supports, [shot] * way)
        assert logits.presence.shape == (way, 2)
        assert [len(votes) for votes in logits.segmentation] == [shot] * way
        for found, wanted in zip(
                (logits.presence, torch.stack(logits.segmentation)), expected):
            torch.testing.assert_close(found, wanted[0], rtol=1e-5, atol=1e-5)
        result = model(episode, samples, mode='predict')[0]
        decision = model.predict_query(
            model.extract_feat(query), supports, [shot] * way, (SIZE, SIZE))
        torch.testing.assert_close(decision.scores, result.presence_scores)
        torch.testing.assert_close(decision.probs, result.seg_probs.data)
        assert (decision.label_map != result.pred_sem_seg.data[0]).float().mean() < 2e-3
        scores.append(decision.scores)
    assert torch.stack(scores).std(dim=0).min() > 0.01  # queries differ


def test_supports_keep_little(model, pairs):
    """No more of the backbone's tokens than the neck's grid and CLS."""
    _, support, masks, _ = pairs
    supports = model.embed_supports(support, masks)
    assert supports.tokens.tokens.shape == (4, LAYERS, 1 + 12 * 12, 24)
    assert supports.prototypes.shape == (4, LAYERS, 2, 24)
    assert torch.equal(supports.cls, support.tokens[:, :, 0])
    assert supports.masks is masks


@pytest.mark.parametrize('way, times', [('query', 1), ('both', 1), ('none', 2)])
def test_a_query_that_comes_twice_is_prepared_once(
        model, make_batch, monkeypatch, count_backbone, way, times):
    """In paired training a query follows itself, with another support."""
    model.train()
    inputs, samples = make_batch(batch=2, way=1, shot=1)
    if way != 'none':
        inputs['query'][1] = inputs['query'][0]
    if way == 'both':
        inputs['support'][1] = inputs['support'][0]
    split, prepared = model.neck._split_heads, []
    monkeypatch.setattr(
        model.neck, '_split_heads',
        lambda tokens: prepared.append(tokens.shape[1]) or split(tokens))
    sizes = count_backbone(model)
    losses = model.loss(inputs, samples)
    assert prepared.count(GRID[0] * GRID[1]) == times
    assert prepared.count(1 + 12 * 12) == 2  # each support
    assert sum(sizes) == dict(query=3, both=2, none=4)[way]
    assert all(torch.isfinite(loss) for loss in losses.values())


@torch.no_grad()
@pytest.mark.parametrize('order', [[0, 0, 1, 0], [1, 1, 1, 1]])
def test_queries_of_any_order(model, pairs, order):
    """Each support is compared with the query that it is said to be of."""
    query, support, masks, _ = pairs
    supports = model.embed_supports(support, masks)
    found = model.token_maps(query, supports, order)
    expected = model.token_maps(query[order], supports, range(4))
    for x, y in zip(found, expected):
        torch.testing.assert_close(x, y)


def test_gradients_reach_the_weights(model, pairs):
    """Query tokens in half precision, made again in the backward pass."""
    model.train()
    query, support, masks, query_of = pairs
    query, support = (x.map(torch.Tensor.half) for x in (query, support))
    cls_map, seg_map = model.token_maps(
        query, model.embed_supports(support, masks), query_of)
    (cls_map.square().sum() + seg_map.square().sum()).backward()
    for name, parameter in model.neck.named_parameters():
        assert parameter.grad is not None, name
