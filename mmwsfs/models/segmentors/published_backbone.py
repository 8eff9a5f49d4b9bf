"""A frozen backbone that a published checkpoint leaves out, and is known by its digest.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

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

    They are read from where its config says, if they were not yet.

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
    if [*digest_weights(own)] != expected.flatten().tolist():
        raise ValueError(
            'the checkpoint was made without its backbone, and with another one than '
            'model.backbone has here: name in model.backbone.init_cfg.checkpoint the '
            'weights that it was trained on')
    state_dict.update({
        f'{prefix}{BACKBONE}{name}': value for name, value in own.items()})
