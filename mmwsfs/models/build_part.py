from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from mmwsfs.registry import MODELS


def _with_sizes(config: Mapping, sizes: Mapping[str, int]) -> dict:
    kind = config['type']
    kind = MODELS.get(kind) if isinstance(kind, str) else kind
    parts = {
        key: _with_sizes(value, sizes)
        if isinstance(value, Mapping) and 'type' in value else value
        for key, value in config.items()}
    if kind is None:  # no model, such as an init_cfg
        return parts
    asked = inspect.signature(kind).parameters
    return {**{key: size for key, size in sizes.items() if key in asked}, **parts}


def build_part(config: dict | None, **sizes: int) -> Any:
    """Build a part of a model, its sizes following from the other parts.

    A part, or a part of it, takes a size by an argument of that name. What its config
    says itself comes first.

    Args:
        config: of the part, or None.
        sizes: such as ``num_layers``, ``num_heads`` and ``embed_dims`` of the backbone.

    Returns:
        nn.Module, optional: None for None. Its type is open: a part is known by what
        it can do (docs/architecture.md).
    """
    return MODELS.build(_with_sizes(config, sizes)) if config else None
