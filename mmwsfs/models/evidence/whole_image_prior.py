from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor

from mmwsfs.models.discriminant import discriminant
from mmwsfs.registry import MODELS
from mmwsfs.structures import Fitting

from .logistic import fit_logistic

RIDGE = 9.  # added to the covariance, in units of its mean eigenvalue
GROUPS = 5  # of classes, each left out once
SHOTS = (1, 2, 5)  # of the sets of supports that the logit is fitted to
PAIRS = 1000  # of a query and a set, for every group and number of shots
MAX_IMAGES = 4096  # that it is fitted to


@MODELS.register_module()
class WholeImagePrior(BaseModule):
    """How alike a query and a class's supports are as whole photographs.

    Our addition: logits of presence that go round the neck, whose GroupNorms remove how
    alike two images are as a whole. They are learned from the tags of the training
    images, in closed form before training (:meth:`fit_to`), whatever the supervision.
    Training leaves them alone, and they it; in prediction they are added to those of
    the head. Until they are fitted they are 0.

    For every block of the backbone's second half CLS tokens are brought into a space
    where they differ by class (:func:`.discriminant`; the classes are those that the
    tags name). The K supports of a class vote as one set: what counts is the cosine of
    the query with the mean of their directions, mean over the blocks.

    Its logit (Platt, 1999) has to hold for classes that the space has not seen. So a
    fifth of the training classes at a time is left out, another space is fitted to the
    images that show none of them, and the cosine taken of pairs of images of the
    classes left out, with sets of 1, 2 and 5 supports. The logit is a logistic
    regression on all these pairs; its slope and offset are linear in 1 - 1 / K, as a
    set's mean is the less noisy the larger the set.

    Args:
        num_layers (int): blocks of the backbone, L.
        embed_dims (int): width of the backbone, C.
        init_cfg (dict, optional): Defaults to None.
    """

    matrix: Tensor
    centre: Tensor
    weights: Tensor

    def __init__(self,
                 num_layers: int,
                 embed_dims: int,
                 init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.first = num_layers // 2
        blocks = num_layers - self.first
        self.register_buffer('matrix', torch.eye(embed_dims).repeat(blocks, 1, 1))
        self.register_buffer('centre', torch.zeros(blocks, embed_dims))
        self.register_buffer('weights', torch.zeros(4))

    @torch.no_grad()
    def forward(self, query: Tensor, support: Tensor,
                shots: Sequence[int]) -> Tensor:
        """Logits of absent and present of W ways, (W, 2), single precision.

        Args:
            query: (W, L, C), CLS tokens of the query of every way.
            support: (P, L, C), CLS tokens of the supports, way by way.
            shots: of every way the number of its supports, P in all.
        """
        with torch.autocast(query.device.type, enabled=False):
            cls = torch.cat([query, support])[:, self.first:].float()
            directions = _directions(cls, self.matrix, self.centre)
            sets = directions[len(query):].split(list(shots))
            logits = torch.stack([
                (_terms(_likeness(one, supports), len(supports)) * self.weights).sum()
                for one, supports in zip(directions, sets)])
        return torch.stack([-logits / 2, logits / 2], dim=-1)

    @torch.no_grad()
    def fit_to(self, fitting: Fitting) -> None:
        """Learn the space and the logit from the tags of the training images.

        With fewer than two classes to each of two groups there is nothing to learn the
        logit from, and it stays 0.
        """
        images = fitting.images
        rng = np.random.RandomState(fitting.seed)
        names = sorted(images.classes)
        names = [names[i] for i in sorted(rng.permutation(len(names))[:MAX_IMAGES])]
        cls = torch.stack([
            images.features(name).tokens[0, self.first:, 0].float().cpu()
            for name in names])
        tags = torch.zeros(len(names), images.num_classes, dtype=torch.bool)
        known = torch.zeros_like(tags)
        for row, known_row, name in zip(tags, known, names):
            row[[number - 1 for number in images.classes[name]]] = True
            known_row[[number - 1 for number in images.known_classes(name)]] = True
        terms, present = _pairs_of_new_classes(cls, tags, known, rng)
        if len(present):
            self.weights.copy_(fit_logistic(terms, present))
        matrix, centre = _class_space(cls, tags)
        self.matrix.copy_(matrix)
        self.centre.copy_(centre)
        fitting.report(
            f'prior: a space from the tags of {len(names)} images, a logit from '
            f'{len(present)} pairs of images of classes left out')


def _class_space(cls: Tensor, tags: Tensor) -> tuple[Tensor, Tensor]:
    """Matrix, (L, C, C), and centre, (L, C), of the space of CLS tokens.

    Args:
        cls: (B, L, C).
        tags: (B, N) bool, of every image the classes; an image of several counts for
            each in part.
    """
    tags = tags[:, tags.any(dim=0)].double()
    shares = tags / tags.sum(dim=1, keepdim=True)
    totals = shares.sum(dim=0)
    matrices, centres = [], []
    for block in range(cls.shape[1]):  # one at a time is in double precision
        tokens = cls[:, block].double()
        means = shares.T @ tokens / totals[:, None]
        between = (means * totals[:, None]).T @ means
        within = (tokens.T @ tokens - between) / len(cls)
        matrices.append(discriminant(within, means, RIDGE).float())
        centres.append(tokens.mean(dim=0).float())
    return torch.stack(matrices), torch.stack(centres)


def _directions(cls: Tensor, matrix: Tensor, centre: Tensor) -> Tensor:
    """CLS tokens, (B, L, C), in the space, of length 1."""
    mapped = (cls - centre).transpose(0, 1) @ matrix
    return F.normalize(mapped, dim=-1).transpose(0, 1)


def _likeness(query: Tensor, supports: Tensor) -> Tensor:
    """Of directions of queries, (..., L, C), with sets of K, (..., K, L, C): (...)."""
    mean = F.normalize(supports.mean(dim=-3), dim=-1)
    return (query * mean).sum(dim=-1).mean(dim=-1)


def _terms(likeness: Tensor, shots: int) -> Tensor:
    """What a logit is linear in, (..., 4)."""
    one = torch.ones_like(likeness)
    linear = torch.stack([likeness, one], dim=-1)
    return torch.cat([linear, linear * (1 - 1 / shots)], dim=-1)


def _pairs_of_new_classes(cls: Tensor, tags: Tensor, known: Tensor,
                          rng: np.random.RandomState) -> tuple[Tensor, Tensor]:
    """Pairs of a query and a set of supports of classes that their space has not seen.

    Args:
        cls, tags: as for :func:`_class_space`.
        known: (B, N) bool, of every image the classes of which its tags say whether it
            shows them. No pair asks for others.
        rng: draws the pairs.

    Returns:
        tuple: their terms, (P, 4), and whether the supports' class is in the query,
        (P, ) bool.
    """
    classes = rng.permutation(torch.where(tags.any(dim=0))[0].numpy())
    terms, present = [torch.zeros(0, 4)], [torch.zeros(0, dtype=torch.bool)]
    # Two classes at least in each group, and two at least for the space.
    for group in np.array_split(classes, min(GROUPS, len(classes) // 2) or 1):
        others = ~tags[:, group].any(dim=1)
        if tags[others].any(dim=0).sum() < 2:
            continue
        directions = _directions(cls, *_class_space(cls[others], tags[others]))
        images_of = {number: np.flatnonzero(tags[:, number]) for number in group}
        for shots in SHOTS:
            enough = [number for number in group if len(images_of[number]) > shots]
            if len(enough) < 2:
                continue
            for _ in range(PAIRS):
                own, other = rng.choice(enough, 2, replace=False)
                query = rng.choice(images_of[own])
                asked = own if rng.rand() < 0.5 else other
                images = images_of[asked]
                supports = rng.choice(images[images != query], shots, replace=False)
                if not known[query, asked]:
                    continue
                likeness = _likeness(directions[query], directions[supports])
                terms.append(_terms(likeness, shots)[None])
                present.append(tags[query, asked][None])
    return torch.cat(terms), torch.cat(present)
