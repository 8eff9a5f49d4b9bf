"""A frozen backbone that a published checkpoint leaves out, and is known by its digest.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from mmwsfs.models.backbones.frozen_dtype import has_own_dtype, set_dtype
from mmwsfs.utils.module_digest import digest_weights

BACKBONE = 'backbone.'  # begins the names of its weights
DIGEST = 'backbone_digest'  # stands in their place: (16, ) uint8


def leave_out_backbone(state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
    """The state dict with a digest in the place of the backbone's weights."""
    backbone = {name.removeprefix(BACKBONE): value
                for name, value in state_dict.items() if name.startswith(BACKBONE)}
    kept = {name: value for name, value in state_dict.items()
            if not name.startswith(BACKBONE)}
    return {DIGEST: torch.tensor([*digest_weights(backbone)], dtype=torch.uint8),
            **kept}


def fill_in_backbone(backbone: nn.Module, state_dict: dict[str, Any],
                     prefix: str) -> None:
    """Put the backbone's weights where a checkpoint has their digest.

    They are read from where its config says, if they were not yet. A backbone in
    bfloat16 and one in single precision are the same where they come from one file.

    Args:
        backbone: of the model that the checkpoint is loaded into.
        state_dict: what is loaded, changed in place. Nothing is done to one without a
            digest.
        prefix: begins the model's names in it.

    Raises:
        ValueError: they are others than the checkpoint was made with.
        FileNotFoundError, OSError: they cannot be read.
    """
    expected = state_dict.pop(f'{prefix}{DIGEST}', None)
    if expected is None:
        return
    if not getattr(backbone, 'is_init', False):
        backbone.init_weights()  # type: ignore[operator]
    own = backbone.state_dict()
    wanted = expected.flatten().tolist()
    if all([*digest_weights(weights)] != wanted for weights in _as_stored(backbone)):
        raise ValueError(
            'the checkpoint was made without its backbone, and with another one than '
            'model.backbone has here: name in model.backbone.init_cfg.checkpoint the '
            'weights that it was trained on')
    state_dict.update({
        f'{prefix}{BACKBONE}{name}': value for name, value in own.items()})


def _as_stored(backbone: nn.Module) -> Iterator[dict[str, Tensor]]:
    """A backbone's weights as checkpoints have them: its own, and those of its like in
    the other number format, the full ones from their file again."""
    yield backbone.state_dict()
    other = copy.deepcopy(backbone)
    if has_own_dtype(backbone):
        set_dtype(other, 'float32', frozen=True)
        other.init_weights()  # type: ignore[operator]
    else:
        set_dtype(other, 'bfloat16', frozen=True)
    yield other.state_dict()
