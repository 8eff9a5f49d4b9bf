from __future__ import annotations

import torch
from torch import Tensor

RIDGE = 1e-2  # penalty of the squared weights
STEPS = 50  # of Newton's method, at most


def fit_logistic(terms: Tensor, present: Tensor) -> Tensor:
    """Weights of a logistic regression, (T, ) double, by Newton's method.

    Args:
        terms: (P, T), what the logit is linear in.
        present: (P, ) bool.
    """
    terms, target = terms.double(), present.double()
    weights = torch.zeros(terms.shape[1], dtype=torch.double)
    penalty = RIDGE * torch.eye(len(weights), dtype=torch.double)
    for _ in range(STEPS):
        probability = (terms @ weights).sigmoid()
        gradient = terms.T @ (probability - target) + penalty @ weights
        curvature = terms.T * (probability * (1 - probability)) @ terms + penalty
        step = torch.linalg.solve(curvature, gradient)
        weights -= step
        if step.abs().max() < 1e-9:
            break
    return weights
