from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor, nn

_SETTING = (bool, int, float, str, list, tuple)  # attributes that a module may read


def digest_module(module: nn.Module) -> str:
    """Hex digest of a module's parts, their settings and weights."""
    digest = hashlib.blake2b(f'{module}'.encode(), digest_size=16)
    for name, part in module.named_modules():
        settings = {
            key: value for key, value in vars(part).items()
            if isinstance(value, _SETTING) and key[0] != '_' and key != 'training'}
        digest.update(f'{name} {type(part).__name__} {settings}'.encode())
    for name, value in module.state_dict().items():
        digest.update(f'{name} {value.dtype} {tuple(value.shape)}'.encode())
        digest.update(
            value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def digest_weights(state_dict: Mapping[str, Tensor]) -> bytes:
    """Digest of a state dict, 16 bytes: of names, types, shapes and values alone.

    It is the same on every machine and by every release, and in whichever order the
    tensors come.
    """
    digest = hashlib.blake2b(digest_size=16)
    for name, value in sorted(state_dict.items()):
        digest.update(f'{name} {value.dtype} {tuple(value.shape)}'.encode())
        digest.update(
            value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.digest()
