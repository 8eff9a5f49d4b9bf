"""MMEngine's inferencers, such as ``MMSegInferencer``, held to what they can do.

They know queries only, so that they refuse a model of episodes, in one sentence,
before it is built; and a config that a checkpoint carries is read by them, where
MMEngine would run it. Importing this module sees to it, which ``mmwsfs`` does once
MMEngine has them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from mmengine.infer import BaseInferencer
from mmengine.runner import CheckpointLoader

from .carried_config_text import parse_config


def _carried(weights: str) -> dict[str, Any]:
    """The config that a checkpoint carries, without running it."""
    checkpoint = CheckpointLoader.load_checkpoint(weights, map_location='cpu')
    meta = checkpoint.get('meta') if isinstance(checkpoint, Mapping) else None
    text = meta.get('cfg') if isinstance(meta, Mapping) else None
    if not isinstance(text, str):
        raise ValueError(
            f"checkpoint '{weights}' carries no config: give a config as well")
    return parse_config(text, weights)


def _check(model: Mapping[str, Any]) -> None:
    # Late: whoever imports MMEngine's inferencers may not have imported mmseg yet.
    from mmwsfs.registry import MODELS

    from .carried_config import registered
    kind = model.get('type')
    found = registered(MODELS, kind) if isinstance(kind, str) else kind
    parents = getattr(found, '__mro__', ())
    if any(parent.__name__ == 'EpisodeSegmentor' for parent in parents):
        raise ValueError(
            f"model.type='{getattr(found, '__name__', kind)}' finds what supports "
            "show, which this inferencer cannot be given: take "
            'mmwsfs.apis.FewShotInferencer, or the command mmwsfs predict')


def _guarded(init_model: Callable) -> Callable:
    @wraps(init_model)
    def guarded(self: BaseInferencer, cfg: Any, weights: str | None,
                device: str = 'cpu') -> Any:
        if not cfg and weights is not None:
            cfg.update(_carried(weights))
        if isinstance(cfg.get('model'), Mapping):
            _check(cfg['model'])
        return init_model(self, cfg, weights, device)

    return guarded


BaseInferencer._init_model = _guarded(BaseInferencer._init_model)
