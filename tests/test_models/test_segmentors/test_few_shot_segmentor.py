"""FewShotSegmentor against sections 6 and 8 of the method, one pair at a time."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmwsfs.structures import LazyImage, LazyImages

SIZE = 48


def pair_probabilities(model, query, support, mask, size):
    """Presence and foreground probability of one query image by one support image."""
    cls_map, seg_map = model.neck(
        model.backbone.extract(query[None]), model.backbone.extract(support[None]),
        mask[None])
    cls_logits = model.cls_head(cls_map)[0]
    seg_logits = model.seg_head(seg_map, (SIZE, SIZE))
    seg_logits = F.interpolate(
        seg_logits, size, mode='bilinear', align_corners=True)[0]
    return (cls_logits.exp()[1] / cls_logits.exp().sum(),
            seg_logits.exp()[1] / seg_logits.exp().sum(dim=0))


def assert_masks_equal(found, expected):
    """Alike but for rounding at the threshold: two pixels in a thousand."""
    assert found.shape == expected.shape
    assert (found != expected).float().mean() < 2e-3


def naive_episode(model, query, supports, masks, size):
    """Presence scores (N,), foreground probabilities (N, *size), label map."""
    scores, probabilities = [], []
    for way in range(len(supports)):
        shots = [
            pair_probabilities(model, query, supports[way, k], masks[way, k], size)
            for k in range(len(supports[way]))]
        scores.append(sum(score for score, _ in shots) / len(shots))
        probabilities.append(sum(probs for _, probs in shots) / len(shots))
    probabilities = torch.stack(probabilities)
    label_map = []
    for row in probabilities.permute(1, 2, 0).tolist():
        label_map.append([
            1 + ways.index(max(ways)) if max(ways) >= 0.5 else 0 for ways in row])
    return torch.stack(scores), probabilities, torch.tensor(label_map)


@pytest.mark.parametrize('way, shot', [(1, 1), (2, 1), (1, 3), (3, 2)])
@torch.no_grad()
def test_prediction_equals_the_loop_over_pairs(build_model, make_batch, way, shot):
    """N ways, K shots, queries of different original sizes."""
    model = build_model()
    inputs, samples = make_batch(
        batch=3, way=way, shot=shot, query_size=(37, 61))
    results = model(inputs, samples, mode='predict')
    assert len(results) == 3
    values, all_scores = set(), []
    for index, result in enumerate(results):
        size = (37 + 4 * index, 61)
        scores, probabilities, label_map = naive_episode(
            model, inputs['query'][index], inputs['support'][index],
            samples[index].support_masks.float(), size)
        torch.testing.assert_close(result.presence_scores, scores, rtol=0, atol=1e-4)
        assert result.seg_probs.data.shape == (way, *size)
        torch.testing.assert_close(
            result.seg_probs.data, probabilities, rtol=0, atol=1e-4)
        assert result.pred_sem_seg.data.shape == (1, *size)
        assert result.pred_sem_seg.data.dtype == torch.uint8
        assert_masks_equal(result.pred_sem_seg.data[0], label_map)
        values |= set(label_map.unique().tolist())
        all_scores += scores.tolist()
    # The case is no trivial one: background and every way is predicted somewhere.
    assert values == set(range(way + 1))
    assert max(all_scores) - min(all_scores) > 0.1


@torch.no_grad()
def test_image_supervision_predicts_with_pseudo_masks(build_model, make_batch):
    """No mask is needed from the user; what was used is handed back."""
    model = build_model(supervision='image')
    inputs, samples = make_batch(way=2, shot=2, masks=False)
    results = model(inputs, samples, mode='predict')
    for index, result in enumerate(results):
        supports = inputs['support'][index]
        masks = torch.stack([
            torch.stack([
                model.labeler(
                    model.backbone.extract(image[None]),
                    model.backbone.extract(image[None]), (SIZE, SIZE))[0]
                for image in images]) for images in supports])
        assert 0 < masks.float().mean() < 1
        assert result.support_masks.dtype == torch.uint8
        assert_masks_equal(result.support_masks, masks.to(torch.uint8))
        scores, probabilities, _ = naive_episode(
            model, inputs['query'][index], supports, result.support_masks,
            (SIZE, SIZE))
        torch.testing.assert_close(result.presence_scores, scores, rtol=0, atol=1e-4)
        torch.testing.assert_close(
            result.seg_probs.data, probabilities, rtol=0, atol=1e-4)


@torch.no_grad()
def test_a_way_that_is_not_found_stays_background(build_model, make_batch):
    """Foreground needs 0.5, however much larger it is than the other ways'."""
    model = build_model()
    model.seg_head.layers[-1].weight.zero_()
    model.seg_head.layers[-1].bias.copy_(torch.tensor([0.01, 0.0]))
    result = model(*make_batch(batch=1), mode='predict')[0]
    assert result.seg_probs.data.max() < 0.5
    assert not result.pred_sem_seg.data.any()
    model.seg_head.layers[-1].bias.copy_(torch.tensor([0.0, 0.01]))
    result = model(*make_batch(batch=1), mode='predict')[0]
    assert (result.pred_sem_seg.data == 1).all()


@torch.no_grad()
def test_tensor_mode(build_model, make_batch):
    """Logits of every query for its ways; for pixels every shot is a vote."""
    model = build_model()
    inputs, samples = make_batch(batch=2, way=3, shot=2)
    cls_logits, seg_logits = model(inputs, samples, mode='tensor')
    assert cls_logits.shape == (2, 3, 2)
    assert seg_logits.shape == (2, 3, 2, 2, SIZE, SIZE)
    shares = []
    for shot in range(2):
        cls_map, seg_map = model.neck(
            model.backbone.extract(inputs['query'][1:]),
            model.backbone.extract(inputs['support'][1:, 2, shot]),
            samples[1].support_masks[2:, shot])
        shares.append(model.cls_head(cls_map)[0].softmax(0))
        torch.testing.assert_close(
            seg_logits[1, 2, shot], model.seg_head(seg_map, (SIZE, SIZE))[0],
            rtol=0, atol=1e-3)
    torch.testing.assert_close(
        cls_logits[1, 2].softmax(0), (shares[0] + shares[1]) / 2, rtol=0, atol=1e-5)
    assert torch.equal(model.encode_decode(inputs, samples), seg_logits)


def spy(monkeypatch, model):
    """Arguments of both heads' losses, as they come."""
    seen = {}
    for name in ('cls_head', 'seg_head'):
        head = getattr(model, name)

        def wrapped(token_map, target, name=name, loss=head.loss):
            seen[name] = (token_map, target)
            return loss(token_map, target)

        monkeypatch.setattr(head, 'loss', wrapped)
    return seen


def test_pixel_loss(build_model, make_batch, monkeypatch):
    """Targets from the masks, void as background; NLL plus a tenth of NLL."""
    model = build_model().train()
    seen = spy(monkeypatch, model)
    inputs, samples = make_batch(way=1, shot=1, presence=[[True], [False]])
    losses = model(inputs, samples, mode='loss')
    assert set(losses) == {'cls.loss_ce', 'seg.loss_ce'}

    seg_loss = cls_loss = 0
    for index, sample in enumerate(samples):
        label_map = sample.gt_sem_seg.data[0]
        assert (label_map == 255).any()
        target = torch.tensor([[x == 1 for x in row] for row in label_map.tolist()])
        assert torch.equal(seen['seg_head'][1][index], target)
        cls_map, seg_map = model.neck(
            model.backbone.extract(inputs['query'][index:index + 1]),
            model.backbone.extract(inputs['support'][index, :, 0]),
            sample.support_masks[:, 0])
        log_cls = model.cls_head(cls_map)[0].log_softmax(dim=0)
        log_seg = model.seg_head(seg_map, (SIZE, SIZE))[0].log_softmax(dim=0)
        cls_loss -= log_cls[int(sample.gt_presence)] / 2
        seg_loss -= torch.where(target, log_seg[1], log_seg[0]).mean() / 2
    torch.testing.assert_close(losses['cls.loss_ce'], 0.1 * cls_loss)
    torch.testing.assert_close(losses['seg.loss_ce'], seg_loss, rtol=1e-4, atol=1e-5)


def test_only_the_backbone_is_not_trained(build_model, make_batch):
    """Gradients reach the neck and the heads, all of them, and nothing else."""
    model = build_model().train()
    losses = model(*make_batch(way=1, shot=1), mode='loss')
    sum(losses.values()).backward()
    for name, parameter in model.named_parameters():
        if name.startswith('backbone.'):
            assert parameter.grad is None
        else:
            assert parameter.grad.abs().sum() > 0, name
    assert not model.backbone.training and model.neck.training


def test_image_loss_takes_targets_from_the_labeler(
        build_model, make_batch, monkeypatch):
    """Pseudo-mask of the query by its support; all background for an absent class."""
    model = build_model(supervision='image').train()
    seen = spy(monkeypatch, model)
    inputs, samples = make_batch(
        way=1, shot=1, masks=False, presence=[[True], [False]])
    model(inputs, samples, mode='loss')
    target = seen['seg_head'][1]
    expected = model.labeler(
        model.backbone.extract(inputs['support'][0, 0]),
        model.backbone.extract(inputs['query'][:1]), (SIZE, SIZE))[0]
    assert 0 < expected.float().mean() < 1
    assert_masks_equal(target[0], expected)
    assert not target[1].any()
    assert seen['cls_head'][1].tolist() == [True, False]


@pytest.mark.parametrize('mode', ['loss', 'predict'])
def test_image_supervision_never_reads_a_mask(build_model, make_batch, mode):
    """With masks or without, whatever they say: the same result."""
    model = build_model(supervision='image')
    torch.manual_seed(3)
    without = make_batch(way=1, shot=1, masks=False)
    torch.manual_seed(3)
    inputs, samples = make_batch(way=1, shot=1, masks=True)
    assert torch.equal(inputs['query'], without[0]['query'])
    assert 'gt_sem_seg' in samples[0] and 'gt_sem_seg' not in without[1][0]
    found, expected = model(inputs, samples, mode), model(*without, mode)
    if mode == 'loss':
        assert found == expected
    else:
        for x, y in zip(found, expected):
            assert torch.equal(x.seg_probs.data, y.seg_probs.data)
            assert torch.equal(x.presence_scores, y.presence_scores)
            assert torch.equal(x.support_masks, y.support_masks)


@pytest.mark.parametrize('mode', ['loss', 'predict', 'tensor'])
def test_pixel_supervision_without_support_masks(build_model, make_batch, mode):
    """The message says what to set."""
    with pytest.raises(
            ValueError, match="support masks.*masks='all'.*supervision='image'"):
        build_model()(*make_batch(way=1, shot=1, masks=False), mode=mode)


def test_pixel_supervision_without_query_masks(build_model, make_batch):
    """Training needs the query's as well; one sample without is enough."""
    inputs, samples = make_batch(way=1, shot=1)
    del samples[1].gt_sem_seg
    with pytest.raises(
            ValueError, match="query masks.*masks='all'.*supervision='image'"):
        build_model()(inputs, samples, mode='loss')


@pytest.mark.parametrize('way, shot', [(2, 1), (1, 2)])
def test_training_is_one_way_one_shot(build_model, make_batch, way, shot):
    """More is refused before the backbone runs."""
    with pytest.raises(ValueError, match=rf'1-way 1-shot.*\({way}, {shot}\)'):
        build_model()(*make_batch(way=way, shot=shot), mode='loss')


@pytest.mark.parametrize('supervision', ['pixel', 'image', 'mixed'])
@pytest.mark.parametrize('mode, way, shot', [
    ('loss', 1, 1), ('predict', 3, 2), ('tensor', 2, 2)])
def test_every_image_of_a_batch_goes_through_the_backbone_once(
        build_model, make_batch, count_backbone, supervision, mode, way, shot):
    """Queries and supports together, none of them twice."""
    model = build_model(supervision=supervision)
    sizes = count_backbone(model)
    model(*make_batch(batch=2, way=way, shot=shot), mode=mode)
    assert sum(sizes) == 2 + 2 * way * shot


def lazily(inputs):
    """The same inputs as images that are read when they are needed."""
    images = {}

    def lazy(tensor):
        image = LazyImage(str(len(images)), (SIZE, SIZE), lambda: tensor)
        return images.setdefault(tensor.double().sum().item(), image)

    query = np.array([lazy(x) for x in inputs['query']], dtype=object)
    support = np.array([[[lazy(x) for x in row] for row in rows]
                        for rows in inputs['support']], dtype=object)
    return dict(query=LazyImages(query, torch.stack),
                support=LazyImages(support, torch.stack))


@torch.no_grad()
@pytest.mark.parametrize('storage, tolerance', [('float16', 1e-2), ('int8', 5e-2)])
def test_cache_changes_no_prediction_and_saves_the_backbone(
        build_model, make_batch, count_backbone, storage, tolerance):
    """What is stored costs little precision; a second epoch never runs the backbone."""
    plain = build_model()
    cached = build_model(cache=dict(ram_gb=0.1, storage=storage))
    cached.cache.bind(cached.backbone)
    sizes = count_backbone(cached)
    inputs, samples = make_batch()
    expected = [
        (x.presence_scores, x.seg_probs.data)
        for x in plain(inputs, samples, mode='predict')]
    assert plain.cache is None
    results = []
    for epoch in range(2):
        found = cached(lazily(inputs), samples, mode='predict')
        for result, (scores, probabilities) in zip(found, expected):
            torch.testing.assert_close(
                result.presence_scores, scores, rtol=0, atol=tolerance)
            torch.testing.assert_close(
                result.seg_probs.data, probabilities, rtol=0, atol=tolerance)
        results.append(torch.stack([x.seg_probs.data for x in found]))
        assert sum(sizes) == 10, f'epoch {epoch}'
    assert torch.equal(*results)  # computed or found: the same
    assert len(cached.cache) == 10


def test_cached_training_step(build_model, make_batch, count_backbone):
    """Cached features train as fresh ones do."""
    plain = build_model().train()
    cached = build_model(cache=dict(ram_gb=0.1)).train()
    cached.cache.bind(cached.backbone)
    sizes = count_backbone(cached)
    inputs, samples = make_batch(way=1, shot=1)
    expected = plain(inputs, samples, mode='loss')
    for _ in range(2):
        cached.zero_grad()
        found = cached(lazily(inputs), samples, mode='loss')
        for name in expected:
            torch.testing.assert_close(found[name], expected[name], rtol=0, atol=2e-2)
        sum(found.values()).backward()
        assert cached.neck.blocks[0].qkv.weight.grad.abs().sum() > 0
    assert sum(sizes) == 4


@torch.no_grad()
def test_equal_images_of_a_batch_are_computed_once(
        build_model, make_batch, count_backbone):
    """A support that several episodes share, or that is another's query."""
    model = build_model()
    sizes = count_backbone(model)
    inputs, samples = make_batch(batch=2, way=2, shot=2)
    inputs['support'][1, 0] = inputs['support'][0, 1]
    inputs['support'][1, 1, 0] = inputs['query'][0]
    shared = model(inputs, samples, mode='tensor')
    assert sum(sizes) == 10 - 3
    for number in range(2):  # each episode by itself
        alone = model({name: value[number:number + 1]
                       for name, value in inputs.items()},
                      samples[number:number + 1], mode='tensor')
        for x, y in zip(shared, alone):
            torch.testing.assert_close(x[number:number + 1], y)


def test_cache_needs_a_frozen_backbone(build_model, monkeypatch):
    """Features of a backbone that learns are stale at once."""
    assert build_model(frozen=True, cache=dict(ram_gb=1)).cache is not None
    lines = []
    monkeypatch.setattr(
        'mmwsfs.models.segmentors.episode_segmentor.print_log',
        lambda line, *args, **kwargs: lines.append(line))
    assert build_model(frozen=False, cache=dict(ram_gb=1)).cache is None
    assert len(lines) == 1 and 'frozen=False' in lines[0]
    assert build_model(frozen=False).cache is None and len(lines) == 1


def test_a_checkpoint_of_its_own_is_taken(build_model, make_batch):
    """A trained model loaded into a new one predicts the same."""
    trained, fresh = build_model(), build_model()
    with torch.no_grad():
        for parameter in fresh.parameters():
            parameter.normal_()
    fresh.load_state_dict(trained.state_dict())
    batch = make_batch(way=1, shot=1)
    first, second = (
        [x.seg_probs.data for x in model(*batch, mode='predict')]
        for model in (trained, fresh))
    assert all(torch.equal(x, y) for x, y in zip(first, second))


@pytest.mark.parametrize('strict', [True, False])
def test_a_checkpoint_of_another_model_is_refused(build_model, strict):
    """Also where MMEngine would only warn (strict=False)."""
    model = build_model()
    other = {**model.state_dict(), 'seg_head.layers.0.weight': torch.ones(128, 8, 3, 3)}
    with pytest.raises(
            ValueError, match=r'1 of another shape: seg_head.*\(128, 8, 3, 3\)'):
        model.load_state_dict(other, strict=strict)
    part = model.state_dict()
    del part['neck.project.0.bias']
    with pytest.raises(ValueError, match=r'1 missing: neck\.project\.0\.bias'):
        model.load_state_dict(part, strict=strict)
