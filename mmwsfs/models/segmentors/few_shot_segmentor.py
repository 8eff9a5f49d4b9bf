from __future__ import annotations

from collections.abc import Sequence

import torch
from mmengine.dist import all_reduce, is_distributed
from torch import Tensor

from mmwsfs.models.build_part import build_part
from mmwsfs.models.evidence.prototype_maps import support_prototypes
from mmwsfs.models.necks.correlation_transformer import resize_support
from mmwsfs.registry import MODELS
from mmwsfs.structures import FewShotDataSample, ViTFeatures

from .decision import WayLogits, mean_of_shots
from .episode_segmentor import EpisodeSegmentor
from .supervision import choose_masks
from .supports import Supports

HEAD_SHARE = 0.5  # of the classification head's logits beside a prior's


@MODELS.register_module()
class FewShotSegmentor(EpisodeSegmentor):
    """Few-shot classification and segmentation (CST).

    Trains 1-way 1-shot, predicts N-way K-shot. Inputs are a dict of ``query``,
    (B, 3, H, W), and ``support``, (B, N, K, 3, H, W), normalised.

    The way of a pair: backbone -> [metric] -> neck -> two token maps
    [+ prototype maps] -> heads [+ prior] [-> calibration]. What stands in brackets is
    our addition and optional. Sizes follow from the backbone; a config need not repeat
    them.

    Args:
        backbone (dict): gives :class:`.ViTFeatures` by its ``extract``, and has
            ``num_layers``, ``num_heads`` and ``embed_dims``.
        neck (dict): (query, support, support mask) -> two token maps.
        cls_head (dict): classification token map -> 2 logits.
        seg_head (dict): segmentation token map -> 2 logits a pixel.
        supervision (str): where support masks and the queries' targets come from:
            'pixel', the data; 'image', the labeler, in training and in testing, and no
            mask is read; 'mixed', the data for images that carry a mask, the labeler
            for all others.
        labeler (dict, optional): makes pseudo-masks. Defaults to None.
        metric (dict, optional): brings tokens into another space before the neck, a
            :class:`~mmwsfs.models.DiscriminantMetric`. Defaults to None.
        prototypes (dict, optional): maps that go round the neck to both heads, a
            :class:`~mmwsfs.models.PrototypeMaps`. Defaults to None.
        prior (dict, optional): logits of presence from query and supports as whole
            images, to which the classification head's are added in prediction, a
            :class:`~mmwsfs.models.WholeImagePrior`. Defaults to None.
        calibration (dict, optional): makes scores of presence mean what they say, in
            prediction alone, a :class:`~mmwsfs.models.PresenceCalibration`. Defaults
            to None.
        cache (dict, optional): settings of a
            :class:`~mmwsfs.models.FeatureCache`: an image of a data set goes through
            the backbone once. Off, with a warning, where the backbone trains.
            Defaults to None.
        data_preprocessor (dict, optional): Defaults to None.
        init_cfg (dict, optional): Defaults to None.
        pretrained, train_cfg: always None; ``mmseg.apis.init_model`` gives them.

    Raises:
        ValueError: no or an unknown supervision, or one that needs a labeler.
    """

    def __init__(self,
                 backbone: dict,
                 neck: dict,
                 cls_head: dict,
                 seg_head: dict,
                 supervision: str | None = None,
                 labeler: dict | None = None,
                 metric: dict | None = None,
                 prototypes: dict | None = None,
                 prior: dict | None = None,
                 calibration: dict | None = None,
                 cache: dict | None = None,
                 data_preprocessor: dict | None = None,
                 init_cfg: dict | None = None,
                 pretrained: None = None,
                 train_cfg: None = None) -> None:
        super().__init__(
            backbone, supervision, labeler, cache, data_preprocessor, init_cfg)
        sizes = self.sizes
        self.neck = build_part(neck, **sizes)
        self.prototypes = build_part(prototypes, **sizes)
        in_channels = self.neck.out_channels
        if self.prototypes is not None:
            in_channels += self.prototypes.out_channels
        self.cls_head = build_part(cls_head, in_channels=in_channels)
        self.seg_head = build_part(seg_head, in_channels=in_channels)
        # What learns before training does so in this order: the labeler first.
        self.labeler = build_part(labeler, **sizes)
        self.metric = build_part(metric, **sizes)
        self.prior = build_part(prior, **sizes)
        self.calibration = build_part(calibration)

    # ------------------------------------------------------------ labels
    def query_masks(self, query: ViTFeatures, support: ViTFeatures,
                    size: tuple[int, int],
                    data_samples: Sequence[FewShotDataSample]) -> Tensor:
        """Training targets of the queries of B 1-way 1-shot episodes, (B, H, W) bool.

        Void counts as background, as in the published protocol. The labeler is told
        the classes of targets; not of supports, whose masks are to be as in testing,
        where the classes are new.

        Args:
            query, support: features of B images each.
            size: (H, W).
            data_samples: of B episodes.

        Raises:
            ValueError: under supervision 'pixel' a mask is missing.
        """
        def pseudo_masks() -> Tensor:
            presence = self._presence(data_samples)
            classes = torch.tensor(
                [int(sample.class_ids[0]) for sample in data_samples],
                device=presence.device)
            masks = self.labeler(support, query, size, classes)
            return masks & presence[:, None, None]

        given = [sample.gt_sem_seg.data[0] == 1 if 'gt_sem_seg' in sample else None
                 for sample in data_samples]
        return choose_masks(self.supervision, given, pseudo_masks, 'query')

    @staticmethod
    def _presence(data_samples: Sequence[FewShotDataSample]) -> Tensor:
        return torch.cat([sample.gt_presence for sample in data_samples])

    # ------------------------------------------------------------ a pair's way
    def embed_supports(self, support: ViTFeatures, masks: Tensor) -> Supports:
        """What is kept of P supports and their masks, (P, H, W) bool.

        An affine map, the metric, commutes with resizing and with averages, and is
        cheaper after them.
        """
        tokens = resize_support(support, self.neck.support_size)
        prototypes = None
        if self.prototypes is not None:
            prototypes = support_prototypes(support, masks)
        if self.metric is not None:
            tokens = self.metric(tokens)
            if prototypes is not None:
                prototypes = self.metric.patches(prototypes)
        return Supports(tokens, masks, prototypes, support.tokens[:, :, 0])

    def token_maps(self, query: ViTFeatures, supports: Supports,
                   query_of: Sequence[int]) -> tuple[Tensor, Tensor]:
        """What the heads get of P pairs.

        Args:
            query: features of Q images.
            supports: P of them.
            query_of: of every support the number of its query, in 0..Q-1.

        Returns:
            tuple[Tensor, Tensor]: for classification and segmentation,
            (P, channels, h, w) each.
        """
        tokens = query if self.metric is None else self.metric(query)
        maps = self.neck(tokens, supports.tokens, supports.masks, query_of)
        if self.prototypes is None:
            return maps
        likeness = self.prototypes(tokens, supports.prototypes, query_of)
        cls_map, seg_map = (
            torch.cat([token_map, likeness.to(token_map.dtype)], dim=1)
            for token_map in maps)
        return cls_map, seg_map

    def loss(self, inputs: dict[str, Tensor],
             data_samples: list[FewShotDataSample]) -> dict[str, Tensor]:
        """Losses of B 1-way 1-shot episodes (section 3.4 of the paper).

        Raises:
            ValueError: the episodes are not 1-way 1-shot, or carry too few labels.
        """
        if inputs['support'].shape[1:3] != (1, 1):
            raise ValueError(
                'training is 1-way 1-shot, but the episodes are of (way, shot) = '
                f"{tuple(inputs['support'].shape[1:3])}: set way=1, shot=1 in "
                'train_dataloader.dataset')
        height, width = inputs['query'].shape[-2:]
        size = (height, width)
        query, support, query_of = self.extract_episodes(inputs)
        masks = self.support_masks(support, size, self._given_masks(data_samples, 1))
        target = self.query_masks(query[query_of], support, size, data_samples)
        presence = self._presence(data_samples)
        supports = self.embed_supports(support, masks)
        cls_map, seg_map = self.token_maps(query, supports, query_of)
        return {
            **self.cls_head.loss(cls_map, presence),
            **self.seg_head.loss(seg_map, target),
        }

    def parse_losses(
            self, losses: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """The sum of the losses and, for the log, all of them.

        On several ranks what is logged are means over these, while the sum stays this
        rank's, whose gradient DDP averages.
        """
        loss, logged = super().parse_losses(losses)
        if is_distributed():
            values = torch.stack([
                value.detach().float() for value in logged.values()])
            all_reduce(values, 'mean')
            logged = dict(zip(logged, values))
        return loss, logged

    def pair_logits(self, query: ViTFeatures,
                    supports: Supports) -> tuple[Tensor, Tensor]:
        """Logits of one query with each of P supports.

        Args:
            query: features of one image.
            supports: P of them.

        Returns:
            tuple[Tensor, Tensor]: absent/present, (P, 2), and background/class,
            (P, 2, H, W), at the size of the supports' masks.
        """
        query_of = [0] * len(supports.masks)
        size = tuple(supports.masks.shape[-2:])
        cls_maps, seg_maps = self.token_maps(query, supports, query_of)
        # Pair by pair: memory grows little with N and K, and what is predicted for an
        # episode does not depend, to the last bit, on the others in its batch.
        presence = torch.cat([self.cls_head(one) for one in cls_maps.split(1)])
        segmentation = torch.cat([
            self.seg_head(one, size) for one in seg_maps.split(1)])
        return presence, segmentation

    def way_presence(self, query: ViTFeatures, supports: Supports, logits: Tensor,
                     shots: Sequence[int]) -> Tensor:
        """Logits of absent and present for N ways: the mean of the probabilities of
        their pairs. If there is a prior, it is added, and says what it says of the
        supports as a set; the head, which is surer of new classes than it should be
        (its own were trained on), then counts half. Last comes the calibration.

        Args:
            query: features of one image.
            supports: P of them, way by way.
            logits: (P, 2), of the query with each of the supports.
            shots: of every way how many of them are its.

        Returns:
            Tensor: (N, 2).
        """
        presence = torch.stack([
            mean_of_shots(way) for way in logits.split(list(shots))])
        if self.prior is not None:
            cls = query.tokens[:, :, 0].expand(len(shots), -1, -1)
            presence = HEAD_SHARE * presence + self.prior(cls, supports.cls, shots)
        return presence if self.calibration is None else self.calibration(presence)

    def way_logits(self, query: ViTFeatures, supports: Supports,
                   shots: Sequence[int]) -> WayLogits:
        """As :meth:`.EpisodeSegmentor.way_logits`; every shot is a vote for pixels."""
        presence, segmentation = self.pair_logits(query, supports)
        return WayLogits(
            self.way_presence(query, supports, presence, shots),
            segmentation.split(list(shots)))
