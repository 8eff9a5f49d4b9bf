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
    """Those of each query with all supports of a way at once; masks are the same."""
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
                after[row, i], before[row, i] + added[0], rtol=0, atol=1e-4)
    assert (after - before).abs().max() > 0.1


def test_the_head_learns_what_the_prior_leaves(models, make_batch):
    """Cross entropy is of the sum; the prior is a constant, and pixels go on as they
    were."""
    plain, model = models
    inputs, samples = make_batch(batch=2, way=1, shot=1, presence=[[True], [False]])
    logits = []
    model.cls_head.register_forward_hook(
        lambda head, args, output: logits.append(output.detach()))
    losses = [each.train().loss(inputs, samples) for each in models]
    query, support = (
        model.backbone.extract(inputs[name].flatten(end_dim=-4)).tokens[:, :, 0]
        for name in ('query', 'support'))
    expected = torch.nn.functional.cross_entropy(
        logits[0] + model.prior(query, support, [1, 1]), torch.tensor([1, 0]))
    assert losses[1].keys() == losses[0].keys()
    assert losses[1]['cls.loss_ce'].item() == pytest.approx(
        0.1 * expected.item(), rel=1e-4)
    assert losses[1]['cls.loss_ce'] != losses[0]['cls.loss_ce']
    for name, loss in losses[0].items():
        if name.startswith('seg.'):
            assert torch.equal(loss, losses[1][name])
    sum(losses[1].values()).backward()
    assert all(parameter.grad.abs().sum() > 0
               for parameter in model.cls_head.parameters() if parameter.dim() > 1)


def test_checkpoint_of_the_other_model_is_refused(models):
    """A prior that is left at its start would go unnoticed."""
    plain, model = models
    with pytest.raises(ValueError, match='prior.weights'):
        model.load_state_dict(plain.state_dict())
