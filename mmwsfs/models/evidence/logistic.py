from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

RIDGE = 1e-2  # penalty of half the squared weights
STEPS = 100  # of Newton's method, which needs about ten


def fit_logistic(terms: Tensor, target: Tensor) -> Tensor:
    """Weights of a logistic regression, (T, ) double, always the same.

    By Newton's method in double precision, with steps halved until the loss does not
    rise. The penalty keeps weights finite where the terms tell all targets apart.

    Args:
        terms: (P, T), what the logit is linear in.
        target: (P, ), in 0..1.
    """
    terms, target = terms.double(), target.double()
    weights = torch.zeros(terms.shape[1], dtype=torch.double)

    def loss(weights: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(
            terms @ weights, target, reduction='sum') + RIDGE / 2 * weights @ weights

    for _ in range(STEPS):
        chance = (terms @ weights).sigmoid()
        gradient = terms.T @ (chance - target) + RIDGE * weights
        curvature = terms.T * (chance * (1 - chance)) @ terms
        curvature.diagonal().add_(RIDGE)
        step = torch.linalg.solve(curvature, gradient)
        while loss(weights - step) > loss(weights) and step.abs().max() > 1e-12:
            step = step / 2
        weights -= step
        if step.abs().max() < 1e-9:
            break
    return weights
