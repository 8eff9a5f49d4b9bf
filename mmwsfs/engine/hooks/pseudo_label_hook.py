from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dist import all_reduce, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from PIL import Image
from torch import Tensor

from mmwsfs.registry import HOOKS
from mmwsfs.structures import LazyImage
from mmwsfs.visualization.episode_visualizer import row

from .bare_model import bare_model


@HOOKS.register_module()
class PseudoLabelHook(Hook):
    """Logs and draws the pseudo-masks that a model learns from; changes nothing.

    In training it logs the labels' coverage, the share of foreground pixels of support
    masks (``pseudo_support_coverage``) and of the masks of queries that hold the class
    (``pseudo_query_coverage``), in 0..1, of all ranks' episodes. Coverage near 0 or 1
    says that the threshold does not suit the backbone.

    Args:
        num_pictures (int): of the first training episodes so many are saved with their
            pseudo-masks painted in, as ``pseudo_labels/*.png`` in the work dir.
            Defaults to 0.
    """

    def __init__(self, num_pictures: int = 0) -> None:
        self.num_pictures = num_pictures
        self._saved = 0
        self._masks: list[Tensor] = []

    def before_run(self, runner: Runner) -> None:
        """Check that there will be pseudo-masks.

        Raises:
            ValueError: the model takes all masks from the data.
        """
        if bare_model(runner).supervision == 'pixel':
            raise ValueError(
                f"{type(self).__name__} shows pseudo-masks, but the model makes none: "
                "set model.supervision='image' (or 'mixed'), or take the hook out of "
                'custom_hooks')

    def before_train_iter(self, runner: Runner, batch_idx: int,
                          data_batch: dict | None = None) -> None:
        """Note the labeler's masks of this step: the supports', then the queries'."""
        self._masks.clear()
        self._handle = bare_model(runner).labeler.register_forward_hook(
            lambda module, args, masks: self._masks.append(masks))

    def after_train_iter(self, runner: Runner, batch_idx: int,
                         data_batch: Any = None,
                         outputs: dict | None = None) -> None:
        """Log the coverage, and save pictures while there are some to save."""
        self._handle.remove()
        support_masks, query_masks = (mask.cpu().numpy() for mask in self._masks)
        presence = np.array(
            [bool(sample.gt_presence) for sample in data_batch['data_samples']])
        hub = runner.message_hub
        for role, masks in (
                ('support', support_masks), ('query', query_masks[presence])):
            pixels = torch.tensor([masks.sum(), masks.size])
            all_reduce(pixels)
            if pixels[1]:
                found, size = pixels.tolist()
                hub.update_scalar(f'train/pseudo_{role}_coverage', found / size)
        if is_main_process() and self._saved < self.num_pictures:
            query_masks &= presence[:, None, None]
            self._save_pictures(runner, data_batch, support_masks, query_masks)

    def _save_pictures(self, runner: Runner, data_batch: dict,
                       support_masks: np.ndarray, query_masks: np.ndarray) -> None:
        folder = Path(runner.work_dir) / 'pseudo_labels'
        folder.mkdir(parents=True, exist_ok=True)
        names = runner.train_dataloader.dataset.metainfo['classes']
        inputs = data_batch['inputs']
        for index, sample in enumerate(data_batch['data_samples']):
            if self._saved == self.num_pictures:
                return
            tiles = []
            for role, image, mask in (
                    ('support', inputs['support'][index][0, 0], support_masks[index]),
                    ('query', inputs['query'][index], query_masks[index])):
                if isinstance(image, LazyImage):
                    image = image.read()
                rgb = image.flip(0).permute(1, 2, 0).cpu().numpy()
                name = names[sample.class_ids[0] - 1] if mask.any() else 'absent'
                tiles.append((f'{role}: {name}', rgb, mask))
            Image.fromarray(row(tiles)).save(folder / f'{self._saved:03d}.png')
            self._saved += 1
