from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import Callable

import torch
from torch import Tensor

from mmwsfs.structures import ViTFeatures


class FeatureCache:
    """Features of a frozen backbone, kept in memory: an image goes through it once.

    The key is a digest of the image as the backbone would see it, so the result is
    right whatever the pipeline does. Least recently used entries are dropped. Features
    are kept in half precision, and are rounded to it at the first use as well, so that
    a result does not depend on what the cache holds.

    Args:
        max_gb: bound in GiB, of the memory of the device that computes the features.
    """

    def __init__(self, max_gb: float) -> None:
        self.max_bytes = int(max_gb * 2**30)
        self._entries: OrderedDict[bytes, ViTFeatures] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    def extract(self, images: Tensor,
                extract: Callable[[Tensor], ViTFeatures]) -> ViTFeatures:
        """Features of B images; ``extract`` is called once, for those not held.

        Args:
            images: (B, 3, H, W), normalised.
            extract: the backbone's ``extract``.

        Returns:
            ViTFeatures: in half precision.
        """
        keys = [self._digest(image) for image in images]
        positions = {key: position for position, key in enumerate(keys)}
        missing = [key for key in positions if key not in self._entries]
        batch = {key: self._entries[key] for key in positions
                 if key in self._entries}
        if missing:
            found = extract(images[[positions[key] for key in missing]]).map(
                lambda tensor: tensor.detach().half())
            for index, key in enumerate(missing):
                # A copy, so that an entry does not keep its whole batch alive.
                batch[key] = found[index:index + 1].map(torch.clone)
        for key in positions:
            self._store(key, batch[key])
        with torch.autocast(images.device.type, enabled=False):  # half stays half
            return ViTFeatures.cat([batch[key] for key in keys])

    @staticmethod
    def _digest(image: Tensor) -> bytes:
        array = image.detach().cpu().contiguous().numpy()
        return hashlib.blake2b(
            array.tobytes() + repr(array.shape).encode(), digest_size=16).digest()

    def _store(self, key: bytes, entry: ViTFeatures) -> None:
        if key not in self._entries:
            self._bytes += entry.nbytes
        self._entries[key] = entry
        self._entries.move_to_end(key)
        while self._bytes > self.max_bytes:
            _, dropped = self._entries.popitem(last=False)
            self._bytes -= dropped.nbytes
