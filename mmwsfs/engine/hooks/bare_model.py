from __future__ import annotations

from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn


def bare_model(runner: Runner) -> nn.Module:
    """The runner's model, out of its wrapper for several processes."""
    return runner.model.module if is_model_wrapper(runner.model) else runner.model
