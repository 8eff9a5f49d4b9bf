from __future__ import annotations

import torch
import torch.nn.functional as F
from mmengine.dist import all_gather
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmwsfs.registry import MODELS
from mmwsfs.structures import ViTFeatures


@MODELS.register_module()
class PairPrior(BaseModule):
    """How alike two images are as a whole, as evidence that the class is present.

    The neck's GroupNorms remove the overall similarity of a pair. Here it goes round
    the neck: the cosines of the two images' CLS tokens after every block, centred,
    standardised and weighed, are a logit that is added to the classification head's.
    The centre is the mean CLS token of the training images; without it all images are
    alike. Weights and bias begin at 0, so that the head alone decides.

    It is trained by a loss of its own, to what the head leaves unexplained: the head's
    logits are a constant in it, and neck and heads train as without a prior.

    Centre, mean and variance are of all pairs seen in training, each counted alike,
    on all ranks; they are part of the checkpoint and do not change in testing.

    Args:
        num_layers (int): blocks of the backbone, L. Defaults to 12.
        embed_dims (int): width of the backbone, C. Defaults to 384.
        init_cfg (dict, optional): Defaults to None.
    """

    def __init__(self,
                 num_layers: int = 12,
                 embed_dims: int = 384,
                 init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.weight = nn.Parameter(torch.zeros(num_layers))
        self.bias = nn.Parameter(torch.zeros(()))
        self.register_buffer('num_pairs', torch.zeros((), dtype=torch.long))
        self.register_buffer('centre', torch.zeros(num_layers, embed_dims))
        self.register_buffer('mean', torch.zeros(num_layers))
        self.register_buffer('var', torch.zeros(num_layers))

    def cosines(self, query: Tensor, support: Tensor) -> Tensor:
        """Of centred CLS tokens, (B, L, C) each: (B, L) in -1..1."""
        return F.cosine_similarity(
            query - self.centre, support - self.centre, dim=-1)

    @torch.no_grad()
    def _learn(self, query: Tensor, support: Tensor) -> None:
        """Take B pairs of CLS tokens, (B, L, C) each, into the running statistics."""
        query, support = (torch.cat(all_gather(x)) for x in (query, support))
        self.num_pairs += len(query)
        share = len(query) / self.num_pairs
        self.centre.lerp_(torch.stack([query, support]).mean(dim=(0, 1)), share)
        cosines = self.cosines(query, support)
        step = cosines.mean(dim=0) - self.mean
        self.var.lerp_(cosines.var(dim=0, correction=0) + (1 - share) * step**2, share)
        self.mean += share * step

    def forward(self, query: ViTFeatures, support: ViTFeatures) -> Tensor:
        """Logits of absent and present, (B * M, 2), single precision.

        Args:
            query: features of B images.
            support: features of B * M images, the M supports of each query in a row.
        """
        ours = query.tokens[:, :, 0].float()
        theirs = support.tokens[:, :, 0].float()
        ours = ours.repeat_interleave(len(theirs) // len(ours), dim=0)
        if self.training:
            self._learn(ours, theirs)
        x = (self.cosines(ours, theirs) - self.mean) / (self.var + 1e-6).sqrt()
        # No matrix product: a pair's logits do not depend on its batch.
        logit = (x * self.weight).sum(dim=-1) + self.bias
        return torch.stack([-logit / 2, logit / 2], dim=-1)

    def loss(self, query: ViTFeatures, support: ViTFeatures, logits: Tensor,
             presence: Tensor) -> dict[str, Tensor]:
        """Cross entropy of the sum of both logits, of B pairs.

        Args:
            query: features of B images.
            support: features of B images.
            logits: (B, 2), the classification head's; they get no gradient.
            presence: (B,) bool.
        """
        both = logits.detach().float() + self(query, support)
        return {'prior.loss_ce': F.cross_entropy(both, presence.long())}
