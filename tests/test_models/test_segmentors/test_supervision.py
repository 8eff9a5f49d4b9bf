"""Where masks come from is the model's, checked once and the same in testing."""

import pytest
import torch

from mmwsfs.registry import MODELS

SIZE = 48


@pytest.mark.parametrize('supervision', [None, 'box', 'Image', True])
def test_unset_or_unknown(build_model, supervision):
    """The error says what to write, also for a config that was made before it."""
    with pytest.raises(ValueError) as caught:
        build_model(supervision=supervision)
    message = str(caught.value)
    assert f'model.supervision is {supervision!r}' in message
    assert "set it to 'pixel', 'image' or 'mixed'" in message
    assert "'image' where its custom_hooks have a PseudoLabelHook" in message
    assert "'mixed' where they have a PseudoLabelEnhancerHook" in message


def test_a_config_without_it(tiny_model):
    """Nothing is guessed where a config is built."""
    del tiny_model['supervision']
    with pytest.raises(ValueError, match='model.supervision is None: set it to'):
        MODELS.build(tiny_model)


@pytest.mark.parametrize('supervision', ['image', 'mixed'])
def test_pseudo_masks_need_a_labeler(build_model, supervision):
    """The error says which one to set; with masks for all none is needed."""
    assert build_model(labeler=None).labeler is None
    with pytest.raises(
            ValueError, match=f"'{supervision}' needs a labeler.*AttentionLabeler"):
        build_model(supervision=supervision, labeler=None)


def pseudo_masks(model, images):
    """(N, K, SIZE, SIZE), image by image."""
    masks = []
    for image in images.flatten(0, 1):
        features = model.backbone.extract(image[None])
        masks.append(model.labeler(features, features, (SIZE, SIZE))[0])
    return torch.stack(masks).unflatten(0, images.shape[:2]).to(torch.uint8)


@torch.no_grad()
@pytest.mark.parametrize('mode', ['predict', 'tensor'])
@pytest.mark.parametrize('given', ['all', 'none', 'first'])
@pytest.mark.parametrize('supervision', ['pixel', 'image', 'mixed'])
def test_prediction(build_model, make_batch, supervision, given, mode):
    """With support masks for both episodes, for none, or for the first one alone.

    What was used is handed back, and the logits are those of these masks.
    """
    model = build_model(supervision=supervision)
    inputs, samples = make_batch(batch=2, way=2, shot=2)
    carried = [sample.support_masks.clone() for sample in samples]
    pseudo = [pseudo_masks(model, images) for images in inputs['support']]
    for x, y in zip(carried, pseudo):
        assert (x != y).flatten(2).any(dim=2).all()
    carry = dict(all=(True, True), none=(False, False), first=(True, False))[given]
    for sample, mask in zip(samples, carry):
        if not mask:
            del sample.support_masks
    if supervision == 'pixel' and not all(carry):
        with pytest.raises(ValueError, match='needs support masks'):
            model(inputs, samples, mode=mode)
        return
    expected = [
        x if mask and supervision != 'image' else y
        for x, y, mask in zip(carried, pseudo, carry)]
    results = model(inputs, samples, mode=mode)
    pixel = build_model()
    for sample, masks in zip(samples, expected):
        sample.support_masks = masks
    if mode == 'tensor':
        assert all(torch.equal(x, y) for x, y in zip(
            results, pixel(inputs, samples, mode='tensor')))
        return
    found = [(x.presence_scores, x.seg_probs.data, x.support_masks) for x in results]
    for result, wanted, masks in zip(
            found, pixel(inputs, samples, mode='predict'), expected):
        assert torch.equal(result[0], wanted.presence_scores)
        assert torch.equal(result[1], wanted.seg_probs.data)
        assert torch.equal(result[2], masks)


@torch.no_grad()
def test_support_masks(build_model, make_batch):
    """Of features alone; of given masks; of some of them."""
    inputs, samples = make_batch(batch=1, way=3, shot=1)
    models = {name: build_model(supervision=name)
              for name in ('pixel', 'image', 'mixed')}
    support = models['pixel'].backbone.extract(inputs['support'][0, :, 0])
    carried = samples[0].support_masks[:, 0]
    pseudo = models['image'].labeler(support, support, (SIZE, SIZE))
    size = (SIZE, SIZE)
    for name, model in models.items():
        found = model.support_masks(support, size, list(carried))
        assert found.dtype == torch.bool
        assert torch.equal(found, pseudo if name == 'image' else carried > 0)
    some = [carried[0], None, carried[2]]
    for given, mixed in ((None, pseudo), (some, torch.stack(
            [carried[0] > 0, pseudo[1], carried[2] > 0]))):
        assert torch.equal(models['mixed'].support_masks(support, size, given), mixed)
        assert torch.equal(models['image'].support_masks(support, size, given), pseudo)
        with pytest.raises(ValueError, match='needs support masks'):
            models['pixel'].support_masks(support, size, given)
