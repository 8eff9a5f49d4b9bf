from __future__ import annotations

import math
from pathlib import Path

import torch
from mmengine.dist import all_gather_object, all_reduce
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement

from mmwsfs.registry import HOOKS
from mmwsfs.utils.run_error import RunError

from .checkpoint_hook import last_good


@HOOKS.register_module()
class InvalidLossHook(Hook):
    """Ends a training whose loss is NaN or infinite, before anything is written.

    All ranks end at the step in which one of them has such a loss: each step they tell
    each other by a single number. The loss has been read by then for the log, so that
    asking for it costs no waiting for the GPU.
    """

    priority = 'ABOVE_NORMAL'  # before the log, and the checkpoint

    def after_train_iter(self, runner: Runner, batch_idx: int,
                         data_batch: dict | None = None,
                         outputs: dict | None = None) -> None:
        """Check the loss of the step.

        Raises:
            RunError: it is NaN or infinite. The message names the episodes.
        """
        assert outputs is not None
        valid = math.isfinite(outputs['loss'].item())
        # A flag for all, and words only where there is something to say.
        invalid = torch.tensor(not valid, dtype=torch.int32)
        all_reduce(invalid, 'max')
        if not invalid:
            return
        reports = all_gather_object(
            None if valid else self._report(outputs, data_batch))
        raise RunError(
            f'iteration {runner.iter + 1}: ' + '\n'.join(filter(None, reports))
            + f'\nTraining stops and writes no checkpoint; '
            f'{last_good(Path(runner.work_dir))}. --resume with the same settings '
            'ends here again: begin from it with a lower learning rate '
            '(--cfg-options load_from=FILE optim_wrapper.optimizer.lr=...), bound '
            'the gradients (optim_wrapper.clip_grad.max_norm=1), or mend the images')

    @staticmethod
    def _report(outputs: dict, data_batch: dict | None) -> str:
        values = ', '.join(
            f'{name} {value.item():g}' for name, value in outputs.items())
        return '\n'.join([f'the loss is not finite ({values}) on', *(
            f'  {_images(sample)}' for sample in (data_batch or {}).get(
                'data_samples', ()))])


def _images(sample: BaseDataElement) -> str:
    """The files of an episode, or of any other sample of mmseg's."""
    if 'query_path' in sample:
        supports = ', '.join(
            f"'{path}'" for paths in sample.support_paths for path in paths)
        return f"query '{sample.query_path}', supports {supports}"
    return f"'{sample.get('img_path')}'"
