"""FewShotSegmentor with a PairPrior: what it adds, and what it leaves alone."""

import pytest
import torch

PRIOR = dict(type='PairPrior')


@pytest.fixture
def models(build_model):
    """A segmentor without a prior, and the same with a prior of random weights."""
    plain, prior = build_model(), build_model(prior=PRIOR)
    prior.load_state_dict({
        **plain.state_dict(),
        **{name: value for name, value in prior.state_dict().items()
           if name.startswith('prior.')}})
    with torch.no_grad():
        prior.prior.moments.var.fill_(0.01)
        prior.prior.weight.copy_(torch.tensor([0.5, 1.5]))
    return plain, prior


@torch.no_grad()
@pytest.mark.parametrize('way', [1, 2])
def test_presence_logits_get_the_priors(models, make_batch, way):
    """Those of each query with its supports; masks are the same."""
    plain, model = models
    inputs, samples = make_batch(batch=2, way=way, shot=1)
    before, masks_before = plain._forward(inputs, samples)
    after, masks_after = model._forward(inputs, samples)
    assert torch.equal(masks_before, masks_after)
    for row in range(2):
        for i in range(way):
            query, support = (
                model.backbone.extract(image[None]).tokens[:, :, 0] for image in (
                    inputs['query'][row], inputs['support'][row, i, 0]))
            added = model.prior(query, support, [0])
            torch.testing.assert_close(
                after[row, i], before[row, i] + added[0], rtol=0, atol=1e-4)
    assert (after - before).abs().max() > 0.1


def test_neck_and_heads_train_as_without(models, make_batch):
    """Same losses and gradients, to the last bit; the prior gets some of its own."""
    plain, model = models
    inputs, samples = make_batch(batch=2, way=1, shot=1, presence=[[True], [False]])
    gradients = []
    for each in models:
        each.train()
        losses = each.loss(inputs, samples)
        sum(losses.values()).backward()
        gradients.append({name: parameter.grad for name, parameter
                          in each.named_parameters() if parameter.grad is not None})
    assert 'prior.loss_ce' in losses
    assert {name for name in gradients[1] if name not in gradients[0]} == {
        'prior.weight', 'prior.bias'}
    for name, gradient in gradients[0].items():
        assert torch.equal(gradient, gradients[1][name]), name
    assert gradients[1]['prior.weight'].abs().min() > 0
    assert model.prior.moments.num_pairs == 2
    assert model.prior.centre.num_pairs == 2


def test_checkpoint_of_the_other_model_is_refused(models):
    """A prior that is left at its start would go unnoticed."""
    plain, model = models
    with pytest.raises(ValueError, match='prior.weight'):
        model.load_state_dict(plain.state_dict())
