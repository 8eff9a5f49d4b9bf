"""Released ViTs by the names that their authors' torch hubs give them."""

from __future__ import annotations

import re

_META = 'https://dl.fbaipublicfiles.com'
# Name -> where the file is. DINOv3's are gated, and are taken from the Hub.
_HUBS = tuple((re.compile(name), url) for name, url in (
    (r'dino_vits(?P<patch>8|16)',
     rf'{_META}/dino/dino_deitsmall\g<patch>_pretrain/'
     r'dino_deitsmall\g<patch>_pretrain.pth'),
    (r'dino_vitb(?P<patch>8|16)',
     rf'{_META}/dino/dino_vitbase\g<patch>_pretrain/dino_vitbase\g<patch>_pretrain.pth'
     ),
    (r'(?P<name>dinov2_vit[sblg]14)',
     rf'{_META}/dinov2/\g<name>/\g<name>_pretrain.pth'),
    (r'(?P<name>dinov2_vit[sblg]14)_reg',
     rf'{_META}/dinov2/\g<name>/\g<name>_reg4_pretrain.pth'),
    (r'dinov3_(?P<size>vit(?:[sbl]16|[sh]16plus))',
     r'hf://facebook/dinov3-\g<size>-pretrain-lvd1689m/model.safetensors'),
))


def hub_url(name: str) -> str | None:
    """The address of the file that a torch hub's name stands for.

    Args:
        name: such as 'dino_vits8', 'dinov2_vitb14', 'dinov2_vitb14_reg' or
            'dinov3_vits16plus'.

    Returns:
        str, optional: an ``https://`` or ``hf://`` address; None for another name.
    """
    return next((found.expand(url) for found, url in (
        (pattern.fullmatch(name), url) for pattern, url in _HUBS) if found), None)
