"""The training of an enhancer: from head maps to masks, before the model's training."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mmwsfs.models.decode_heads.batch_dice_loss import batch_dice
from mmwsfs.structures import Fitting
from mmwsfs.utils.areas import label_areas
from mmwsfs.utils.checkpoint_file import read_checkpoint, write_checkpoint
from mmwsfs.utils.module_digest import digest_module

from .attention_labeler import AttentionLabeler
from .enhancer_examples import ExampleMaker, Examples

BATCH_SIZE = 16  # head maps in a step
LEARNING_RATE = 1e-3
INTERVAL = 25  # steps between validations
HELD_OUT = 0.2  # share of the images with masks that chooses the weights
FEW = 5  # with fewer images that carry masks, none is held out
PARTNERS = 4  # supports of each class by which an image is labelled as a query
RAW_ADAPTIVE = 0.5  # of the plain labeler that the log compares with


@torch.no_grad()
def label_iou(labeler: AttentionLabeler, examples: Examples) -> dict[str, float]:
    """IoU in per cent of a labeler's masks with the true ones, by role.

    Intersections and unions are summed over all examples at the masks' resolution, void
    left out.
    """
    height, width = examples.masks.shape[-2:]
    areas = torch.zeros(2, 2, dtype=torch.long)
    for chunk in torch.arange(len(examples.maps)).split(16):
        masks = labeler.binarise(
            labeler.soften(
                labeler.merge(examples.maps[chunk]), (height, width)))
        truth = examples.masks[examples.entry[chunk]]
        for is_query in (0, 1):
            role = examples.is_query[chunk] == is_query
            areas[is_query] += label_areas(
                masks[role].long(), truth[role], 2, 'ignored')[1].cpu()
    support, query = (
        100 * float(intersection / max(union, 1))
        for intersection, union in areas.tolist())
    return dict(support=support, query=query)


class EnhancerTrainer:
    """Trains the network of a labeler, and nothing else.

    The loss (our choice: the paper's was never released) is 1 - Dice over all patches
    of a batch, against the object's share of each patch. Cross entropy calls everything
    background: an object covers a sixth of its image, and which of several objects the
    tag means is not in the maps. Adam with a constant learning rate, maps flipped at
    random. The weights that are best on the validation examples are kept. All
    randomness is the trainer's own, and its state is written at every validation: a run
    that was killed ends as one that was not.

    Args:
        labeler: makes masks by the network.
        enhancer: the network, which is trained from its present weights.
        training, validation: the examples.
        steps: of the training; validation comes every ``INTERVAL`` and at the end.
        fitting: gives seed, folder (of the state, ``enhancer/last.pth``) and report.
        key: identifies what the state belongs to.
    """

    def __init__(self, labeler: AttentionLabeler, enhancer: nn.Module,
                 training: Examples, validation: Examples, steps: int,
                 fitting: Fitting, key: str) -> None:
        self.labeler = labeler
        self.enhancer = enhancer
        self.training = training
        self.validation = validation
        self.target, self.weight = training.targets()
        self.steps = steps
        self.state = fitting.folder / 'enhancer/last.pth'
        self.report = fitting.report
        self.key = key
        self.optimizer = torch.optim.Adam(
            self.enhancer.parameters(), lr=LEARNING_RATE)
        self.generator = torch.Generator().manual_seed(fitting.seed)
        self.step = 0
        self.best: dict[str, Tensor] = {}
        self.best_iou = -1.

    def resume(self) -> None:
        """Continue from the state file, if there is one.

        Raises:
            ValueError: it belongs to another training.
        """
        if not self.state.exists():
            return
        state: Any = read_checkpoint(self.state)
        if not isinstance(state, dict) or state.get('key') != self.key:
            raise ValueError(
                f"'{self.state}' is of an enhancer with other settings, weights or "
                'images with masks: choose another work dir, or train without --resume')
        self.enhancer.load_state_dict(state['enhancer'])
        self.optimizer.load_state_dict(state['optimizer'])
        self.generator.set_state(state['generator'])
        self.step, self.best, self.best_iou = (
            state[name] for name in ('step', 'best', 'best_iou'))

    def train(self) -> float:
        """Train to the end and load the best weights.

        Returns:
            float: their IoU in per cent on the validation examples, mean of the roles.
        """
        self.enhancer.requires_grad_(True)
        losses = []
        while self.step < self.steps:
            losses.append(self._train_step())
            self.step += 1
            if self.step % INTERVAL == 0 or self.step == self.steps:
                self._validate(sum(losses) / len(losses))
                losses = []
        self.enhancer.requires_grad_(False)
        self.enhancer.load_state_dict(self.best)
        return self.best_iou

    def _train_step(self) -> float:
        chosen = torch.randint(
            len(self.training.maps), (BATCH_SIZE, ), generator=self.generator)
        flip = torch.rand(BATCH_SIZE, generator=self.generator) < 0.5
        entry = self.training.entry[chosen]
        maps, target, weight = (
            torch.where(flip.to(x.device).view(-1, *[1] * (x.dim() - 1)), x.flip(-1), x)
            for x in (self.training.maps[chosen], self.target[entry],
                      self.weight[entry]))
        probabilities = self.enhancer(maps).sigmoid() * weight
        loss = batch_dice(probabilities, target * weight)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return float(loss.detach())

    def _validate(self, loss: float) -> None:
        ious = label_iou(self.labeler, self.validation)
        mean = sum(ious.values()) / len(ious)
        if mean > self.best_iou:
            self.best_iou = mean
            self.best = {
                name: value.detach().cpu().clone()
                for name, value in self.enhancer.state_dict().items()}
        self.report(
            f"enhancer: step {self.step}/{self.steps}, loss {loss:.4f}, IoU as support "
            f"{ious['support']:.1f}, as query {ious['query']:.1f}",
            {'enhancer/loss': loss,
             **{f'enhancer/{role}_iou': iou for role, iou in ious.items()}}, self.step)
        write_checkpoint(dict(
            key=self.key, step=self.step, enhancer=self.enhancer.state_dict(),
            optimizer=self.optimizer.state_dict(),
            generator=self.generator.get_state(), best=self.best,
            best_iou=self.best_iou), self.state)


def split_images(names: Sequence[str], seed: int) -> tuple[list[str], list[str]]:
    """Images to train and to validate on: the same where there are few."""
    if len(names) < FEW:
        return list(names), list(names)
    order = np.random.RandomState(seed).permutation(len(names))
    held_out = set(order[:max(round(HELD_OUT * len(names)), 1)].tolist())
    return ([name for i, name in enumerate(names) if i not in held_out],
            [name for i, name in enumerate(names) if i in held_out])


def train_enhancer(labeler: AttentionLabeler, enhancer: nn.Module, fitting: Fitting,
                   steps: int) -> None:
    """Train a labeler's network, the enhancer, on the images that carry masks.

    Writes ``enhancer/last.pth``, the state, and at the end ``enhancer/best.pth``.

    Raises:
        ValueError: no image carries a mask, or the state is of another training.
    """
    names = fitting.images.masked
    if not names:
        raise ValueError(
            'no training image carries a mask: set train_dataloader.dataset.masks to a '
            'share or a list, or take a config for image-level labels')
    key = hashlib.sha256(
        f'{fitting.key} {digest_module(labeler)} {steps}'.encode()).hexdigest()
    training, validation = split_images(names, fitting.seed)
    fitting.report(
        f'enhancer: {len(names)} images carry masks; trains on {len(training)}, '
        f'validates on {len(validation)}'
        + (' of the same' if training == validation else ''))
    maker = ExampleMaker(fitting.images, labeler, PARTNERS, fitting.seed)
    examples = maker.make(training)
    held_out = examples if validation == training else maker.make(validation)
    raw = label_iou(AttentionLabeler(adaptive=RAW_ADAPTIVE), held_out)
    fitting.report(
        f"enhancer: raw pseudo-labels, IoU as support {raw['support']:.1f}, as query "
        f"{raw['query']:.1f}")
    trainer = EnhancerTrainer(
        labeler, enhancer, examples, held_out, steps, fitting, key)
    if fitting.resume:
        trainer.resume()
    iou = trainer.train()
    raw_iou = sum(raw.values()) / len(raw)
    write_checkpoint(
        dict(state_dict=enhancer.state_dict(),
             meta=dict(iou=iou, raw_iou=raw_iou, images=len(names))),
        fitting.folder / 'enhancer/best.pth')
    fitting.report(
        f'enhancer: best IoU {iou:.1f} (mean of the roles), raw {raw_iou:.1f}')
