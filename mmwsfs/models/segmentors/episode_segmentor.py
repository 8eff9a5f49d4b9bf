from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.logging import print_log
from mmengine.structures import PixelData
from mmseg.models import BaseSegmentor
from torch import Tensor

from mmwsfs.models.feature_cache import FeatureCache
from mmwsfs.models.position_subspace import PositionSubspace
from mmwsfs.registry import MODELS
from mmwsfs.structures import (
    FewShotDataSample,
    LazyImage,
    LazyImages,
    ViTFeatures,
    distinct_images,
)
from mmwsfs.utils.state_dict import check_state_dict

from .decision import Decision, WayLogits, decide
from .published_backbone import fill_in_backbone
from .supervision import check_supervision, choose_masks


class _Question(NamedTuple):
    """What is asked of one episode.

    Attributes:
        query: features of one image.
        supports: what is kept of the supports, way by way, then of the negatives.
        shots: of every way, and of every negative, how many of the supports are its.
        negative_of: of every negative the way, 0..N-1, that it is not.
        masks: (N, K, H, W) bool, those of the supports.
    """

    query: ViTFeatures
    supports: Any
    shots: list[int]
    negative_of: list[int]
    masks: Tensor


class EpisodeSegmentor(BaseSegmentor):
    """What all models of episodes have in common.

    Inputs are a dict of ``query``, (B, 3, H, W), ``support``, (B, N, K, 3, H, W), and,
    where there are any, ``negative``, (B, N, M, 3, H, W): of every way M photographs of
    what it is *not* (see :func:`.decide`). All are normalised.

    A child says how a query is compared with supports, by :meth:`embed_supports` and
    :meth:`way_logits`: features, masks and what is decided are the same for all.

    Args:
        backbone (dict): gives :class:`.ViTFeatures` by its ``extract``, and has
            ``num_layers``, ``num_heads`` and ``embed_dims``.
        supervision (str): where support masks and the queries' targets come from:
            'pixel', the data; 'image', the labeler, in training and in testing, and no
            mask is read; 'mixed', the data for images that carry a mask, the labeler
            for all others.
        labeler (dict, optional): makes pseudo-masks; a child builds it, as
            ``self.labeler``, in its place among its other parts. Defaults to None.
        cache (dict, optional): settings of a
            :class:`~mmwsfs.models.FeatureCache`: an image of a data set goes through
            the backbone once. Off, with a warning, where the backbone trains.
            Defaults to None.
        data_preprocessor (dict, optional): Defaults to None.
        init_cfg (dict, optional): Defaults to None.

    Attributes:
        sizes: ``num_layers``, ``num_heads`` and ``embed_dims`` of the backbone, for
            :func:`~mmwsfs.models.build_part.build_part`.
        positions: the :class:`.PositionSubspace` of the backbone.

    Raises:
        ValueError: no or an unknown supervision, or one that needs a labeler.
    """

    labeler: Any
    #: Whether a pixel is no more probable than its way is present.
    gated = False

    def __init__(self,
                 backbone: dict,
                 supervision: str | None = None,
                 labeler: dict | None = None,
                 cache: dict | None = None,
                 data_preprocessor: dict | None = None,
                 init_cfg: dict | None = None) -> None:
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        self.supervision = check_supervision(supervision, labeler)
        self.backbone = MODELS.build(backbone)
        self.sizes = {name: getattr(self.backbone, name)
                      for name in ('num_layers', 'num_heads', 'embed_dims')}
        if cache and not self.backbone.frozen:
            print_log(
                'no features are cached: the backbone trains '
                '(model.backbone.frozen=False)', 'current', level=logging.WARNING)
            cache = None
        self.cache = FeatureCache(**cache) if cache else None
        self.positions = PositionSubspace(self.backbone)
        self._register_load_state_dict_pre_hook(self._check_state_dict)

    def _check_state_dict(self, state_dict: dict[str, Tensor], prefix: str,
                          *args: Any) -> None:
        """Refuse a checkpoint of another model; MMEngine would only warn."""
        fill_in_backbone(self.backbone, state_dict, prefix)
        check_state_dict(
            {name[len(prefix):]: value for name, value in state_dict.items()
             if name.startswith(prefix)},
            self.state_dict(), 'the checkpoint does not fit this model',
            'give the config it was trained with, or a checkpoint of this one; one of '
            'an older release is brought up to date by '
            'tools/model_converters/upgrade_checkpoint.py')

    # ------------------------------------------------------------ what a child says
    @abstractmethod
    def embed_supports(self, support: ViTFeatures, masks: Tensor) -> Any:
        """What is kept of P supports, to be compared with queries.

        Args:
            support: features of P images.
            masks: (P, H, W) bool.

        Returns:
            Any: what :meth:`way_logits` reads, the ``masks`` among it.
        """

    @abstractmethod
    def way_logits(self, query: ViTFeatures, supports: Any,
                   shots: Sequence[int]) -> WayLogits:
        """Logits of one query for N ways, each by all of its supports.

        Args:
            query: features of one image.
            supports: what :meth:`embed_supports` keeps of P supports, way by way.
            shots: of every way how many of them are its; they add up to P.
        """

    decide = staticmethod(decide)

    # ------------------------------------------------------------ features
    def extract(self, images: Tensor | LazyImages) -> tuple[ViTFeatures, list[int]]:
        """Features of the distinct ones of B images, each from the backbone once.

        Keys are as the labeler wants them, with or without what tells their place.

        Args:
            images: (B, 3, H, W), or a flat array of lazy images.

        Returns:
            tuple: features of the U distinct images, in the order in which they come
            first, and the number of every image among them, in 0..U-1.
        """
        first, index = distinct_images(images)
        if len(first) < len(index):
            images = images[first]
        height, width = images.shape[-2:]
        return self.positions.for_labeler(
            self._extract(images), (height, width),
            getattr(self, 'labeler', None)), index

    def _extract(self, images: Tensor | LazyImages) -> ViTFeatures:
        if not isinstance(images, LazyImages):
            return self.backbone.extract(images)
        if self.cache is None:
            return self.backbone.extract(images.load())
        device = next(self.parameters()).device
        return self.cache.extract(images, device, self.backbone.extract)

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

    def negative_masks(self, negative: ViTFeatures, size: tuple[int, int]) -> Tensor:
        """Masks of P negative supports: pseudo-masks, or without a labeler all of it.

        Nobody draws masks of what a class is not.

        Args:
            negative: features of the photographs.
            size: (H, W) of the masks.

        Returns:
            Tensor: (P, H, W) bool.
        """
        if self.labeler is None:
            return torch.ones(
                len(negative), *size, dtype=torch.bool, device=negative.tokens.device)
        return self.labeler(negative, negative, size)

    @staticmethod
    def _given_masks(data_samples: Sequence[FewShotDataSample],
                     supports: int) -> list[Tensor | None]:
        """Of every support of B episodes the mask that the data carry, or None."""
        return [
            mask for sample in data_samples for mask in (
                sample.support_masks.flatten(0, 1) if 'support_masks' in sample
                else [None] * supports)]

    # ------------------------------------------------------------ prediction
    def predict_query(self, query: ViTFeatures, supports: Any, shots: Sequence[int],
                      size: tuple[int, int],
                      negative_of: Sequence[int] = (), threshold: float = 0.5,
                      absent_pixels: bool = True) -> Decision:
        """What is in one query.

        Args:
            query: features of one image.
            supports: what :meth:`embed_supports` keeps of the supports, way by way,
                then of the negatives, one after the other.
            shots: of each of N ways, then of each negative, how many of the supports
                are its.
            size: (H, W), the query's original size in pixels.
            negative_of: of every negative the way, 0..N-1, that it is not. Defaults to
                none.
            threshold: a way is present above this score. Defaults to 0.5.
            absent_pixels: whether absent ways take pixels. Defaults to True, as
                published.
        """
        return self.decide(
            self.way_logits(query, supports, shots), size, negative_of, self.gated,
            threshold, absent_pixels)

    def _questions(self, inputs: dict[str, Tensor],
                   data_samples: list[FewShotDataSample]) -> Iterator[_Question]:
        """What is asked of B episodes."""
        way, shot = inputs['support'].shape[1:3]
        height, width = inputs['query'].shape[-2:]
        size = (height, width)
        query, support, query_of = self.extract_episodes(inputs)
        masks = self.support_masks(
            support, size, self._given_masks(data_samples, way * shot))
        negatives = 0
        if 'negative' in inputs:
            images: Any = inputs['negative']
            negatives = images.shape[2]
            negative = self.extract_feat(
                images.flatten() if isinstance(images, LazyImages)
                else images.flatten(0, 2))
            negative_masks = self.negative_masks(negative, size)
        for row, number in enumerate(query_of):
            episode = slice(row * way * shot, (row + 1) * way * shot)
            features, used = support[episode], masks[episode]
            if negatives:
                episode = slice(row * way * negatives, (row + 1) * way * negatives)
                features = ViTFeatures.cat([features, negative[episode]])
                used = torch.cat([used, negative_masks[episode]])
            yield _Question(
                query[number:number + 1], self.embed_supports(features, used),
                [shot] * way + [1] * (way * negatives),
                [n for n in range(way) for _ in range(negatives)],
                used[:way * shot].unflatten(0, (way, shot)))

    def _forward(self, inputs: dict[str, Tensor],
                 data_samples: list[FewShotDataSample]) -> tuple[Tensor, Tensor]:
        """Logits of the ways, whatever negatives there are: absent/present,
        (B, N, 2), and background/class, (B, N, V, 2, H, W), of V votes."""
        rows = []
        for asked in self._questions(inputs, data_samples):
            logits = self.way_logits(asked.query, asked.supports, asked.shots)
            way = len(asked.masks)
            rows.append((
                logits.presence[:way], torch.stack([*logits.segmentation[:way]])))
        presence, segmentation = (torch.stack(logits) for logits in zip(*rows))
        return presence, segmentation

    def predict(self, inputs: dict[str, Tensor],
                data_samples: list[FewShotDataSample]) -> list[FewShotDataSample]:
        """Presence of every way and a mask of the query at its original size.

        Returns:
            list: the data samples with ``presence_scores``, (N,), ``seg_probs``,
            (N, H, W), ``pred_sem_seg``, (1, H, W) uint8, 0..N (see :func:`.decide`),
            and the ``support_masks`` that were used.
        """
        for sample, asked in zip(data_samples, self._questions(inputs, data_samples)):
            decision = self.predict_query(
                asked.query, asked.supports, asked.shots, sample.ori_shape,
                asked.negative_of)
            sample.presence_scores = decision.scores
            sample.support_masks = asked.masks.to(torch.uint8)
            sample.set_data(dict(
                seg_probs=PixelData(data=decision.probs),
                pred_sem_seg=PixelData(data=decision.label_map.unsqueeze(0))))
        return data_samples

    def encode_decode(self, inputs: dict[str, Tensor],
                      data_samples: list[FewShotDataSample]) -> Tensor:
        """Segmentation logits of V votes a way, (B, N, V, 2, h, w)."""
        return self._forward(inputs, data_samples)[1]

    def loss(self, inputs: dict[str, Tensor],
             data_samples: list[FewShotDataSample]) -> dict[str, Tensor]:
        """None: a child that learns in training has them.

        Raises:
            ValueError: always.
        """
        raise ValueError(
            f'{type(self).__name__} has nothing to train: test it by tools/test.py or '
            'tools/analysis_tools/compare_methods.py, without a checkpoint')
