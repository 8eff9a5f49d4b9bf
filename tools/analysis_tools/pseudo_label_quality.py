"""How good are a config's pseudo-masks? IoU with the true masks, by role.

    pseudo_label_quality.py CONFIG [--fold F] [--split val] [--enhancer best.pth]
    pseudo_label_quality.py CONFIG [--fold F] [--split val] --fit
    pseudo_label_quality.py CONFIG [--fold F] --vary position_rank 0 4 8 [--fit]
    pseudo_label_quality.py CONFIG [--fold F] --checkpoint iter_400.pth

Labels the images of a split (val: the novel classes) as supports, by their own CLS
query, and as queries, by those of other images of the class. Intersections and unions
are summed over all images, void left out, at the size that the config resizes to;
of the supports the mean over the classes is given as well. With --fit, a labeler that
learns before training does so first, from the config's training images.

With --vary, a line for each value of a setting of the labeler; from the second on with
the gain over the first and its 95 % interval, by bootstrap over the images, of the mean
over the classes.

With the checkpoint of a run with masks for some images: how good its labels of the
other training images are, as supports, without and with what is known of their class.
The mean over the classes is given as well.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config, DictAction
from mmengine.registry import init_default_scope
from torch import Tensor

from mmwsfs.apis import init_model
from mmwsfs.cli.common import add_common_arguments, load_config
from mmwsfs.evaluation.bootstrap import percentile_interval, resample_counts
from mmwsfs.fitting import LabelledImages, fit_before_training
from mmwsfs.models import FewShotSegmentor
from mmwsfs.models.build_part import build_part
from mmwsfs.models.pseudo_labels.enhancer_examples import ExampleMaker
from mmwsfs.models.pseudo_labels.enhancer_training import label_iou
from mmwsfs.registry import DATASETS, MODELS
from mmwsfs.utils.areas import label_areas


def build_images(cfg: Config, model: FewShotSegmentor, dataset: dict
                 ) -> LabelledImages:
    """All images of a dataset with their masks, resized as in training."""
    init_default_scope(cfg.default_scope)
    if model.cache is not None:
        model.cache.bind(model.backbone)
    # As split 'trn' has it: masks are resized with their images.
    built = DATASETS.build(dict(
        dataset, masks='all', support_masks=True, num_episodes=None, way=1, shot=1))
    built.full_init()
    built.read_lazily()
    return LabelledImages(built, model.extract_image, None, model.cache is not None)


def fit_labeler(cfg: Config, model: FewShotSegmentor) -> None:
    """Let the labeler learn from the training images, as in a run of seed 0."""
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    dataset.full_init()
    dataset.read_lazily()
    with tempfile.TemporaryDirectory() as folder:
        fit_before_training(
            model, dataset, seed=0, folder=Path(folder), resume=False,
            report=lambda line, *args: print(line, file=sys.stderr),
            precision=nullcontext)


def class_mean(areas: Tensor) -> float:
    """Mean IoU in per cent of the classes shown, of (classes, 2), intersections and
    unions."""
    shown = areas[areas[:, 1] > 0]
    return float(100 * (shown[:, 0] / shown[:, 1]).mean())


def support_areas(model: FewShotSegmentor, images: LabelledImages) -> Tensor:
    """Intersections and unions of the images' pseudo-masks as supports,
    (images, classes, 2)."""
    areas = torch.zeros(len(images.classes), images.num_classes, 2, dtype=torch.long)
    for row, name in enumerate(sorted(images.classes)):
        image = images[name]
        for number, truth in zip(image.classes, image.masks):
            mask = model.labeler(
                image.features, image.features, tuple(truth.shape))[0]
            areas[row, number - 1] = label_areas(mask.long(), truth, 2, 'ignored')[1]
    return areas


def gain(areas: Tensor, others: Tensor) -> dict:
    """What ``areas`` have more than ``others`` in the mean over the classes, and the
    95 % interval of it, over the same images."""
    counts = torch.from_numpy(resample_counts(len(areas)))
    differences = np.array([
        class_mean(torch.einsum('n,nca->ca', count, areas))
        - class_mean(torch.einsum('n,nca->ca', count, others)) for count in counts])
    return dict(
        gain=class_mean(areas.sum(dim=0)) - class_mean(others.sum(dim=0)),
        gain_interval=percentile_interval(differences))


def build_model(cfg: Config, enhancer: str | None) -> FewShotSegmentor:
    """The config's model, as far as pseudo-masks need it."""
    init_default_scope(cfg.default_scope)
    if enhancer:
        cfg.model.labeler.enhancer.init_cfg = dict(
            type='Pretrained', checkpoint=enhancer)
    # What learns from pseudo-masks, and makes none.
    cfg.model.update(metric=None, prior=None)
    model = MODELS.build(cfg.model).eval()
    model.backbone.init_weights()
    return model


@torch.no_grad()
def quality(cfg: Config, model: FewShotSegmentor, split: str, partners: int,
            fit: bool) -> tuple[dict, Tensor]:
    """IoUs in per cent of the config's labeler, which the model gets, and how many
    images they are of; and the areas that the supports' are of."""
    model.labeler = build_part(cfg.model.labeler, **model.sizes).eval()
    model.labeler.init_weights()
    images = build_images(
        cfg, model, dict(cfg.test_dataloader.dataset, split=split))
    if fit:
        fit_labeler(cfg, model)
    examples = ExampleMaker(images, model.labeler, partners, seed=0).make(
        sorted(images.classes))
    areas = support_areas(model, images)
    return dict(
        images=len(images.classes), **label_iou(model.labeler, examples),
        support_class_mean=class_mean(areas.sum(dim=0))), areas


@torch.no_grad()
def training_quality(cfg: Config, checkpoint: str) -> dict:
    """IoUs in per cent of a run's labels on the training images without masks."""
    model = init_model(cfg, checkpoint)
    settings = cfg.train_dataloader.dataset
    init_default_scope(cfg.default_scope)
    masked = set(DATASETS.build(settings).masked_images or ())
    images = build_images(cfg, model, settings)
    names = sorted(images.classes.keys() - masked)
    areas = torch.zeros(2, images.num_classes, 2, dtype=torch.long)
    for name in names:
        image = images[name]
        for number, truth in zip(image.classes, image.masks):
            for row, classes in enumerate((None, torch.tensor([number]))):
                mask = model.labeler(
                    image.features, image.features, tuple(truth.shape), classes)[0]
                areas[row, number - 1] += label_areas(
                    mask.long(), truth, 2, 'ignored')[1]
    result: dict = dict(images=len(names))
    for name, of_classes in zip(('labels', 'with_classes'), areas):
        intersection, union = of_classes.sum(dim=0).tolist()
        result[name] = 100 * intersection / max(union, 1)
        result[f'{name}_class_mean'] = class_mean(of_classes)
    return result


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file with a labeler')
    parser.add_argument('--split', choices=('trn', 'val'), default='val')
    parser.add_argument(
        '--enhancer', metavar='FILE', help='of an EnhancedLabeler: its best.pth')
    parser.add_argument(
        '--partners', type=int, default=4,
        help='supports of each class that label the queries')
    parser.add_argument(
        '--checkpoint', metavar='FILE',
        help='of a run with masks for some images: its training labels instead')
    parser.add_argument(
        '--fit', action='store_true',
        help='let the labeler learn from the training images first')
    parser.add_argument(
        '--vary', nargs='+', metavar=('SETTING', 'VALUE'), default=(),
        help='a setting of the labeler and the values to compare')
    add_common_arguments(parser)
    args = parser.parse_args(argv)
    cfg = load_config(args)
    if cfg.model.get('labeler') is None:
        parser.error(f"the model of '{args.config}' has no labeler")
    said = dict(config=args.config, fold=args.fold)
    if args.checkpoint:
        result = training_quality(cfg, args.checkpoint)
        print(json.dumps(dict(**said, split='trn', **result)))
        return
    setting, *values = args.vary or (None, None)
    if args.vary and not values:
        parser.error(f'--vary {setting} needs the values to compare')
    model = build_model(cfg, args.enhancer)
    first = None
    for value in values:
        if setting:
            said[setting] = cfg.model.labeler[setting] = (
                DictAction._parse_iterable(value))
        result, areas = quality(cfg, model, args.split, args.partners, args.fit)
        if first is None:
            first = areas
        else:
            result.update(gain(areas, first))
        print(json.dumps(dict(**said, split=args.split, **result)), flush=True)


if __name__ == '__main__':
    main()
