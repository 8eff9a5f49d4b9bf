from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import broadcast, is_main_process
from torch import Tensor, nn

from mmwsfs.datasets.few_shot_dataset import FewShotDataset
from mmwsfs.models import FewShotSegmentor
from mmwsfs.structures import Fitting, LazyImage, ViTFeatures
from mmwsfs.utils.long_wait import wait_for_all_ranks
from mmwsfs.utils.module_digest import digest_module

from .training_images import LabelledImages


def fittable_parts(model: nn.Module) -> dict[str, Any]:
    """The parts of a model that learn before training, in their order.

    Those that have a method ``fit_to``, which takes a
    :class:`~mmwsfs.structures.Fitting`; a part comes before those within it, and after
    those that the model built before it.
    """
    return {name: part for name, part in model.named_modules()
            if hasattr(part, 'fit_to')}


def fit_before_training(model: FewShotSegmentor, dataset: FewShotDataset, *, seed: int,
                        folder: Path, resume: bool, report: Callable[..., None],
                        precision: Callable[[], AbstractContextManager]) -> None:
    """Let the parts of a model learn from the training images, one after the other.

    The main process does it, and hands all ranks what was learned.

    Args:
        model: with parts that learn before training.
        dataset: the training images.
        seed: of whatever is drawn.
        folder: for state files and results.
        resume: continue from a state file, where a part has left one.
        report: takes a line for the log, then scalars by name and their step.
        precision: context in which the model computes features.

    Raises:
        ValueError: a part has nothing to learn from, or its state is of another run.
    """
    parts = fittable_parts(model)
    with wait_for_all_ranks():
        if is_main_process():
            images = _images(model, dataset, precision)
            fitting = Fitting(
                images, seed, folder, resume, _key(model, images, seed), report)
            for part in parts.values():
                part.fit_to(fitting)
    for part in parts.values():
        for tensor in (*part.parameters(), *part.buffers()):
            broadcast(tensor.data)


def _key(model: FewShotSegmentor, images: LabelledImages, seed: int) -> str:
    return hashlib.sha256(
        f'{digest_module(model.backbone)} {seed} {images.masked} {images.classes}'
        .encode()).hexdigest()


def _images(model: FewShotSegmentor, dataset: FewShotDataset,
            precision: Callable[[], AbstractContextManager]) -> LabelledImages:
    @torch.no_grad()
    def extract(image: LazyImage) -> ViTFeatures:
        with precision():
            return model.extract_image(image)

    @torch.no_grad()
    def label(features: ViTFeatures, size: tuple[int, int], number: int) -> Tensor:
        classes = torch.tensor([number], device=features.tokens.device)
        with precision():
            return model.labeler(features, features, size, classes)

    labels = model.supervision != 'pixel' and model.labeler is not None
    return LabelledImages(
        dataset, extract, label if labels else None, model.cache is not None)
