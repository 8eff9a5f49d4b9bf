from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from torch import Tensor, nn

from mmwsfs.argument_check import check_arguments
from mmwsfs.models.backbones.frozen_dtype import has_own_dtype
from mmwsfs.structures import LazyImage, LazyImages, ViTFeatures
from mmwsfs.utils.module_digest import digest_module

from .disk_store import DiskStore
from .storage import STORAGES, decode, encode, num_bytes

_VERSION = 3  # of what is kept: another one finds nothing of an older one


@check_arguments
class FeatureCache:
    """Features of a frozen backbone: an image is put through it once.

    Entries are found by the image's key (file content and transforms), the backbone's
    weights, the precision it runs in and the storage. They are kept in memory, in the
    device that computes them, least recently used dropped first, and on disk, where
    other processes, folds and runs find them. Features are rounded to the storage's
    precision at the first use as well, so that a result does not depend on what the
    cache holds.

    Args:
        ram_gb: bound of the memory tier in GiB, 0 for none. Defaults to 0.
        disk_gb: bound of the disk tier in GiB, 0 for none. Defaults to 0.
        folder: of the disk tier. Defaults to '~/.cache/mmwsfs/features'.
        storage: 'float16', or 'int8', half the size. Defaults to 'float16'.
        warm_up: whether all features are computed before a run begins (see
            :class:`~mmwsfs.engine.FeatureCacheHook`). Defaults to False.

    Raises:
        ValueError: unknown storage, or no tier.
    """

    def __init__(self,
                 ram_gb: float = 0,
                 disk_gb: float = 0,
                 folder: str | Path = '~/.cache/mmwsfs/features',
                 storage: str = 'float16',
                 warm_up: bool = False) -> None:
        if storage not in STORAGES:
            raise ValueError(f'unknown storage {storage!r}: choose one of {STORAGES}')
        if ram_gb <= 0 and disk_gb <= 0:
            raise ValueError(
                'a feature cache needs ram_gb or disk_gb above 0; model.cache=None '
                'is none')
        self.storage = storage
        self.warm_up = warm_up
        self.max_bytes = int(ram_gb * 2**30)
        self.disk = DiskStore(folder, int(disk_gb * 2**30)) if disk_gb > 0 else None
        self._entries: OrderedDict[str, dict[str, Tensor]] = OrderedDict()
        self._bytes = 0
        self._backbone = ''
        self._own_dtype = False

    def bind(self, backbone: nn.Module) -> None:
        """From now on the features are those of this backbone's present weights."""
        self._backbone = f'{_VERSION} {digest_module(backbone)}'
        self._own_dtype = has_own_dtype(backbone)

    def __len__(self) -> int:
        """Entries in memory."""
        return len(self._entries)

    def _key(self, image_key: str, device: torch.device) -> str:
        precision = 'float32'  # or, with a format of its own, that of its weights
        if torch.is_autocast_enabled(device.type) and not self._own_dtype:
            precision = str(torch.get_autocast_dtype(device.type))
        return hashlib.blake2b(
            f'{self._backbone} {image_key} {precision} {self.storage}'.encode(),
            digest_size=16).hexdigest()

    def extract(self, images: LazyImages, device: torch.device,
                extract: Callable[[Tensor], ViTFeatures]) -> ViTFeatures:
        """Features of a flat array of B images.

        Args:
            images: only those that are not held are read, each once.
            device: where the features are wanted.
            extract: normalised images (n, 3, H, W) -> their features.

        Returns:
            ViTFeatures: in half precision, or single where 8 bits are stored.

        Raises:
            RuntimeError: :meth:`bind` was not called.
        """
        if not self._backbone:
            raise RuntimeError(
                'the feature cache knows no backbone yet: call bind(backbone), as '
                'FeatureCacheHook does')
        keys = [self._key(key, device) for key in images.keys()]
        positions = {key: position for position, key in enumerate(keys)}
        batch: dict[str, dict[str, Tensor]] = {}
        missing = []
        for key in positions:
            entry = self._find(key)
            if entry is None:
                missing.append(key)
            else:
                batch[key] = entry
        if missing:
            found = extract(images[[positions[key] for key in missing]].load())
            for index, key in enumerate(missing):
                batch[key] = encode(found[index:index + 1], self.storage)
                if self.disk is not None:
                    self.disk.put(key, batch[key])
        for key in positions:
            self._keep(key, {
                name: value if name == 'grid' else value.to(device)
                for name, value in batch[key].items()})
        with torch.autocast(device.type, enabled=False):  # half stays half
            features = {key: decode(entry, device) for key, entry in batch.items()}
            return ViTFeatures.cat([features[key] for key in keys])

    def _find(self, key: str) -> dict[str, Tensor] | None:
        if key in self._entries:
            return self._entries[key]
        return None if self.disk is None else self.disk.get(key)

    def _keep(self, key: str, entry: dict[str, Tensor]) -> None:
        """Keep an entry in memory, where there is room for it at all."""
        if num_bytes(entry) > self.max_bytes:
            return
        if key not in self._entries:
            self._bytes += num_bytes(entry)
        self._entries[key] = entry
        self._entries.move_to_end(key)
        while self._bytes > self.max_bytes:
            _, dropped = self._entries.popitem(last=False)
            self._bytes -= num_bytes(dropped)

    def missing(self, images: Iterable[LazyImage],
                device: torch.device) -> list[LazyImage]:
        """The images, each once, whose features no tier holds."""
        missing: dict[str, LazyImage] = {}
        for image in images:
            key = self._key(image.key, device)
            if key not in self._entries and not (
                    self.disk is not None and key in self.disk):
                missing.setdefault(key, image)
        return list(missing.values())

    @property
    def capacity(self) -> int:
        """Bytes that the larger tier holds."""
        return max(self.max_bytes, 0 if self.disk is None else self.disk.capacity)

    def num_bytes(self, features: ViTFeatures) -> int:
        """Bytes that features take where they are kept."""
        return num_bytes(encode(features, self.storage))
