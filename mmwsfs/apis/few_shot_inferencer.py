from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.registry import DefaultScope
from torch import Tensor

from mmwsfs.datasets.episode_pipeline import episode_pipeline
from mmwsfs.registry import INFERENCERS
from mmwsfs.structures import VOID, ViTFeatures

from .image_pipeline import Image, ImagePipeline, PreparedImage
from .init_model import init_model
from .prediction_writer import PredictionWriter, thumbnail


@dataclass(frozen=True)
class _Classes:
    """What is kept of N classes of K images each; K may differ.

    Attributes:
        names: of the classes.
        shots: K of every class, then 1 for every negative.
        negative_of: of every negative the number of its class, 0..N-1.
        supports: what the model keeps of all images, class by class, then of the
            negatives.
        pictures: N x K thumbnails.
    """

    names: list[str]
    shots: list[int]
    negative_of: list[int]
    supports: Any
    pictures: list[list[np.ndarray]]

    @property
    def masks(self) -> Sequence[Tensor]:
        """N of (K, h, w), those of the supports."""
        return self.supports.masks.cpu().split(self.shots)[:len(self.names)]


def _as_list(images: Any) -> list:
    """A single file or image in memory is a list of one."""
    single = (*get_args(Image), bytes)  # which is refused as a whole
    return [images] if isinstance(images, single) else list(images)


@INFERENCERS.register_module()
class FewShotInferencer:
    """Finds new classes in images, given a few example images of each::

        inferencer = FewShotInferencer('config.py', 'checkpoint.pth')
        inferencer.set_supports({'cat': ['a.jpg', 'b.jpg'], 'dog': ['c.jpg']})
        for result in inferencer(['x.jpg', 'y.jpg'], out_dir='out'):
            print(result['image'], result['presence'])

    An image is a file, an array, (H, W, 3) uint8, BGR as ``mmcv.imread`` gives it, or a
    PIL image.
    It is preprocessed as the config's test pipeline does it, and goes through the
    backbone once: a support when it is set, however many queries follow.

    It is no MMEngine ``BaseInferencer``: that one knows queries only, and holds every
    prediction until the last is made.

    Args:
        config: a config file, or what is read from one.
        checkpoint: see :func:`init_model`. Defaults to None.
        device: Defaults to None, a GPU where there is one.

    Raises:
        FileNotFoundError, TypeError, ValueError: see :func:`init_model` and
            :class:`.ImagePipeline`.
    """

    def __init__(self,
                 config: str | Path | Config,
                 checkpoint: str | Path | None = None,
                 device: str | torch.device | None = None) -> None:
        self.checkpoint = checkpoint
        self.model = init_model(config, checkpoint, device or get_device())
        cfg = self.model.cfg
        dataset = cfg.test_dataloader.dataset
        pipeline = dataset.get('pipeline') or episode_pipeline(
            dataset.get('img_size'), support_mask=dict(
                type='LoadObjectMask', threshold=dataset.get('mask_threshold')))
        with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmwsfs')):
            self._query_pipeline = ImagePipeline(pipeline, 'query')
            self._support_pipeline = ImagePipeline(pipeline, 'support')
        self._classes: _Classes | None = None

    def set_supports(
            self,
            supports: Mapping[str, Image | Sequence[Image]],
            masks: Mapping[str, Image | Sequence[Image | None]] | None = None,
            negatives: Mapping[str, Image | Sequence[Image]] | None = None) -> None:
        """Set the classes to look for, in place of those set before.

        Args:
            supports: class name -> its K >= 1 images. The order of the classes is that
                of the ways, 1..N; N is at most 254.
            masks: class name -> K masks, see :class:`.ImagePipeline`, or None in a
                mask's place. Images without one take the model's pseudo-mask, if it
                was trained with those. Defaults to None.
            negatives: class name -> photographs of what it is *not*, such as what it
                is taken for. Where one of them explains a query, or a pixel, better
                than the class's images, it is not the class. They need no masks. A
                class may have none. Defaults to None.

        Raises:
            FileNotFoundError: a file is missing.
            ValueError: there are no classes or too many, a class has no images, masks
                do not match the images or are missing, negatives are of no class, or a
                file is no image.
        """
        listed = {name: _as_list(images) for name, images in supports.items()}
        listed_masks = self._check_supports(listed, {
            name: _as_list(values) for name, values in (masks or {}).items()})
        features, used_masks = [], []
        pictures: list[list[np.ndarray]] = []
        for name, images in listed.items():
            pictures.append([])
            for image, mask in zip(images, listed_masks[name]):
                prepared = self._support_pipeline(image, mask)
                feature = self._extract([prepared])
                features.append(feature)
                used_masks.append(self._support_mask(feature, prepared))
                pictures[-1].append(thumbnail(prepared.original))
        negative_of = []
        for name, images in self._check_negatives(listed, negatives or {}).items():
            for image in images:
                prepared = self._support_pipeline(image)
                feature = self._extract([prepared])
                features.append(feature)
                _, height, width = prepared.pixels.shape
                with torch.no_grad():
                    used_masks.append(
                        self.model.negative_masks(feature, (height, width)))
                negative_of.append(list(listed).index(name))
        with torch.no_grad():
            embedded = self.model.embed_supports(
                ViTFeatures.cat(features), torch.cat(used_masks))
        self._classes = _Classes(
            list(listed),
            [*map(len, listed.values()), *[1] * len(negative_of)], negative_of,
            embedded, pictures)

    def _check_supports(
            self, supports: dict[str, list],
            masks: dict[str, list]) -> dict[str, list]:
        """The masks of every class, None where an image has none."""
        if not supports:
            raise ValueError('no supports: give at least one class with an image')
        if len(supports) >= VOID:
            raise ValueError(
                f'{len(supports)} classes are too many for a label map: give at most '
                f'{VOID - 1}')
        empty = [name for name, images in supports.items() if not images]
        if empty:
            raise ValueError(f"class '{empty[0]}' has no support images")
        unknown = sorted(masks.keys() - supports.keys())
        if unknown:
            raise ValueError(
                f"masks for class '{unknown[0]}', which has no support images: the "
                f'classes are {list(supports)}')
        complete = {}
        for name, images in supports.items():
            complete[name] = masks.get(name, [None] * len(images))
            if len(complete[name]) != len(images):
                raise ValueError(
                    f"class '{name}' has {len(images)} support images, but "
                    f'{len(complete[name])} masks: give one for each, or None')
            if self.model.supervision == 'pixel' and any(
                    mask is None for mask in complete[name]):
                raise ValueError(
                    f"class '{name}' has support images without a mask, which a model "
                    'trained with masks needs: give masks, or take a config of '
                    "model.supervision='image' and its checkpoint")
        return complete

    @staticmethod
    def _check_negatives(
            supports: dict[str, list],
            negatives: Mapping[str, Image | Sequence[Image]]) -> dict[str, list]:
        """The negatives of every class that has some."""
        unknown = sorted(negatives.keys() - supports.keys())
        if unknown:
            raise ValueError(
                f"negatives for class '{unknown[0]}', which has no support images: the "
                f'classes are {list(supports)}')
        return {name: _as_list(images) for name, images in negatives.items()}

    @torch.no_grad()
    def _extract(self, images: Sequence[PreparedImage]) -> ViTFeatures:
        """Features of B images, in one call of the backbone."""
        inputs = self.model.data_preprocessor(
            dict(inputs=dict(images=[image.pixels for image in images])))['inputs']
        return self.model.extract_feat(inputs['images'])

    def _support_mask(self, feature: ViTFeatures, image: PreparedImage) -> Tensor:
        """(1, h, w) bool, on the model's device."""
        if image.mask is None:
            _, height, width = image.pixels.shape
            return self.model.support_masks(feature, (height, width))
        return image.mask[None].to(feature.tokens.device)

    def __call__(self,
                 queries: Image | Sequence[Image],
                 batch_size: int = 1,
                 out_dir: str | Path | None = None) -> list[dict]:
        """Predict all queries; see :meth:`predict`, which does not hold them all."""
        return list(self.predict(queries, batch_size, out_dir))

    def predict(self,
                queries: Image | Sequence[Image],
                batch_size: int = 1,
                out_dir: str | Path | None = None,
                on_error: Callable[[Image, Exception], None] | None = None
                ) -> Iterator[dict]:
        """Predict query after query, for more of them than memory holds predictions.

        Args:
            queries: the images.
            batch_size: images that go through the backbone at once. Defaults to 1.
            out_dir: folder for pictures, label maps and ``predictions.json``, see
                :class:`.PredictionWriter`. Defaults to None.
            on_error: called with each query that cannot be read, and its error; the
                query is left out. Defaults to None: the error is raised.

        Yields:
            dict: of every query

            - ``image``: its file, str, or None for one in memory
            - ``presence``: class name -> probability of presence, 0..1
            - ``present``: names of the classes that are present
            - ``label_map``: (H, W) uint8 of its original size, 0 = background,
              1..N = class in the order of the supports
            - ``probs``: (N, H, W) float32, foreground probability of every class

        Raises:
            RuntimeError: no supports are set.
            FileNotFoundError: a file is missing.
            ValueError: ``batch_size`` is below 1, a file or array is no image, or a
                prediction is no number.
        """
        if self._classes is None:
            raise RuntimeError('no supports are set: call set_supports first')
        if batch_size < 1:
            raise ValueError(f'batch_size={batch_size}: give at least 1')
        return self._predict_batches(
            self._classes, _as_list(queries), batch_size, out_dir, on_error)

    def _prepare(self, queries: Sequence[Image],
                 on_error: Callable[[Image, Exception], None] | None
                 ) -> Iterator[PreparedImage]:
        for query in queries:
            try:
                yield self._query_pipeline(query)
            except (OSError, ValueError) as error:
                if on_error is None:
                    raise
                on_error(query, error)

    def _predict_batches(self, classes: _Classes, queries: list[Image],
                         batch_size: int, out_dir: str | Path | None,
                         on_error: Callable[[Image, Exception], None] | None
                         ) -> Iterator[dict]:
        writer = PredictionWriter(
            out_dir, classes.names, classes.pictures,
            classes.masks) if out_dir else None
        try:
            for start in range(0, len(queries), batch_size):
                images = list(
                    self._prepare(queries[start:start + batch_size], on_error))
                if not images:
                    continue
                features = self._extract(images)
                for index, image in enumerate(images):
                    result = self._predict_query(
                        classes, image, features[index:index + 1])
                    if writer:
                        writer.write(image.original, result)
                    yield result
        finally:  # what was predicted before an error is kept
            if writer:
                writer.close()

    @torch.no_grad()
    def _predict_query(self, classes: _Classes, image: PreparedImage,
                       features: ViTFeatures) -> dict:
        decision = self.model.predict_query(
            features, classes.supports, classes.shots, image.original.shape[:2],
            classes.negative_of)
        if not bool(decision.scores.isfinite().all() & decision.probs.isfinite().all()):
            raise ValueError(
                f'the prediction for {image.path or "an image in memory"} is NaN or '
                f"infinite: the weights of '{self.checkpoint}' are of no use; take an "
                'earlier checkpoint')
        return dict(
            image=image.path,
            presence=dict(zip(classes.names, decision.scores.tolist())),
            present=[name for name, present in zip(classes.names, decision.present)
                     if present],
            label_map=decision.label_map.cpu().numpy(),
            probs=decision.probs.cpu().numpy())
