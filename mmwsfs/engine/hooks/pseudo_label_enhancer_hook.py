from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import torch
from mmengine.dist import broadcast, is_main_process
from mmengine.runner import Runner

from mmwsfs.engine.enhancer_examples import ExampleMaker
from mmwsfs.engine.enhancer_trainer import EnhancerTrainer, label_iou
from mmwsfs.engine.probe_fitting import ProbeFitter
from mmwsfs.models import EnhancedLabeler
from mmwsfs.registry import HOOKS, MODELS
from mmwsfs.structures import VOID
from mmwsfs.utils.checkpoint_file import write_checkpoint

from .bare_model import bare_model
from .pseudo_label_hook import PseudoLabelHook

_FEW = 5  # with fewer images that carry masks, none is held out


@HOOKS.register_module()
class PseudoLabelEnhancerHook(PseudoLabelHook):
    """Switches mixed supervision on: masks for some images, tags for all.

    Training has two stages (section 3.4 of the paper). First the network of the
    model's :class:`~mmwsfs.models.EnhancedLabeler` learns from the images that carry
    masks, on their frozen head maps; a :class:`~mmwsfs.models.ClassProbe`, if the
    labeler has one, is fitted to all of them. Then both are frozen, and label, as
    support and (with the probe) as query, all images that carry none, while the model
    is trained. They are a part of the model's checkpoint; the network labels supports
    in testing as well.

    The work dir gets ``masked_images.txt``, the names of the images that carry masks,
    and ``enhancer/best.pth``, the network alone. The first stage is left out where a
    run resumes in the second, and where the network comes from a file
    (``labeler.enhancer.init_cfg``). A run killed in either stage and resumed equals one
    that was not.

    Beside what :class:`PseudoLabelHook` logs there are, in the first stage,
    ``enhancer/loss`` and the IoU on the held-out images, in per cent,
    ``enhancer/support_iou`` and ``enhancer/query_iou``, and ``enhancer/probe_iou`` as
    support with a probe that did not learn from them; in the second
    ``pseudo_support_iou`` and ``pseudo_query_iou`` on the images of the batch that
    carry masks (most of which the first stage learned from), in 0..1.

    Args:
        num_pictures (int): see :class:`PseudoLabelHook`. Defaults to 0.
        steps (int): of the first stage. Defaults to 200.
        batch_size (int): head maps in a step. Defaults to 16.
        lr (float): learning rate of Adam. Defaults to 1e-3.
        interval (int): steps between validations. Defaults to 25.
        val_share (float): share of the images with masks that is held out, to choose
            the best weights, in 0..1. With fewer than 5 images none is, and the
            weights are chosen on those that they learn from. Defaults to 0.2.
        partners (int): supports of each class by which an image is labelled as a query
            in the first stage. Defaults to 4.
        raw (dict): the labeler to compare with in the log. Defaults to
            ``dict(type='AttentionLabeler', adaptive=0.5)``.
    """

    SUPERVISION = 'mixed'

    def __init__(self,
                 num_pictures: int = 0,
                 steps: int = 200,
                 batch_size: int = 16,
                 lr: float = 1e-3,
                 interval: int = 25,
                 val_share: float = 0.2,
                 partners: int = 4,
                 raw: dict = dict(type='AttentionLabeler', adaptive=0.5)) -> None:
        super().__init__(num_pictures)
        self.settings = dict(
            steps=steps, batch_size=batch_size, lr=lr, interval=interval)
        self.val_share = val_share
        self.partners = partners
        self.raw = raw

    def before_train(self, runner: Runner) -> None:
        """The first stage.

        Raises:
            TypeError: the model's labeler is no :class:`EnhancedLabeler`.
            ValueError: no image carries a mask, or the pipeline augments images or
                loads no masks.
        """
        labeler = bare_model(runner).labeler
        if not isinstance(labeler, EnhancedLabeler):
            raise TypeError(
                'PseudoLabelEnhancerHook trains the network of an EnhancedLabeler, but '
                f'model.labeler is a {type(labeler).__name__}: set '
                "model.labeler.type='EnhancedLabeler'")
        dataset = runner.train_dataloader.dataset
        if is_main_process():
            dataset.export_masked_images(Path(runner.work_dir) / 'masked_images.txt')
        if runner.iter > 0:
            runner.logger.info('enhancer: as it is in the checkpoint')
            return
        if is_main_process():
            self._train(runner, labeler)
        for tensor in (*labeler.parameters(), *labeler.buffers()):
            broadcast(tensor.data)

    def _train(self, runner: Runner, labeler: EnhancedLabeler) -> None:
        """The network, unless it comes from a file, then the probe, if there is one."""
        dataset = runner.train_dataloader.dataset
        names = dataset.masked_images
        if names is None:
            names = sorted({entry['name'] for entry in dataset.data_list})
        training, validation = self._split(list(names), runner.seed or 0)
        if labeler.enhancer.pretrained:
            runner.logger.info(
                f"enhancer: from '{labeler.enhancer.init_cfg['checkpoint']}'")
        elif not names:
            raise ValueError(
                'no training image carries a mask: raise mask_ratio, name images in '
                'mask_list, or take a config for image-level labels')
        else:
            self._train_enhancer(runner, labeler, training, validation)
        if labeler.probe is not None and names:
            self._fit_probe(runner, labeler, training, validation)

    def _fit_probe(self, runner: Runner, labeler: EnhancedLabeler, training: list[str],
                   validation: list[str]) -> None:
        fitter = ProbeFitter(
            labeler, runner.train_dataloader.dataset, bare_model(runner).extract_image)
        with runner.optim_wrapper.optim_context(runner.model):
            iou = fitter.fit(training, [] if validation == training else validation)
        known = int(labeler.probe.known.sum())
        runner.logger.info(
            f'enhancer: class probe of {known} classes'
            + ('' if iou is None else f', IoU with it as support {iou:.1f}'))
        if iou is not None:
            runner.visualizer.add_scalars({'enhancer/probe_iou': iou}, 0)

    def _train_enhancer(self, runner: Runner, labeler: EnhancedLabeler,
                        training: list[str], validation: list[str]) -> None:
        names = sorted({*training, *validation})
        seed = runner.seed or 0
        runner.logger.info(
            f'enhancer: {len(names)} images carry masks; trains on {len(training)}, '
            f'validates on {len(validation)}'
            + (' of the same' if training == validation else ''))

        with runner.optim_wrapper.optim_context(runner.model), torch.no_grad():
            maker = ExampleMaker(
                runner.train_dataloader.dataset, labeler,
                bare_model(runner).extract_image, self.partners, seed)
            examples = maker.make(training)
            held_out = (
                examples if validation == training else maker.make(validation))
        raw = label_iou(MODELS.build(self.raw), held_out)
        runner.logger.info(
            f"enhancer: raw pseudo-labels, IoU as support {raw['support']:.1f}, as "
            f"query {raw['query']:.1f}")

        def report(step: int, loss: float, ious: dict[str, float]) -> None:
            runner.logger.info(
                f"enhancer: step {step}/{self.settings['steps']}, loss {loss:.4f}, IoU "
                f"as support {ious['support']:.1f}, as query {ious['query']:.1f}")
            runner.visualizer.add_scalars({
                'enhancer/loss': loss,
                **{f'enhancer/{role}_iou': iou for role, iou in ious.items()}}, step)

        folder = Path(runner.work_dir) / 'enhancer'
        trainer = EnhancerTrainer(
            labeler, examples, held_out, **self.settings, seed=seed,
            state=folder / 'last.pth', key=self._key(runner, names), report=report)
        if runner._resume:
            trainer.resume()
        iou = trainer.train()
        write_checkpoint(
            dict(state_dict=labeler.enhancer.state_dict(), meta=dict(
                iou=iou, raw_iou=sum(raw.values()) / 2, images=len(names))),
            folder / 'best.pth')
        runner.logger.info(
            f'enhancer: best IoU {iou:.1f} (mean of the roles), raw '
            f'{sum(raw.values()) / 2:.1f}')

    def _split(self, names: list[str], seed: int) -> tuple[list[str], list[str]]:
        """Images to train and to validate on."""
        if len(names) < _FEW:
            return names, names
        order = np.random.RandomState(seed).permutation(len(names))
        count = max(round(self.val_share * len(names)), 1)
        chosen = set(order[:count].tolist())
        return ([name for i, name in enumerate(names) if i not in chosen],
                [name for i, name in enumerate(names) if i in chosen])

    def _key(self, runner: Runner, names: list[str]) -> str:
        text = f'{self.settings} {self.val_share} {self.partners} {runner.seed} {names}'
        return hashlib.sha256(text.encode()).hexdigest()

    def after_train_iter(self, runner: Runner, batch_idx: int,
                         data_batch: dict | None = None,
                         outputs: dict | None = None) -> None:
        """Log what :class:`PseudoLabelHook` does, and the labels' IoU."""
        super().after_train_iter(runner, batch_idx, data_batch, outputs)
        for role, made in zip(('support', 'query'), self._masks):
            both = either = 0
            for sample, mask in zip(data_batch['data_samples'], made.cpu()):
                truth = self._truth(sample, role)
                if truth is not None:
                    valid = truth != VOID
                    both += int((mask & (truth == 1)).sum())
                    either += int(((mask | (truth == 1)) & valid).sum())
            if either:
                runner.message_hub.update_scalar(
                    f'train/pseudo_{role}_iou', both / either)

    @staticmethod
    def _truth(sample, role: str):
        """(H, W) uint8 of an image that carries a mask and shows the class."""
        if role == 'support':
            return sample.support_masks[0, 0] if 'support_masks' in sample else None
        if 'gt_sem_seg' in sample and bool(sample.gt_presence):
            return sample.gt_sem_seg.data[0].cpu()
        return None
