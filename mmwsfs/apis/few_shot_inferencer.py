from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.registry import DefaultScope
from rich.progress import track
from torch import Tensor

from mmwsfs.datasets.episode_pipeline import episode_pipeline
from mmwsfs.registry import INFERENCERS
from mmwsfs.structures import ViTFeatures
from mmwsfs.visualization import WAY_COLOURS, EpisodeVisualizer, draw_overlay
from mmwsfs.visualization.overlay import check_opacity, check_palette

from .edges import refine_edges
from .image_pipeline import Image, ImagePipeline, PreparedImage, check_channel_order
from .init_model import init_model
from .label_map import check_threshold, label_map
from .prediction_writer import PredictionWriter, thumbnail
from .prefetch import prefetch
from .support_file import read_supports, write_supports
from .support_set import SupportSet, check_classes, check_supports, complete_masks
from .write_behind import WriteBehind

Palette = np.ndarray | Sequence[Sequence[int]]


def _as_list(images: Any) -> list:
    """A single file or image in memory is a list of one."""
    single = (*get_args(Image), bytes)  # which is refused as a whole
    return [images] if isinstance(images, single) else list(images)


def _as_lists(images: Mapping[str, Any] | None) -> dict[str, list]:
    return {name: _as_list(values) for name, values in (images or {}).items()}


@INFERENCERS.register_module()
class FewShotInferencer:
    """Finds new classes in images, given a few example images of each::

        inferencer = FewShotInferencer('config.py', 'checkpoint.pth')
        inferencer.set_supports({'cat': ['a.jpg', 'b.jpg'], 'dog': ['c.jpg']})
        for result in inferencer(['x.jpg', 'y.jpg'], out_dir='out'):
            print(result['image'], result['presence'])

    An image is a file, an array, (H, W, 3) uint8, or a PIL image. Arrays are BGR, as
    ``mmcv.imread`` gives them, if ``channel_order='rgb'`` does not say otherwise.
    It is preprocessed as the config's test pipeline does it, and goes through the
    backbone once: a support when it is set, however many queries follow.

    It is no MMEngine ``BaseInferencer``, though it is called as one: that one knows
    queries only, and holds every prediction until the last is made.

    Args:
        model: what the model is made of, see :func:`init_model`.
        weights: see :func:`init_model`. Defaults to None.
        device: Defaults to None, a GPU where there is one.

    Attributes:
        supports (SupportSet, optional): what :meth:`set_supports` or
            :meth:`load_supports` set: names of the classes, thumbnails and masks.

    Raises:
        FileNotFoundError, TypeError, ValueError: see :func:`init_model` and
            :class:`.ImagePipeline`.
    """

    def __init__(self,
                 model: str | Path | Config,
                 weights: str | Path | None = None,
                 device: str | torch.device | None = None) -> None:
        #: As the caller named it; None where the caller gave a config without a file.
        self.model_name = (
            str(model) if isinstance(model, (str, Path)) else model.filename)
        self.weights = weights
        self.model = init_model(model, weights, device or get_device())
        cfg = self.model.cfg
        dataset = cfg.test_dataloader.dataset
        pipeline = dataset.get('pipeline') or episode_pipeline(
            dataset.get('img_size'), support_mask=dict(
                type='LoadObjectMask', threshold=dataset.get('mask_threshold')))
        with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmwsfs')):
            self._query_pipeline = ImagePipeline(pipeline, 'query')
            self._support_pipeline = ImagePipeline(pipeline, 'support')
        self.supports: SupportSet | None = None

    # ------------------------------------------------------------ supports
    @torch.no_grad()
    def set_supports(
            self,
            supports: Mapping[str, Image | Sequence[Image]],
            masks: Mapping[str, Image | Sequence[Image | None]] | None = None,
            negatives: Mapping[str, Image | Sequence[Image]] | None = None,
            channel_order: str = 'bgr') -> None:
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
            channel_order: of arrays, 'bgr' or 'rgb'. Defaults to 'bgr'.

        Raises:
            FileNotFoundError: a file is missing.
            ValueError: there are no classes or too many, a class has no images, masks
                do not match the images or are missing, negatives are of no class, a
                file is no image, or the order of channels is another.
        """
        listed, against = _as_lists(supports), _as_lists(negatives)
        listed_masks = _as_lists(masks)
        check_channel_order(channel_order)
        check_supports(listed)
        check_classes(listed_masks, listed, 'masks')
        listed_masks = complete_masks(listed, listed_masks, self.model.supervision)
        check_classes(against, listed, 'negatives')
        prepare = partial(self._support_pipeline, channel_order=channel_order)
        features, used_masks, paths = [], [], []
        pictures: list[list[np.ndarray]] = []
        for name, images in listed.items():
            pictures.append([])
            for image, mask in zip(images, listed_masks[name]):
                prepared = prepare(image, mask)
                feature = self._extract([prepared])
                features.append(feature)
                used_masks.append(self._support_mask(feature, prepared))
                paths.append(prepared.path)
                pictures[-1].append(thumbnail(prepared.original))
        negative_of = []
        for name, images in against.items():
            for image in images:
                prepared = prepare(image)
                feature = self._extract([prepared])
                features.append(feature)
                _, height, width = prepared.pixels.shape
                used_masks.append(self.model.negative_masks(feature, (height, width)))
                paths.append(prepared.path)
                negative_of.append(list(listed).index(name))
        self.supports = SupportSet(
            list(listed),
            [*map(len, listed.values()), *[1] * len(negative_of)], negative_of,
            self.model.embed_supports(
                ViTFeatures.cat(features), torch.cat(used_masks)),
            pictures, paths)

    def save_supports(self, path: str | Path) -> None:
        """Write what is set into one small file, for :meth:`load_supports`.

        It holds what the model keeps of the supports, and thumbnails; not the images.

        Args:
            path: the file; its format is that of safetensors, whatever its name.

        Raises:
            RuntimeError: no supports are set.
            OSError: it cannot be written.
        """
        write_supports(
            path, self._supports(), self.model, self._support_pipeline.settings)

    def load_supports(self, path: str | Path) -> None:
        """Set the classes that :meth:`save_supports` wrote, in place of those set
        before. Predictions are, on the same kind of device, the same to the last bit.

        Nothing that the file contains is run.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it is damaged, no file of supports, or of another model.
        """
        self.supports = read_supports(
            path, self.model, self._support_pipeline.settings)

    def _supports(self) -> SupportSet:
        if self.supports is None:
            raise RuntimeError('no supports are set: call set_supports first')
        return self.supports

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

    # ------------------------------------------------------------ queries
    def __call__(self,
                 queries: Image | Sequence[Image],
                 batch_size: int = 1,
                 out_dir: str | Path | None = None,
                 show: bool = False,
                 wait_time: float = 0,
                 return_vis: bool = False,
                 opacity: float = 0.5,
                 palette: Palette | None = None,
                 show_progress: bool = False,
                 **kwargs: Any) -> list[dict]:
        """Predict all queries; see :meth:`predict`, which does not hold them all.

        Args:
            queries, batch_size, out_dir, return_vis, opacity, palette: see
                :meth:`predict`.
            show: whether every overlay is shown in a window. Defaults to False.
            wait_time: seconds that it is shown; 0 waits for a key. Defaults to 0.
            show_progress: whether a bar shows how far it is. Defaults to False.
            **kwargs: the others of :meth:`predict`.

        Returns:
            list[dict]: of every query what :meth:`predict` yields.
        """
        queries = _as_list(queries)
        results = self.predict(
            queries, batch_size, out_dir, return_vis=return_vis or show,
            opacity=opacity, palette=palette, **kwargs)
        if show_progress:
            results = iter(track(results, 'predicting', len(queries)))
        window, found = EpisodeVisualizer() if show else None, []
        for result in results:
            if window:
                window.show(result['vis'], result['image'] or 'image', wait_time)
            if not return_vis:
                result.pop('vis', None)
            found.append(result)
        return found

    def predict(self,
                queries: Image | Sequence[Image],
                batch_size: int = 1,
                out_dir: str | Path | None = None,
                on_error: Callable[[Image, Exception], None] | None = None,
                threshold: float = 0.5,
                absent_pixels: bool = False,
                edges: bool = False,
                return_vis: bool = False,
                opacity: float = 0.5,
                palette: Palette | None = None,
                channel_order: str = 'bgr') -> Iterator[dict]:
        """Predict query after query, for more of them than memory holds predictions.

        Args:
            queries: the images. While one is predicted the next ones are read.
            batch_size: images that go through the backbone at once. Defaults to 1.
            out_dir: folder for pictures, label maps and ``predictions.json``, see
                :class:`.PredictionWriter`. Files of a result are there when the next
                one comes. Defaults to None.
            on_error: called with each query that cannot be read, and its error; the
                query is left out. Defaults to None: the error is raised.
            threshold: a class is present above this probability, 0..1. Defaults to
                0.5. Another one needs no other prediction: :func:`.label_map`.
            absent_pixels: whether classes that are absent may have pixels all the
                same, as in the published protocol. Defaults to False.
            edges: whether pixels follow the photograph's colours, by
                :func:`~mmwsfs.apis.edges.refine_edges`: ``probs``, and what is made of
                them. Presence stays the same. Defaults to False.
            return_vis: whether results have ``vis``. Defaults to False.
            opacity, palette: of overlays, see
                :func:`~mmwsfs.visualization.draw_overlay`. The palette defaults to
                None, that function's own.
            channel_order: of arrays, 'bgr' or 'rgb'. Defaults to 'bgr'.

        Yields:
            dict: of every query

            - ``image``: its file, str, or None for one in memory
            - ``presence``: class name -> probability of presence, 0..1
            - ``present``: names of the classes that are present
            - ``label_map``: (H, W) uint8 of its original size, 0 = background,
              1..N = class in the order of the supports
            - ``probs``: (N, H, W) float32, foreground probability of every class,
              whether it is present or not
            - ``vis``: (H, W, 3) uint8, RGB, the label map on the image, if asked for

        Raises:
            RuntimeError: no supports are set.
            FileNotFoundError: a file is missing.
            ValueError: a setting is out of its range, a file or array is no image, or
                a prediction is no number.
        """
        supports = self._supports()
        if batch_size < 1:
            raise ValueError(f'batch_size={batch_size}: give at least 1')
        check_threshold(threshold)
        check_channel_order(channel_order)
        check_opacity(opacity)
        palette = check_palette(WAY_COLOURS if palette is None else palette)
        images = _as_list(queries)
        writer = WriteBehind(PredictionWriter(
            out_dir, supports.names, supports.pictures, supports.masks,
            model=self.model_name, threshold=threshold, absent_pixels=absent_pixels,
            edges=edges, queries=images, support_images=supports.support_paths,
            negatives=supports.negative_paths, palette=palette, opacity=opacity,
        )) if out_dir else None
        return self._predict_all(
            supports,
            self._read_batches(images, batch_size, on_error, channel_order), writer,
            partial(draw_overlay, palette=palette, opacity=opacity) if return_vis
            else None, edges, threshold=threshold, absent_pixels=absent_pixels)

    def _read_batches(self, queries: list[Image], batch_size: int,
                      on_error: Callable[[Image, Exception], None] | None,
                      channel_order: str) -> Iterator[list[PreparedImage]]:
        """The queries that can be read; the next ones while one batch is used."""
        read = partial(self._query_pipeline, channel_order=channel_order)
        batch: list[PreparedImage] = []
        for number, (query, image) in enumerate(
                prefetch(read, queries, batch_size), start=1):
            try:
                batch.append(image.result())
            except (OSError, ValueError) as error:
                if on_error is None:
                    raise
                on_error(query, error)
            if batch and (number % batch_size == 0 or number == len(queries)):
                yield batch
                batch = []

    def _predict_all(self, supports: SupportSet,
                     batches: Iterator[list[PreparedImage]],
                     writer: WriteBehind | None,
                     draw: Callable[..., np.ndarray] | None,
                     edges: bool,
                     **decision: Any) -> Iterator[dict]:
        try:
            for images in batches:
                features = self._extract(images)
                for index, image in enumerate(images):
                    result = self._predict_query(
                        supports, image, features[index:index + 1], edges,
                        **decision)
                    if draw:
                        result['vis'] = draw(
                            image.original[..., ::-1], result['label_map'])
                    if writer:
                        writer.write(image.original, result)
                    yield result
            if writer:
                writer.wait()
        finally:  # what was predicted before an error is kept
            if writer:
                writer.close()

    @torch.no_grad()
    def _predict_query(self, supports: SupportSet, image: PreparedImage,
                       features: ViTFeatures, edges: bool, **decision: Any) -> dict:
        found = self.model.predict_query(
            features, supports.embedded, supports.shots, image.original.shape[:2],
            supports.negative_of, **decision)
        # A sum is not finite where one of its probabilities is not, and quick.
        if not bool(found.scores.sum().isfinite() & found.probs.sum().isfinite()):
            raise ValueError(
                f'the prediction for {image.path or "an image in memory"} is NaN or '
                f"infinite: the weights of '{self.weights or self.model_name}' are of "
                'no use; take an earlier checkpoint')
        presence = dict(zip(supports.names, found.scores.tolist()))
        probs, labels = found.probs.cpu().numpy(), found.label_map.cpu().numpy()
        if edges:
            probs = refine_edges(image.original[..., ::-1], probs)
            labels = label_map(probs, presence, **decision)
        return dict(
            image=image.path,
            presence=presence,
            present=[name for name, present in zip(supports.names, found.present)
                     if present],
            label_map=labels,
            probs=probs)
