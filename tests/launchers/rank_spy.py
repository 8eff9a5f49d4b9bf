"""What a run of several processes does in each of them, written down; or its death."""

from __future__ import annotations

import atexit
import json
import os
import signal
from pathlib import Path

from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmwsfs.engine.hooks.bare_model import bare_model
from mmwsfs.models.pseudo_labels import enhancer_training
from mmwsfs.registry import HOOKS
from mmwsfs.utils.module_digest import digest_module

ERROR = 'made to fail by the test'
# The enhancer's training made small.
enhancer_training.INTERVAL = 2
enhancer_training.BATCH_SIZE = 4
enhancer_training.PARTNERS = 2


@atexit.register
def leave_no_thread() -> None:
    """Fail where threads of gloo outlive the tool: now and then they would abort it."""
    names = [path.read_text() for path in Path('/proc/self/task').glob('*/comm')]
    if any('gloo' in name for name in names):
        print(f'threads are left: {names}', flush=True)
        os._exit(1)


def die(how: str) -> None:
    """'kill' this process, or 'raise' an error."""
    if how == 'kill':
        os.kill(os.getpid(), signal.SIGKILL)
    raise RuntimeError(ERROR)


@HOOKS.register_module()
class RankSpy(Hook):
    """Writes ``rank*.json`` into a folder.

    That is the digests of the model's weights at first, after the fitting stage and at
    last, and of each step the episodes and what is logged.

    Args:
        folder: of the files.
        death: (place, how): 'step' is the second step on rank 1, 'fitting' the training
            of the enhancer, which one rank does for all. Defaults to None.
    """

    def __init__(self, folder: str, death: tuple[str, str] | None = None) -> None:
        self.folder = Path(folder)
        self.place, self.how = death or (None, None)
        self.notes = dict(episodes=[], logged=[])

    def before_train(self, runner: Runner) -> None:
        """Note the first weights."""
        self.notes['first'] = digest_module(bare_model(runner))
        if self.place == 'fitting':
            enhancer_training.EnhancerTrainer.train = lambda *args: die(self.how)

    def before_train_iter(self, runner: Runner, batch_idx: int,
                          data_batch: dict | None = None) -> None:
        """Note the weights that were fitted, and the episodes."""
        if batch_idx == 0:
            self.notes['fitted'] = digest_module(bare_model(runner))
        if (self.place, batch_idx, get_rank()) == ('step', 1, 1):
            die(self.how)
        self.notes['episodes'].append([
            f'{sample.query_path} {sample.support_paths} {sample.class_ids}'
            for sample in data_batch['data_samples']])

    def after_train_iter(self, runner: Runner, batch_idx: int,
                         data_batch: dict | None = None,
                         outputs: dict | None = None) -> None:
        """Note what is logged."""
        self.notes['logged'].append(
            {name: float(value) for name, value in outputs.items()})

    def after_train(self, runner: Runner) -> None:
        """Write it all."""
        self.notes['last'] = digest_module(bare_model(runner))
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / f'rank{get_rank()}.json').write_text(json.dumps(self.notes))
