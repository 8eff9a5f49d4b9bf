"""The work that is measured: real components, random weights and images."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from mmengine.registry import init_default_scope
from mmpretrain.models import VisionTransformer
from torch import Tensor

from mmwsfs.models import FeatureCache
from mmwsfs.models.backbones.frozen_dtype import takes_dtype
from mmwsfs.models.necks.correlation_transformer import kept_keys
from mmwsfs.registry import MODELS
from mmwsfs.structures import FewShotDataSample, LazyImage
from mmwsfs.utils.peak_memory import resident_bytes

WORKS = ('predict', 'train', 'neck', 'extract', 'series')


@dataclass(frozen=True)
class Job:
    """One measurement.

    Attributes:
        work: 'predict', prediction of a batch of episodes; 'train', a training step of
            a batch of 1-way 1-shot episodes; 'neck', neck and heads, forward and
            backward, of such a batch; 'extract', the features of one image; 'series',
            many episodes one after the other, their features cached on the way.
        config: a config file with a ``model`` that has a labeler.
        dtype: of the backbone, 'float32' or 'bfloat16'.
        img_size: side of the images in pixels.
        device: 'cpu' or 'cuda'.
        clock: 'wall', or 'cpu': the CPU time of all threads of the process, which
            other programs on the machine change less.
        repeats: how often it is timed; 0 measures memory only.
        way, shot: of the episodes.
        batch: episodes at once.
        cached: the features of all images are held already.
        object_share: share of every support that its mask covers, above 0, at most 1.
        episodes, images: of a series.
        ram_gb: bound of the feature cache in GiB.
    """

    work: str
    config: str
    img_size: int
    dtype: str = 'float32'
    device: str = 'cpu'
    clock: str = 'wall'
    repeats: int = 5
    way: int = 1
    shot: int = 1
    batch: int = 1
    cached: bool = False
    object_share: float = 0.3
    episodes: int = 1000
    images: int = 346
    ram_gb: float = 12


def made_image(seed: int, size: int) -> Tensor:
    """(3, size, size) uint8: coarse noise, another one for every seed."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, 16, 16, generator=generator)
    image = F.interpolate(coarse, (size, size), mode='bilinear')
    return (image[0] * 255).to(torch.uint8)


def square_mask(share: float, size: int) -> Tensor:
    """(1, size, size) bool: a square in the middle that covers ``share``."""
    side = round(size * share**0.5)
    start = (size - side) // 2
    mask = torch.zeros(1, size, size, dtype=torch.bool)
    mask[:, start:start + side, start:start + side] = True
    return mask


def synchronise(device: str) -> None:
    """Wait for the GPU, if there is one."""
    if device == 'cuda':
        torch.cuda.synchronize()


def seconds(run: Callable[[], object], job: Job) -> float:
    """Time of one call by the job's clock."""
    clock = time.process_time if job.clock == 'cpu' else time.perf_counter
    synchronise(job.device)
    start = clock()
    run()
    synchronise(job.device)
    return clock() - start


def peak_memory(device: str) -> int:
    """Bytes: this process's largest resident size so far, or the GPU's allocations.

    The process's own high-water mark: ``ru_maxrss``, the same otherwise, begins at
    that of the process that started this one.
    """
    if device == 'cuda':
        return torch.cuda.max_memory_allocated()
    if Path('/proc/self/status').exists():
        return resident_bytes('VmHWM')
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # macOS: bytes


class Workload:
    """A model with its inputs, and the work of a job as :meth:`run`.

    The labeler runs, and its masks are then replaced by squares that cover
    ``object_share``: with random weights its own would be of any size, and how many
    support tokens a mask keeps decides what the neck has to do.

    Raises:
        ValueError: unknown work, or the config's model has no labeler.
    """

    def __init__(self, job: Job) -> None:
        if job.work not in WORKS:
            raise ValueError(f'unknown work {job.work!r}: choose one of {WORKS}')
        torch.manual_seed(0)
        init_default_scope('mmwsfs')
        cfg = Config.fromfile(job.config).model
        if cfg.get('labeler') is None:
            raise ValueError(
                f"the model of '{job.config}' has no labeler: give a config for "
                'image-level supervision')
        self.job = job
        self.lazy = job.cached or job.work == 'series'
        cfg.backbone.init_cfg = None
        cfg.supervision = 'image'
        cfg.cache = dict(ram_gb=job.ram_gb) if self.lazy else None
        self.backbone_cfg = cfg.backbone.copy()
        if takes_dtype(cfg.backbone):
            cfg.backbone.dtype = job.dtype
        self.model = MODELS.build(cfg)
        self.model.to(job.device).train(job.work in ('train', 'neck'))
        mask = square_mask(job.object_share, job.img_size).to(job.device)
        self.model.labeler.register_forward_hook(
            lambda module, args, masks: mask.expand_as(masks))
        self.optim_wrapper = OptimWrapper(torch.optim.Adam(
            [p for p in self.model.parameters() if p.requires_grad], lr=1e-3))
        self.run: Callable[[], object] = getattr(self, f'_{job.work}')()

    @property
    def kept_keys(self) -> str:
        """How many support tokens the neck's first block reads, of how many."""
        keep = kept_keys(
            square_mask(self.job.object_share, self.job.img_size),
            self.model.neck.support_size)
        return f'{int(keep.sum())} of {keep.numel()}'

    def reference(self) -> Callable[[], object]:
        """One image through mmpretrain's ViT of the backbone's settings in float32, or
        through the backbone itself, where it is no ViT of mmpretrain."""
        own = ('type', 'init_cfg', 'img_size', 'frozen', 'num_registers', 'dtype')
        if isinstance(self.model.backbone, VisionTransformer):
            vit = VisionTransformer(
                img_size=self.job.img_size,
                **{key: value for key, value in self.backbone_cfg.items()
                   if key not in own})
        else:
            vit = MODELS.build(self.backbone_cfg)
        vit.to(self.job.device).eval()
        image = torch.randn(
            1, 3, self.job.img_size, self.job.img_size, device=self.job.device)
        return torch.no_grad()(lambda: vit(image))

    def batch(self, first: int = 0) -> dict:
        """A batch of episodes as a data loader gives it, on images of their own."""
        job = self.job
        per_episode = 1 + job.way * job.shot
        return self._episodes(
            np.arange(first, first + job.batch * per_episode).reshape(job.batch, -1))

    def _episodes(self, seeds: np.ndarray) -> dict:
        """Episodes of images by their seeds, (B, 1 + N * K), the query first."""
        job = self.job
        samples = []
        for _ in seeds:
            sample = FewShotDataSample(metainfo=dict(
                ori_shape=(job.img_size, job.img_size),
                class_ids=list(range(1, job.way + 1))))
            sample.gt_presence = torch.ones(job.way, dtype=torch.bool)
            samples.append(sample)
        if self.lazy:
            images = np.array([[self._lazy_image(int(seed)) for seed in row]
                               for row in seeds], dtype=object)
            supports = list(images[:, 1:].reshape(-1, job.way, job.shot))
        else:
            images = torch.stack([
                torch.stack([made_image(int(seed), job.img_size) for seed in row])
                for row in seeds])
            supports = list(images[:, 1:].unflatten(1, (job.way, job.shot)))
        return dict(
            inputs=dict(query=list(images[:, 0]), support=supports),
            data_samples=samples)

    def _lazy_image(self, seed: int) -> LazyImage:
        size = self.job.img_size
        return LazyImage(str(seed), (size, size), partial(made_image, seed, size))

    def _bind(self) -> None:
        """Fill the cache with the batch's features at the first run."""
        if self.model.cache is not None:
            self.model.cache.bind(self.model.backbone)

    def _predict(self) -> Callable[[], object]:
        self._bind()
        data = self.batch()
        return torch.no_grad()(lambda: self.model.test_step(data))

    def _train(self) -> Callable[[], object]:
        self._bind()
        data = self.batch()
        return lambda: self.model.train_step(data, self.optim_wrapper)

    def _extract(self) -> Callable[[], object]:
        image = self._images()['query'][:1]
        return torch.no_grad()(lambda: self.model.extract_feat(image))

    def _images(self) -> dict[str, Tensor]:
        return self.model.data_preprocessor(self.batch())['inputs']

    def _neck(self) -> Callable[[], object]:
        with torch.no_grad():
            query, support, query_of = self.model.extract_episodes(self._images())
        size = (self.job.img_size, self.job.img_size)
        masks = self.model.support_masks(support, size)
        presence = torch.ones(len(masks), dtype=torch.bool, device=masks.device)

        def run() -> None:
            self.model.zero_grad()
            cls_map, seg_map = self.model.token_maps(
                query, self.model.embed_supports(support, masks), query_of)
            losses = {**self.model.cls_head.loss(cls_map, presence),
                      **self.model.seg_head.loss(seg_map, masks)}
            sum(losses.values()).backward()
        return run

    def _series(self) -> Callable[[], object]:
        """Every image is a query once it can be; the supports are drawn."""
        job = self.job
        drawn = np.random.default_rng(0).integers(
            job.images, size=(job.episodes, 1 + job.way * job.shot))
        drawn[:, 0] = np.arange(job.episodes) % job.images

        def run() -> None:
            self.model.cache = FeatureCache(ram_gb=job.ram_gb)
            self._bind()
            for row in drawn:
                self.model.test_step(self._episodes(row[None]))
        return torch.no_grad()(run)


def measure(job: Job) -> dict:
    """Do a job in this process.

    The work runs first (a series does not) to warm up and to fill the cache, a
    training step twice: the second one has the optimizer's state. The reference, T, is
    timed in turn with the work.

    Returns:
        dict: ``seconds`` and ``reference``, lists of ``repeats`` times of the work and
        of T; ``memory``, bytes above the imports, of ``inputs`` (model and inputs are
        there) and ``peak`` (the work was done); ``kept_keys``.
    """
    imports = peak_memory(job.device)
    work = Workload(job)
    inputs = peak_memory(job.device) - imports
    for _ in range(dict(series=0, train=2).get(job.work, 1)):
        work.run()
    peak = peak_memory(job.device) - imports
    reference = work.reference()
    reference()
    times = [(seconds(reference, job), seconds(work.run, job))
             for _ in range(job.repeats)]
    return dict(
        seconds=[own for _, own in times], reference=[unit for unit, _ in times],
        memory=dict(inputs=inputs, peak=peak), kept_keys=work.kept_keys)

