"""How good are a config's pseudo-masks? IoU with the true masks, by role.

    pseudo_label_quality.py CONFIG [--fold F] [--split val] [--enhancer best.pth]
    pseudo_label_quality.py CONFIG [--fold F] --checkpoint iter_400.pth

Labels the images of a split (val: the novel classes) as supports, by their own CLS
query, and as queries, by those of other images of the class. Intersections and unions
are summed over all images, void left out, at the size that the config resizes to.

With the checkpoint of a run with masks for some images: how good its labels of the
other training images are, as supports, without and with what is known of their class.
The mean over the classes is given as well.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmwsfs.apis import init_model
from mmwsfs.datasets.few_shot_dataset import FewShotDataset
from mmwsfs.engine.enhancer_examples import ExampleMaker, listed_classes
from mmwsfs.engine.enhancer_trainer import label_iou
from mmwsfs.engine.probe_fitting import support_overlap
from mmwsfs.registry import DATASETS, MODELS

sys.path.insert(0, str(Path(__file__).parents[1]))

from cli import add_common_arguments, load_config  # noqa: E402


def build_dataset(cfg: Config, split: str) -> FewShotDataset:
    """The images of a split with their masks, resized as the config's supports are."""
    dataset = cfg.test_dataloader.dataset
    steps = next(step for step in dataset.pipeline if step.type == 'EpisodeTransform')
    load, *others = steps.query
    resize = [step for step in others if step.type == 'Resize']
    labels = [step for step in others if step.type != 'Resize']
    steps.support = [load, *labels, *resize]  # masks are resized with their images
    dataset.update(split=split, with_masks=True, num_episodes=None, way=1, shot=1)
    built = DATASETS.build(dataset)
    built.full_init()
    built.read_lazily()
    return built


@torch.no_grad()
def quality(cfg: Config, split: str, enhancer: str | None, partners: int) -> dict:
    """IoUs in per cent of the config's labeler, and how many images they are of."""
    init_default_scope(cfg.default_scope)
    if enhancer:
        cfg.model.labeler.enhancer.init_cfg = dict(
            type='Pretrained', checkpoint=enhancer)
    model = MODELS.build(cfg.model).eval()
    model.backbone.init_weights()
    model.labeler.init_weights()
    if model.cache is not None:
        model.cache.bind(model.backbone)
    dataset = build_dataset(cfg, split)
    names = sorted({entry['name'] for entry in dataset.data_list})
    examples = ExampleMaker(
        dataset, model.labeler, model.extract_image, partners, seed=0).make(names)
    return dict(images=len(names), **label_iou(model.labeler, examples))


@torch.no_grad()
def training_quality(cfg: Config, checkpoint: str) -> dict:
    """IoUs in per cent of a run's labels on the training images without masks."""
    init_default_scope(cfg.default_scope)
    model = init_model(cfg, checkpoint)
    if model.cache is not None:
        model.cache.bind(model.backbone)
    settings = cfg.train_dataloader.dataset
    masked = set(DATASETS.build(settings).masked_images or ())
    dataset = DATASETS.build(dict(settings, mask_ratio=None, mask_list=None))
    dataset.full_init()
    dataset.read_lazily()
    classes = listed_classes(dataset)
    names = sorted(classes.keys() - masked)
    sums = torch.zeros(2, len(dataset.metainfo['classes']), 2, dtype=torch.double)
    for name in names:
        image = dataset.read_image(name)
        features = model.extract_image(image['img'])
        for number in classes[name]:
            for row, told in enumerate((False, True)):
                sums[row, number - 1] += torch.tensor(
                    support_overlap(model.labeler, features, image, number, told))
    shown = sums[0, :, 1] > 0
    found: dict = dict(images=len(names))
    for name, own in zip(('enhancer', 'with_classes'), sums):
        both, either = own.sum(dim=0).tolist()
        found[name] = 100 * both / max(either, 1)
        found[f'{name}_class_mean'] = float(
            100 * (own[shown, 0] / own[shown, 1]).mean())
    return found


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
    add_common_arguments(parser)
    args = parser.parse_args(argv)
    cfg = load_config(args)
    if cfg.model.get('labeler') is None:
        parser.error(f"the model of '{args.config}' has no labeler")
    if args.checkpoint:
        split, found = 'trn', training_quality(cfg, args.checkpoint)
    else:
        split = args.split
        found = quality(cfg, split, args.enhancer, args.partners)
    print(json.dumps(dict(config=args.config, fold=args.fold, split=split, **found)))


if __name__ == '__main__':
    main()
