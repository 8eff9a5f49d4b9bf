from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmwsfs.models.running_moments import RunningMoments
from mmwsfs.registry import MODELS


@MODELS.register_module()
class PairPrior(BaseModule):
    """How alike two images are as a whole, as evidence that the class is present.

    Our addition. The neck's GroupNorms remove the overall similarity of a pair. Here it
    goes round the neck: the cosines of the two images' CLS tokens after every block,
    centred, standardised and weighed, are a logit that is added to the classification
    head's. The centre is the mean CLS token of the training pairs; without it all
    images are alike. Weights and bias begin at 0, so that the head alone decides.

    It is trained by a loss of its own, to what the head leaves unexplained: the head's
    logits are a constant in it, and neck and heads train as without a prior.

    Args:
        num_layers (int): blocks of the backbone, L.
        embed_dims (int): width of the backbone, C.
        init_cfg (dict, optional): Defaults to None.
    """

    def __init__(self,
                 num_layers: int,
                 embed_dims: int,
                 init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.weight = nn.Parameter(torch.zeros(num_layers))
        self.bias = nn.Parameter(torch.zeros(()))
        self.centre = RunningMoments(num_layers * embed_dims)
        self.moments = RunningMoments(num_layers)

    def _centred_cosines(self, query: Tensor, support: Tensor) -> Tensor:
        centre = self.centre.mean.view_as(query[0])
        return F.cosine_similarity(query - centre, support - centre, dim=-1)

    def _learn(self, query: Tensor, support: Tensor) -> None:
        """Take P pairs, (P, L, C) each, into the moments."""
        for pair in torch.stack([query, support], dim=-1):
            self.centre.note(pair.flatten(0, 1))
        self.centre.learn()
        for cosines in self._centred_cosines(query, support):
            self.moments.note(cosines.unsqueeze(1))
        self.moments.learn()

    def forward(self, query: Tensor, support: Tensor,
                query_of: Sequence[int]) -> Tensor:
        """Logits of absent and present of P pairs, (P, 2), single precision.

        Args:
            query: (Q, L, C), CLS tokens of Q images.
            support: (P, L, C).
            query_of: of every support the number of its query, in 0..Q-1.
        """
        query, support = query[list(query_of)].float(), support.float()
        if self.training:
            self._learn(query, support)
        mean, deviation = self.moments.mean_and_deviation()
        cosines = (self._centred_cosines(query, support) - mean) / deviation
        # No matrix product: a pair's logits do not depend on its batch.
        logit = (cosines * self.weight).sum(dim=-1) + self.bias
        return torch.stack([-logit / 2, logit / 2], dim=-1)

    def loss(self, prior_logits: Tensor, logits: Tensor,
             presence: Tensor) -> dict[str, Tensor]:
        """Cross entropy of the sum of both logits, of P pairs.

        Args:
            prior_logits: (P, 2), see :meth:`forward`.
            logits: (P, 2), the classification head's; they get no gradient.
            presence: (P,) bool.
        """
        both = logits.detach().float() + prior_logits
        return {'prior.loss_ce': F.cross_entropy(both, presence.long())}
