from __future__ import annotations

import torch
from torch import Tensor

EMPHASIS = 1.  # how much more the directions between classes count


def discriminant(within: Tensor, means: Tensor, ridge: float) -> Tensor:
    """A space in which classes differ: a matrix for rows, (C, C).

    Whitening by the covariance within classes (within-class covariance normalisation,
    Hatch et al., Interspeech 2006); then the directions in which the classes' means
    differ, a linear discriminant analysis's, as many as there are means, less one,
    count twice.

    Args:
        within: (C, C), covariance within classes.
        means: (N, C), of the classes.
        ridge: added to the covariance, in units of its mean eigenvalue.
    """
    values, vectors = torch.linalg.eigh(within)
    # Above 0, should no class vary at all.
    values = (values.clamp_min(0) + ridge * values.mean()).clamp_min(1e-12)
    whiten = vectors / values.sqrt() @ vectors.T
    _, _, between = torch.linalg.svd(
        (means - means.mean(dim=0)) @ whiten, full_matrices=False)
    between = between[:len(means) - 1]
    return whiten + EMPHASIS * (whiten @ between.T) @ between
