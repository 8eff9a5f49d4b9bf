from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.logging import print_log
from mmengine.structures import PixelData
from mmseg.models import BaseSegmentor
from torch import Tensor

from mmwsfs.models.feature_cache import FeatureCache
from mmwsfs.registry import MODELS
from mmwsfs.structures import FewShotDataSample, LazyImage, LazyImages, ViTFeatures
from mmwsfs.utils.state_dict import check_state_dict


def unique_images(images: Tensor) -> tuple[list[int], list[int]]:
    """Which of B images, (B, 3, H, W), are the first of their kind.

    Returns:
        tuple: the positions of the first ones, and for every image the number, in that
        list, of the one it equals.
    """
    first: list[int] = []
    index = []
    sums = images.flatten(1).double().sum(dim=1).tolist()
    for position, total in enumerate(sums):
        number = next(
            (number for number, other in enumerate(first) if sums[other] == total
             and torch.equal(images[other], images[position])), len(first))
        if number == len(first):
            first.append(position)
        index.append(number)
    return first, index


class Decision(NamedTuple):
    """The prediction for one query by N ways.

    Attributes:
        scores: (N,) float in 0..1, probabilities of presence.
        present: (N,) bool.
        probs: (N, H, W) float in 0..1, foreground probabilities of every way.
        label_map: (H, W) uint8, 0 = background, 1..N = way.
    """

    scores: Tensor
    present: Tensor
    probs: Tensor
    label_map: Tensor


@MODELS.register_module()
class FewShotSegmentor(BaseSegmentor):
    """Few-shot classification and segmentation (CST).

    Trains 1-way 1-shot, predicts N-way K-shot. Inputs are a dict of ``query``,
    (B, 3, H, W), and ``support``, (B, N, K, 3, H, W), normalised.

    The supervision is 'pixel' (support masks and query targets come with the data)
    until a :class:`~mmwsfs.engine.hooks.PseudoLabelHook` sets it to 'image': then both
    come from ``labeler``, in training and in testing, and no mask is read. Under
    'mixed' they come from the labeler for images that carry no mask.

    Args:
        backbone (dict): gives :class:`ViTFeatures` by its ``extract``.
        neck (dict): (query, support, support mask) -> two token maps.
        cls_head (dict): classification token map -> 2 logits.
        seg_head (dict): segmentation token map -> 2 logits a pixel.
        labeler (dict, optional): makes the pseudo-masks. Defaults to None.
        prior (dict, optional): (query, support) -> 2 logits that are added to the
            classification head's, see :class:`~mmwsfs.models.PairPrior`. Neck and
            heads train as without it. Defaults to None.
        cache (dict, optional): settings of a
            :class:`~mmwsfs.models.FeatureCache`: an image of a data set goes through
            the backbone once. Off, with a warning, where the backbone trains.
            Defaults to None.
        data_preprocessor (dict, optional): Defaults to None.
        init_cfg (dict, optional): Defaults to None.
    """

    def __init__(self,
                 backbone: dict,
                 neck: dict,
                 cls_head: dict,
                 seg_head: dict,
                 labeler: dict | None = None,
                 prior: dict | None = None,
                 cache: dict | None = None,
                 data_preprocessor: dict | None = None,
                 init_cfg: dict | None = None) -> None:
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        self.backbone = MODELS.build(backbone)
        self.neck = MODELS.build(neck)
        self.cls_head = MODELS.build(cls_head)
        self.seg_head = MODELS.build(seg_head)
        self.labeler = MODELS.build(labeler) if labeler else None
        self.prior = MODELS.build(prior) if prior else None
        self.supervision = 'pixel'
        if cache and not self.backbone.frozen:
            print_log(
                'no features are cached: the backbone trains '
                '(model.backbone.frozen=False)', 'current', level=logging.WARNING)
            cache = None
        self.cache = FeatureCache(**cache) if cache else None
        self._register_load_state_dict_pre_hook(self._check_state_dict)

    def _check_state_dict(self, state_dict: dict[str, Tensor], prefix: str,
                          *args) -> None:
        """Refuse a checkpoint of another model; MMEngine would only warn."""
        check_state_dict(
            {name[len(prefix):]: value for name, value in state_dict.items()
             if name.startswith(prefix)},
            self.state_dict(), 'the checkpoint does not fit this model',
            'give the config it was trained with, or a checkpoint of this one')

    @property
    def supervision(self) -> str:
        """'pixel', 'image' or 'mixed'."""
        return self._supervision

    @supervision.setter
    def supervision(self, value: str) -> None:
        if value not in ('pixel', 'image', 'mixed'):
            raise ValueError(
                f"supervision is 'pixel', 'image' or 'mixed', not {value!r}")
        if value != 'pixel' and self.labeler is None:
            raise ValueError(
                f"supervision '{value}' needs a labeler: set model.labeler, e.g. to "
                "dict(type='AttentionLabeler')")
        self._supervision = value

    def extract_feat(self, images: Tensor | LazyImages) -> ViTFeatures:
        """Features of B images, (B, 3, H, W), each from the backbone once."""
        if isinstance(images, LazyImages):
            device = next(self.parameters()).device
            if self.cache is None:
                return self.extract_feat(images.load())
            return self.cache.extract(images, device, self.extract_feat)
        return self.backbone.extract(images)

    def extract_image(self, image: LazyImage) -> ViTFeatures:
        """Features of a lazy image, a batch of one."""
        images = np.array([image], dtype=object)
        return self.extract_feat(LazyImages(images, self.data_preprocessor.normalise))

    def extract_episodes(
            self, inputs: dict[str, Tensor]) -> tuple[ViTFeatures, ViTFeatures]:
        """Features of B queries and of B * N * K supports; equal images once."""
        queries, supports = inputs['query'], inputs['support']
        if isinstance(queries, LazyImages):
            images = LazyImages.cat([queries, supports.flatten()])
            features = self.extract_feat(images)
        else:
            images = torch.cat([queries, supports.flatten(0, 2)])
            first, index = unique_images(images)
            if len(first) == len(images):
                features = self.extract_feat(images)
            else:
                features = self.extract_feat(images[first])[index]
        return features[:len(queries)], features[len(queries):]

    def support_masks(self, support: ViTFeatures, size: tuple[int, int],
                      data_samples: list[FewShotDataSample]) -> Tensor:
        """Masks of B * N * K supports, (B * N * K, H, W) bool.

        Raises:
            ValueError: under supervision 'pixel' the data carry no support masks.
        """
        given = [sample.support_masks.flatten(0, 1) > 0
                 if 'support_masks' in sample else None for sample in data_samples]
        if self.supervision == 'pixel':
            self._require(given, 'support masks')
            return torch.cat(given)
        return self._prefer(given, self.labeler(support, support, size))

    def query_masks(self, query: ViTFeatures, support: ViTFeatures,
                    size: tuple[int, int],
                    data_samples: list[FewShotDataSample]) -> Tensor:
        """Training targets of B queries of 1-way episodes, (B, H, W) bool.

        Void counts as background, as in the published protocol. The labeler is told
        the classes of targets; not of supports, whose masks are to be as in testing,
        where the classes are new.

        Raises:
            ValueError: under supervision 'pixel' the data carry no query mask.
        """
        given = [sample.gt_sem_seg.data == 1 if 'gt_sem_seg' in sample else None
                 for sample in data_samples]
        if self.supervision == 'pixel':
            self._require(given, 'query masks')
            return torch.cat(given)
        presence = self._presence(data_samples)
        classes = torch.tensor(
            [int(sample.class_ids[0]) for sample in data_samples],
            device=presence.device)
        made = self.labeler(support, query, size, classes) & presence[:, None, None]
        return self._prefer(given, made)

    def _prefer(self, given: list[Tensor | None], made: Tensor) -> Tensor:
        """The labeler's masks; under 'mixed' those that the data carry in their place.

        Args:
            given: of every episode its masks, (M, H, W) bool, or None.
            made: (B * M, H, W) bool.
        """
        if self.supervision == 'image':
            return made
        return torch.cat([
            own if masks is None else masks
            for masks, own in zip(given, made.chunk(len(given)))])

    @staticmethod
    def _require(given: list[Tensor | None], what: str) -> None:
        if any(masks is None for masks in given):
            raise ValueError(
                f"supervision 'pixel' needs {what}, but the data carry none: load them "
                '(with_masks=True and LoadLabelMap), or add a PseudoLabelHook for '
                "supervision 'image'")

    @staticmethod
    def _presence(data_samples: list[FewShotDataSample]) -> Tensor:
        return torch.cat([sample.gt_presence for sample in data_samples])

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
        size = tuple(inputs['query'].shape[-2:])
        query, support = self.extract_episodes(inputs)
        support_mask = self.support_masks(support, size, data_samples)
        target = self.query_masks(query, support, size, data_samples)
        presence = self._presence(data_samples)
        cls_map, seg_map = self.neck(query, support, support_mask)
        losses = {
            **self.cls_head.loss(cls_map, presence),
            **self.seg_head.loss(seg_map, target),
        }
        if self.prior is not None:
            with torch.no_grad():
                logits = self.cls_head(cls_map)
            losses.update(self.prior.loss(query, support, logits, presence))
        return losses

    def pair_logits(self, query: ViTFeatures, support: ViTFeatures, masks: Tensor,
                    way_shot: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Logits of every query with each of its supports.

        Args:
            query: features of B queries.
            support: features of B * N * K supports.
            masks: (B * N * K, H, W) bool, of the supports.
            way_shot: (N, K).

        Returns:
            tuple[Tensor, Tensor]: absent/present, (B, N, K, 2), and background/class,
            (B, N, K, 2, H, W).
        """
        size = tuple(masks.shape[-2:])
        cls_logits, seg_logits = [], []
        pairs = len(masks) // len(query)
        for row in range(len(query)):
            own = slice(row * pairs, (row + 1) * pairs)
            cls_maps, seg_maps = self.neck(
                query[row:row + 1], support[own], masks[own])
            # Pair by pair: memory grows little with N and K, and what is predicted for
            # an episode does not depend, to the last bit, on the others in its batch.
            for cls_map, seg_map in zip(cls_maps.split(1), seg_maps.split(1)):
                cls_logits.append(self.cls_head(cls_map))
                seg_logits.append(self.seg_head(seg_map, size))
        shape = (len(query), *way_shot)
        presence = torch.cat(cls_logits)
        if self.prior is not None:
            presence = presence + self.prior(query, support)
        return (presence.unflatten(0, shape),
                torch.cat(seg_logits).unflatten(0, shape))

    def _logits_and_masks(
            self, inputs: dict[str, Tensor],
            data_samples: list[FewShotDataSample]) -> tuple[Tensor, Tensor, Tensor]:
        """:meth:`pair_logits`, and the support masks used, (B, N, K, H, W)."""
        way_shot = tuple(inputs['support'].shape[1:3])
        query, support = self.extract_episodes(inputs)
        masks = self.support_masks(
            support, tuple(inputs['query'].shape[-2:]), data_samples)
        return (*self.pair_logits(query, support, masks, way_shot),
                masks.unflatten(0, (len(query), *way_shot)))

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

    @staticmethod
    def decide(cls_logits: Iterable[Tensor], seg_logits: Iterable[Tensor],
               size: tuple[int, int]) -> Decision:
        """What is in one query, by its logits with the supports of N ways.

        Probabilities are averaged over the shots. A way is present above 0.5. A pixel
        takes the way of the largest foreground probability, or background (0) when
        that is below 0.5.

        Args:
            cls_logits: N of (K, 2), absent/present; K may differ from way to way.
            seg_logits: N of (K, 2, h, w), background/class.
            size: (H, W), the query's original size in pixels.
        """
        scores = torch.stack([
            logits.float().softmax(dim=1)[:, 1].mean() for logits in cls_logits])
        probs = torch.stack([
            F.interpolate(
                logits.float(), size, mode='bilinear',
                align_corners=True).softmax(dim=1)[:, 1].mean(dim=0)
            for logits in seg_logits])
        best, way = probs.max(dim=0)
        label_map = torch.where(best >= 0.5, way + 1, 0).to(torch.uint8)
        return Decision(scores, scores > 0.5, probs, label_map)

    def encode_decode(self, inputs: dict[str, Tensor],
                      data_samples: list[FewShotDataSample]) -> Tensor:
        """Segmentation logits, (B, N, K, 2, H, W)."""
        return self._forward(inputs, data_samples)[1]
