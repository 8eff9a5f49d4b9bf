"""What forbids a better exact ratio? Presence by other means, on the same episodes.

    presence_bounds.py CONFIG [--fold F] [--episodes work_dirs/.../episodes.csv]

CONFIG is one with a prior, for its space of whole images, and with a metric, for its
space of objects, such as dinov2-vit-s_pascal5i_1shot_quick_plus_pixel.py. Both are
fitted to the training images, the metric with the masks of all. Then each of these
gives every 1-way test episode a score of presence:

- cosine: of the query's and the supports' CLS tokens, less their mean in training, in
  the backbone's second half, mean over the blocks: nothing learned;
- prior: the model's, from the tags of the training images;
- object: the mean token of the supports' objects, cut out by their true masks, and the
  tenth of the query's patches that is most alike, in the metric's space;
- probe: a linear classifier (ridge regression on the same CLS tokens) that knows the
  novel classes: it has learned from all other test images and their classes;
- model: the scores of a trained model, where --episodes names the report of its test.

The table has the area under the ROC curve and the exact ratio of the best threshold,
chosen on these very episodes: no way of choosing one reaches more. Prints JSON.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import Tensor

from mmwsfs.cli.common import add_common_arguments, load_config
from mmwsfs.datasets.few_shot_dataset import FewShotDataset
from mmwsfs.evaluation.presence_quality import area_under_roc
from mmwsfs.fitting import LabelledImages, fit_before_training
from mmwsfs.models import FewShotSegmentor
from mmwsfs.registry import DATASETS, MODELS

RIDGE = 0.3  # of the probe, in units of the mean squared length of an image's tokens
PATCHES = 0.1  # share of the query's patches that an object is compared with


def best_exact_ratio(scores: np.ndarray, presence: np.ndarray) -> float:
    """In per cent, with the threshold that is best for these very predictions."""
    order = np.argsort(scores, kind='stable')
    truth, level = presence[order], scores[order]
    # Right, if the first k are called absent; equal scores are called alike.
    right = np.append(0, np.cumsum(~truth)) + truth.sum() - np.append(
        0, np.cumsum(truth))
    cut = np.append(True, np.append(level[1:] > level[:-1], True))
    return 100 * float(right[cut].max()) / len(truth)


def quality(scores: Sequence[float], presence: Sequence[bool]) -> dict[str, float]:
    """Area under the ROC curve and best exact ratio, in per cent."""
    values, truth = np.asarray(scores, dtype=float), np.asarray(presence, dtype=bool)
    area = area_under_roc(values, truth, np.ones((1, len(truth))))
    return dict(presence_AUC=float(area[0]),
                best_exact_ratio=best_exact_ratio(values, truth))


def build(settings: Mapping, **changes: object) -> FewShotDataset:
    """A data set whose images are read one by one, with the masks of all."""
    dataset = DATASETS.build({**settings, 'masks': 'all', **changes})
    dataset.full_init()
    dataset.read_lazily()
    return dataset


def probe_scores(cls: Tensor, tags: Tensor) -> Tensor:
    """Of every image and class by a ridge regression on all other images.

    Args:
        cls: (B, D), what stands for an image.
        tags: (B, N) bool.

    Returns:
        Tensor: (B, N), by the closed form of leaving one out.
    """
    truth = tags.double() - tags.double().mean(dim=0)
    gram = (cls - cls.mean(dim=0)).double()
    gram = gram @ gram.T
    ridge = RIDGE * gram.diagonal().mean() * torch.eye(len(gram), dtype=torch.double)
    hat = gram @ torch.linalg.inv(gram + ridge)
    return truth - (truth - hat @ truth) / (1 - hat.diagonal()[:, None])


class Bounds:
    """Scores of presence by the test images' features, each of which is read once.

    Args:
        model: a fitted model with a prior and a metric.
        images: the test images with their true masks.
        centre: (L', C), mean of the training images' CLS tokens.
    """

    def __init__(self, model: FewShotSegmentor, images: LabelledImages,
                 centre: Tensor) -> None:
        self.model = model
        self.images = images
        names = sorted(images.classes)
        self.number = {name: i for i, name in enumerate(names)}
        self.cls = torch.cat([
            images.features(name).tokens[:, :, 0].float().cpu() for name in names])
        self.centred = F.normalize(
            self.cls[:, model.prior.first:] - centre, dim=-1)
        tags = torch.zeros(len(names), images.num_classes + 1, dtype=torch.bool)
        for row, name in zip(tags, names):
            row[list(images.classes[name])] = True
        self.probe = probe_scores(self.centred.flatten(1), tags)
        self._objects: dict[tuple[str, int], Tensor] = {}

    def object_of(self, name: str, number: int) -> Tensor:
        """Mean token of an image's object in the metric's space, length 1: (L, C)."""
        if (name, number) not in self._objects:
            image = self.images[name]
            shares = image.shares[list(image.classes).index(number)]
            patches = image.features.tokens[0, :, 1:].float()
            mean = (patches * shares[:, None]).sum(dim=1) / shares.sum().clamp_min(1e-6)
            self._objects[name, number] = F.normalize(
                self.model.metric.patches(mean[None, :, None])[0, :, 0], dim=-1)
        return self._objects[name, number]

    def scores(self, query: str, supports: Sequence[str],
               number: int) -> dict[str, float]:
        """Of one episode of one way."""
        asked = self.number[query]
        shown = [self.number[name] for name in supports]
        logits = self.model.prior(
            self.cls[[asked]], self.cls[shown], [len(supports)])[0]
        cosines = (self.centred[asked] * self.centred[shown]).sum(dim=-1)
        likeness = F.normalize(
            torch.stack([self.object_of(name, number) for name in supports]).mean(
                dim=0), dim=-1)
        patches = F.normalize(self.model.metric.patches(
            self.images.features(query).tokens[:, :, 1:])[0], dim=-1)
        alike = (patches @ likeness[:, :, None]).mean(dim=0)[:, 0]
        best = alike.topk(max(1, round(PATCHES * len(alike)))).values
        return dict(
            cosine=float(cosines.mean()), prior=float(logits[1] - logits[0]),
            object=float(best.mean()), probe=float(self.probe[asked, number]))


@torch.no_grad()
def bounds(cfg: Config) -> tuple[dict, list[bool]]:
    """Quality by method, and the episodes' presence."""
    init_default_scope(cfg.default_scope)
    model = MODELS.build(cfg.model).eval()
    if model.prior is None or model.metric is None:
        raise SystemExit('the model needs a prior and a metric: take a *_plus_pixel.py')
    model.init_weights()
    if model.cache is not None:
        model.cache.bind(model.backbone)
    cached = model.cache is not None
    train_set = build(cfg.train_dataloader.dataset)
    fit_before_training(
        model, train_set, seed=0, folder=Path(cfg.work_dir), resume=False,
        report=lambda line, *scalars: print(line, file=sys.stderr),
        precision=nullcontext)
    training = LabelledImages(train_set, model.extract_image, None, cached)
    centre = torch.stack([
        training.features(name).tokens[0, model.prior.first:, 0].float().cpu()
        for name in sorted(training.classes)]).mean(dim=0)
    test_set = build(cfg.test_dataloader.dataset, way=1, support_masks=True)
    found = Bounds(
        model, LabelledImages(test_set, model.extract_image, None, cached), centre)
    scores: dict[str, list[float]] = {}
    presence = []
    for number in range(len(test_set)):
        episode = test_set.draw(number)
        presence.append(episode.classes[0] in test_set.labels_of[episode.query])
        for name, score in found.scores(
                episode.query, episode.supports[0], episode.classes[0]).items():
            scores.setdefault(name, []).append(score)
    return {name: quality(values, presence)
            for name, values in scores.items()}, presence


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file of a model with prior and metric')
    parser.add_argument(
        '--episodes', metavar='FILE', help="episodes.csv of a trained model's test")
    add_common_arguments(parser)
    args = parser.parse_args(argv)
    cfg = load_config(args)
    result, presence = bounds(cfg)
    if args.episodes:
        with open(args.episodes, newline='') as file:
            rows = list(csv.DictReader(file))
        result['model'] = quality(
            [float(row['score_1']) for row in rows],
            [row['present_1'] == '1' for row in rows])
    print(json.dumps(dict(
        config=args.config, fold=args.fold, episodes=len(presence), **result)))


if __name__ == '__main__':
    main()
