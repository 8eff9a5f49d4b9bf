"""FewShotSegmentor with a WholeImagePrior: what it adds, and what it leaves alone."""

import pytest
import torch

PRIOR = dict(type='WholeImagePrior')


@pytest.fixture
def models(build_model):
    """A segmentor without a prior, and the same with one that is as if fitted."""
    plain, prior = build_model(), build_model(prior=PRIOR)
    prior.load_state_dict({
        **plain.state_dict(),
        **{name: value for name, value in prior.state_dict().items()
           if name.startswith('prior.')}})
    generator = torch.Generator().manual_seed(0)
    for value in prior.prior.buffers():
        value.copy_(torch.randn(value.shape, generator=generator))
    return plain, prior


@torch.no_grad()
@pytest.mark.parametrize('way, shot', [(1, 1), (2, 1), (2, 3)])
def test_presence_logits_get_the_priors(models, make_batch, way, shot):
    """Those of each query with all supports of a way at once, beside half of the
    head's; masks are the same."""
    plain, model = models
    inputs, samples = make_batch(batch=2, way=way, shot=shot)
    before, masks_before = plain._forward(inputs, samples)
    after, masks_after = model._forward(inputs, samples)
    assert torch.equal(masks_before, masks_after)
    for row in range(2):
        for i in range(way):
            query, support = (
                model.backbone.extract(images).tokens[:, :, 0] for images in (
                    inputs['query'][row:row + 1], inputs['support'][row, i]))
            added = model.prior(query, support, [shot])
            torch.testing.assert_close(
                after[row, i], before[row, i] / 2 + added[0], rtol=0, atol=1e-4)
    assert (after - before).abs().max() > 0.1


def test_neck_and_heads_train_as_without(models, make_batch):
    """Same losses and gradients, to the last bit; the prior learns nothing here."""
    plain, model = models
    inputs, samples = make_batch(batch=2, way=1, shot=1, presence=[[True], [False]])
    before = {name: value.clone() for name, value in model.state_dict().items()}
    results = []
    for each in models:
        losses = each.train().loss(inputs, samples)
        sum(losses.values()).backward()
        results.append((losses, {
            name: parameter.grad for name, parameter in each.named_parameters()
            if parameter.grad is not None}))
    (losses, gradients), (with_prior, gradients_with_prior) = results
    for found, expected in ((with_prior, losses), (gradients_with_prior, gradients)):
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            assert torch.equal(found[name], value), name
    for name, value in model.state_dict().items():
        if name.startswith('prior.'):
            assert torch.equal(value, before[name]), name


def test_checkpoint_of_the_other_model_is_refused(models):
    """A prior that is left at its start would go unnoticed."""
    plain, model = models
    with pytest.raises(ValueError, match='prior.weights'):
        model.load_state_dict(plain.state_dict())
