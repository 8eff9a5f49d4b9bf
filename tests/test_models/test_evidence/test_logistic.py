"""The logistic regression against gradient descent, and what it may not do."""

import torch

from mmwsfs.models.evidence.logistic import RIDGE, fit_logistic


def test_against_gradient_descent():
    """The minimum of the same penalised likelihood."""
    generator = torch.manual_seed(0)
    terms = torch.randn(200, 3, generator=generator)
    present = torch.rand(200, generator=generator) < (
        terms @ torch.tensor([2., -1., 0.5])).sigmoid()
    weights = torch.zeros(3, dtype=torch.double, requires_grad=True)
    optimizer = torch.optim.SGD([weights], lr=0.01)
    for _ in range(2000):
        optimizer.zero_grad()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(
            terms.double() @ weights, present.double(), reduction='sum')
        (loss + RIDGE / 2 * weights.square().sum()).backward()
        optimizer.step()
    found = fit_logistic(terms, present)
    torch.testing.assert_close(found, weights.detach(), rtol=1e-4, atol=1e-5)
    assert found[0] > 1 and found[1] < -0.5


def test_what_can_be_told_apart_stays_finite():
    """Without the penalty the weight would have no bound."""
    terms = torch.tensor([[-1.], [-0.5], [0.5], [1.]])
    found = fit_logistic(terms, terms[:, 0] > 0)
    assert 5 < found < 100
