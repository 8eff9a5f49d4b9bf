"""Where the time of a training step and of an episode goes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from mmwsfs.utils.files import write_whole

from .workload import Job, Workload, seconds

# The names by which the profiler knows the neck's attention.
ATTENTION = ('_CorrelationAttention', '_CorrelationAttentionBackward')


class Stages:
    """Times the stages of a model's work, forward and backward.

    For the backward pass the graph is cut after the neck and after the heads: then
    each piece is run, and timed, by itself.

    Args:
        model: a :class:`~mmwsfs.models.FewShotSegmentor`; its methods are wrapped.
        job: whose device and clock are used.
    """

    def __init__(self, model: torch.nn.Module, job: Job) -> None:
        self.job = job
        self.seconds: dict[str, float] = defaultdict(float)
        self._cuts: dict[str, list[tuple[Tensor, Tensor]]] = defaultdict(list)
        for owner, method, stage in (
                (model, 'extract_episodes', 'backbone'),
                (model, 'decide', 'decision'),
                (model.labeler, 'forward', 'pseudo-masks'),
                (model.neck, 'forward', 'neck'),
                (model.cls_head, 'forward', 'heads'),
                (model.seg_head, 'forward', 'heads'),
                (model.cls_head.loss_cls, 'forward', 'losses'),
                (model.seg_head.loss_seg, 'forward', 'losses')):
            setattr(owner, method, self._timed(getattr(owner, method), stage))

    def time(self, stage: str, function, *args):
        """Call, and add the time to a stage's."""
        results = []
        self.seconds[stage] += seconds(
            lambda: results.append(function(*args)), self.job)
        return results[0]

    def _timed(self, function, stage: str):
        def call(*args):
            output = self.time(stage, function, *args)
            if stage not in ('neck', 'heads') or not torch.is_grad_enabled():
                return output
            if isinstance(output, Tensor):
                return self._cut(stage, output)
            return tuple(self._cut(stage, tensor) for tensor in output)
        return call

    def _cut(self, stage: str, output: Tensor) -> Tensor:
        leaf = output.detach().requires_grad_()
        self._cuts[stage].append((output, leaf))
        return leaf

    def backward(self, losses: Iterable[Tensor]) -> None:
        """From the losses to the parameters, piece by piece."""
        self.time('losses', sum(losses).backward)
        for stage in ('heads', 'neck'):
            outputs, leaves = zip(*self._cuts.pop(stage))
            self.time(stage, torch.autograd.backward, outputs,
                      [leaf.grad for leaf in leaves])


def _split(job: Job) -> dict[str, float]:
    """Seconds of every stage; the neck in the attention and the rest of it."""
    work = Workload(job)
    model, train = work.model, job.work == 'train'

    def run() -> None:
        if not train:
            work.run()
            return
        data = model.data_preprocessor(work.batch(), True)
        losses = model(**data, mode='loss')
        stages.backward(losses.values())
        stages.time('optimiser', work.optim_wrapper.step)
        work.optim_wrapper.zero_grad()

    stages = Stages(model, job)
    run()  # warm up
    stages.seconds.clear()
    with profile(activities=_activities(job.device)) as trace:
        run()
    attribute = 'device_time_total' if job.device == 'cuda' else 'cpu_time_total'
    attention = 1e-6 * sum(
        getattr(event, attribute) for event in trace.key_averages()
        if event.key in ATTENTION)
    split = dict(stages.seconds)
    rest = split.pop('neck') - attention
    return dict(split, **{'correlation attention': attention, 'rest of neck': rest})


def _activities(device: str) -> list[ProfilerActivity]:
    cuda = [ProfilerActivity.CUDA] if device == 'cuda' else []
    return [ProfilerActivity.CPU, *cuda]


def write_profile(job: Job, out: Path) -> None:
    """profile_WORK.txt in ``out``: a split into stages, and the dearest operations.

    Args:
        job: 'train' or 'predict', of any number of episodes.
        out: a folder.
    """
    split = _split(replace(job, clock='wall'))  # as the profiler's
    total = sum(split.values())
    lines = [f'{job.work}, batch of {job.batch}, {job.img_size} px', '',
             f'{"part":24}{"seconds":>10}{"share":>8}']
    for stage, value in sorted(split.items(), key=lambda item: -item[1]):
        lines.append(f'{stage:24}{value:10.4f}{value / total:8.1%}')
    work = Workload(job)
    work.run()
    with profile(activities=_activities(job.device)) as trace:
        work.run()
    order = f'self_{job.device}_time_total'
    lines += ['', trace.key_averages().table(sort_by=order, row_limit=15)]
    text = '\n'.join(lines) + '\n'
    write_whole(out / f'profile_{job.work}.txt', text)
    print(text)
