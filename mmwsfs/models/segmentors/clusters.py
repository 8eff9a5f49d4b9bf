from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_ROUNDS = 10


def cluster(tokens: Tensor, count: int) -> Tensor:
    """Spherical k-means from centres that are far from each other; no chance in it.

    The first centre is the token least like the mean, each further one the token least
    like the centres before it (Gonzalez, 1985).

    Args:
        tokens: (T, D), unit vectors.
        count: of clusters, at least 1; there are no more of them than tokens.

    Returns:
        Tensor: (T,), of every token the number of its cluster, 0..count-1. A number may
        be of no token.
    """
    nearest = tokens @ F.normalize(tokens.mean(dim=0), dim=0)
    chosen = [int(nearest.argmin())]
    nearest = tokens @ tokens[chosen[0]]
    while len(chosen) < min(count, len(tokens)):
        chosen.append(int(nearest.argmin()))
        nearest = torch.maximum(nearest, tokens @ tokens[chosen[-1]])
    centres = tokens[chosen]
    for _ in range(_ROUNDS):
        members = F.one_hot((tokens @ centres.T).argmax(dim=1), len(centres))
        sums = members.T.to(tokens) @ tokens
        # One without tokens stays where it is.
        centres = torch.where(
            members.any(dim=0)[:, None], F.normalize(sums, dim=1), centres)
    return (tokens @ centres.T).argmax(dim=1)
