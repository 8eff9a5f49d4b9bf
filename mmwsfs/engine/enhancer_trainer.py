from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from mmwsfs.models.decode_heads.batch_dice_loss import batch_dice
from mmwsfs.models.pseudo_labels import AttentionLabeler, EnhancedLabeler
from mmwsfs.structures import VOID
from mmwsfs.utils.checkpoint_file import read_checkpoint, write_checkpoint

from .enhancer_examples import Examples


@torch.no_grad()
def label_iou(labeler: AttentionLabeler, examples: Examples) -> dict[str, float]:
    """IoU in per cent of a labeler's masks with the true ones, by role.

    Intersections and unions are summed over all examples at the masks' resolution, void
    left out.
    """
    size = tuple(examples.masks.shape[-2:])
    sums = torch.zeros(2, 2)
    for chunk in torch.arange(len(examples.maps)).split(16):
        entry = examples.entry[chunk]
        thumbnails = examples.thumbnails
        found = labeler.binarise(labeler.finish(
            labeler.merge(examples.maps[chunk]),
            None if thumbnails is None else thumbnails[entry], size))
        truth = examples.masks[entry]
        found = found & (truth != VOID)
        role = examples.is_query[chunk].long()
        for index, count in enumerate((found & (truth == 1), found | (truth == 1))):
            sums[:, index].index_add_(
                0, role.cpu(), count.sum(dim=(1, 2)).float().cpu())
    ious = 100 * sums[:, 0] / sums[:, 1].clamp_min(1)
    return dict(support=float(ious[0]), query=float(ious[1]))


class EnhancerTrainer:
    """Trains the network of an :class:`EnhancedLabeler`, and nothing else.

    The loss (our choice: the paper's was never released) is 1 - Dice over all patches
    of a batch, against the object's share of each patch. Cross entropy calls everything
    background: an object covers a sixth of its image, and which of several objects the
    tag means is not in the maps. Adam with a constant learning rate, maps flipped at
    random. The weights that are best on the validation examples are kept. All
    randomness is the trainer's own, and its state is written at every validation: a run
    that was killed ends as one that was not.

    Args:
        labeler: whose network is trained, from its present weights.
        training, validation: the examples.
        steps, batch_size, lr, interval: of the training; validation comes every
            ``interval`` steps and at the end.
        seed: of batches and flips.
        state: file of the state between two runs.
        key: identifies what the state belongs to.
        report: called after a validation with the step, the mean loss since the last
            one and the IoUs.
    """

    def __init__(self, labeler: EnhancedLabeler, training: Examples,
                 validation: Examples, *, steps: int, batch_size: int, lr: float,
                 interval: int, seed: int, state: Path, key: str,
                 report: Callable[[int, float, dict[str, float]], None]) -> None:
        self.labeler = labeler
        self.enhancer = labeler.enhancer
        self.training = training
        self.validation = validation
        self.target, self.weight = training.targets()
        self.steps = steps
        self.batch_size = batch_size
        self.interval = interval
        self.state = state
        self.key = key
        self.report = report
        self.optimizer = torch.optim.Adam(self.enhancer.parameters(), lr=lr)
        self.generator = torch.Generator().manual_seed(seed)
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
        state = read_checkpoint(self.state)
        if state['key'] != self.key:
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
            if self.step % self.interval == 0 or self.step == self.steps:
                self._validate(sum(losses) / len(losses))
                losses = []
        self.enhancer.requires_grad_(False)
        self.enhancer.load_state_dict(self.best)
        return self.best_iou

    def _train_step(self) -> float:
        chosen = torch.randint(
            len(self.training.maps), (self.batch_size, ), generator=self.generator)
        flip = torch.rand(self.batch_size, generator=self.generator) < 0.5
        entry = self.training.entry[chosen]
        maps, target, weight = (
            torch.where(flip.to(x.device).view(-1, *[1] * (x.dim() - 1)), x.flip(-1), x)
            for x in (self.training.maps[chosen], self.target[entry],
                      self.weight[entry]))
        found = self.enhancer(maps).sigmoid() * weight
        loss = batch_dice(found, target * weight)
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
        self.report(self.step, loss, ious)
        write_checkpoint(dict(
            key=self.key, step=self.step, enhancer=self.enhancer.state_dict(),
            optimizer=self.optimizer.state_dict(),
            generator=self.generator.get_state(), best=self.best,
            best_iou=self.best_iou), self.state)
