from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.dist import all_reduce, is_distributed
from mmengine.logging import print_log
from mmengine.structures import PixelData
from mmseg.models import BaseSegmentor
from torch import Tensor

from mmwsfs.models.build_part import build_part
from mmwsfs.models.evidence.prototype_maps import support_prototypes
from mmwsfs.models.feature_cache import FeatureCache
from mmwsfs.models.necks.correlation_transformer import resize_support
from mmwsfs.registry import MODELS
from mmwsfs.structures import (
    FewShotDataSample,
    LazyImage,
    LazyImages,
    ViTFeatures,
    distinct_images,
)
from mmwsfs.utils.state_dict import check_state_dict

from .decision import decide
from .supervision import check_supervision, choose_masks
from .supports import Supports


@MODELS.register_module()
class FewShotSegmentor(BaseSegmentor):
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
        prior (dict, optional): logits that are added to the classification head's, a
            :class:`~mmwsfs.models.PairPrior`. Defaults to None.
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
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        self.supervision = check_supervision(supervision, labeler)
        self.backbone = MODELS.build(backbone)
        sizes = {name: getattr(self.backbone, name)
                 for name in ('num_layers', 'num_heads', 'embed_dims')}
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
        if cache and not self.backbone.frozen:
            print_log(
                'no features are cached: the backbone trains '
                '(model.backbone.frozen=False)', 'current', level=logging.WARNING)
            cache = None
        self.cache = FeatureCache(**cache) if cache else None
        self._register_load_state_dict_pre_hook(self._check_state_dict)

    def _check_state_dict(self, state_dict: dict[str, Tensor], prefix: str,
                          *args: Any) -> None:
        """Refuse a checkpoint of another model; MMEngine would only warn."""
        check_state_dict(
            {name[len(prefix):]: value for name, value in state_dict.items()
             if name.startswith(prefix)},
            self.state_dict(), 'the checkpoint does not fit this model',
            'give the config it was trained with, or a checkpoint of this one; one of '
            'an older release is brought up to date by '
            'tools/model_converters/upgrade_checkpoint.py')

    decide = staticmethod(decide)

    # ------------------------------------------------------------ features
    def extract(self, images: Tensor | LazyImages) -> tuple[ViTFeatures, list[int]]:
        """Features of the distinct ones of B images, each from the backbone once.

        Args:
            images: (B, 3, H, W), or a flat array of lazy images.

        Returns:
            tuple: features of the U distinct images, in the order in which they come
            first, and the number of every image among them, in 0..U-1.
        """
        first, index = distinct_images(images)
        if len(first) < len(index):
            images = images[first]
        if not isinstance(images, LazyImages):
            return self.backbone.extract(images), index
        if self.cache is None:
            return self.backbone.extract(images.load()), index
        device = next(self.parameters()).device
        return self.cache.extract(images, device, self.backbone.extract), index

    def extract_feat(self, images: Tensor | LazyImages) -> ViTFeatures:
        """Features of B images, (B, 3, H, W)."""
        features, index = self.extract(images)
        return features[index]

    def extract_image(self, image: LazyImage) -> ViTFeatures:
        """Features of a lazy image, a batch of one."""
        images = np.array([image], dtype=object)
        return self.extract_feat(LazyImages(images, self.data_preprocessor.normalise))

    def extract_episodes(
            self, inputs: Mapping[str, Tensor | LazyImages]
    ) -> tuple[ViTFeatures, ViTFeatures, list[int]]:
        """Features of the queries and supports of B episodes; equal images once.

        Returns:
            tuple: features of the Q distinct queries, of all B * N * K supports, and
            for every episode the number of its query, in 0..Q-1.
        """
        queries: Any = inputs['query']
        supports: Any = inputs['support']
        images: Tensor | LazyImages
        if isinstance(queries, LazyImages):
            images = LazyImages.cat([queries, supports.flatten()])
        else:
            images = torch.cat([queries, supports.flatten(0, 2)])
        features, index = self.extract(images)
        query_of = index[:len(queries)]
        # Queries come first, so that theirs are the first numbers.
        return (features[:max(query_of) + 1], features[index[len(queries):]], query_of)

    # ------------------------------------------------------------ labels
    def support_masks(self, support: ViTFeatures, size: tuple[int, int],
                      given: Sequence[Tensor | None] | None = None) -> Tensor:
        """Masks of P supports, by the model's supervision.

        Args:
            support: features of the supports.
            size: (H, W) of the masks.
            given: of every support the mask, (H, W), that came with it, 0 outside the
                object, or None. Defaults to None, no masks at all.

        Returns:
            Tensor: (P, H, W) bool.

        Raises:
            ValueError: under supervision 'pixel' a mask is missing.
        """
        return choose_masks(
            self.supervision, given or [None] * len(support),
            lambda: self.labeler(support, support, size), 'support')

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
    def _given_masks(data_samples: Sequence[FewShotDataSample],
                     supports: int) -> list[Tensor | None]:
        """Of every support of B episodes the mask that the data carry, or None."""
        return [
            mask for sample in data_samples for mask in (
                sample.support_masks.flatten(0, 1) if 'support_masks' in sample
                else [None] * supports)]

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
        losses = {
            **self.cls_head.loss(cls_map, presence),
            **self.seg_head.loss(seg_map, target),
        }
        if self.prior is not None:
            with torch.no_grad():
                logits = self.cls_head(cls_map)
            prior = self.prior(query.tokens[:, :, 0], supports.cls, query_of)
            losses.update(self.prior.loss(prior, logits, presence))
        return losses

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
        if self.prior is not None:
            presence = presence + self.prior(
                query.tokens[:, :, 0], supports.cls, query_of)
        if self.calibration is not None:
            presence = self.calibration(presence)
        return presence, segmentation

    def _logits_and_masks(
            self, inputs: dict[str, Tensor],
            data_samples: list[FewShotDataSample]) -> tuple[Tensor, Tensor, Tensor]:
        """Logits, (B, N, K, 2) and (B, N, K, 2, H, W), and the support masks used,
        (B, N, K, H, W)."""
        way_shot = tuple(inputs['support'].shape[1:3])
        height, width = inputs['query'].shape[-2:]
        pairs = way_shot[0] * way_shot[1]
        query, support, query_of = self.extract_episodes(inputs)
        masks = self.support_masks(
            support, (height, width), self._given_masks(data_samples, pairs))
        rows = []
        for row, number in enumerate(query_of):
            episode = slice(row * pairs, (row + 1) * pairs)
            rows.append(self.pair_logits(
                query[number:number + 1],
                self.embed_supports(support[episode], masks[episode])))
        presence, segmentation = (
            torch.stack(logits).unflatten(1, way_shot) for logits in zip(*rows))
        return presence, segmentation, masks.unflatten(0, (len(query_of), *way_shot))

    def _forward(self, inputs: dict[str, Tensor],
                 data_samples: list[FewShotDataSample]) -> tuple[Tensor, Tensor]:
        """Logits (B, N, K, 2) and (B, N, K, 2, H, W), see :meth:`pair_logits`."""
        return self._logits_and_masks(inputs, data_samples)[:2]

    def predict(self, inputs: dict[str, Tensor],
                data_samples: list[FewShotDataSample]) -> list[FewShotDataSample]:
        """Presence of every way and a mask of the query at its original size.

        Returns:
            list: the data samples with ``presence_scores``, (N,), ``seg_probs``,
            (N, H, W), ``pred_sem_seg``, (1, H, W) uint8, 0..N (see :meth:`decide`),
            and the ``support_masks`` that were used.
        """
        cls_logits, seg_logits, masks = self._logits_and_masks(inputs, data_samples)
        for sample, cls_logit, seg_logit, mask in zip(
                data_samples, cls_logits, seg_logits, masks):
            decision = self.decide(cls_logit, seg_logit, sample.ori_shape)
            sample.presence_scores = decision.scores
            sample.support_masks = mask.to(torch.uint8)
            sample.set_data(dict(
                seg_probs=PixelData(data=decision.probs),
                pred_sem_seg=PixelData(data=decision.label_map.unsqueeze(0))))
        return data_samples

    def encode_decode(self, inputs: dict[str, Tensor],
                      data_samples: list[FewShotDataSample]) -> Tensor:
        """Segmentation logits, (B, N, K, 2, H, W)."""
        return self._forward(inputs, data_samples)[1]
