from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from mmcv.transforms import BaseTransform, Compose

from mmwsfs.registry import TRANSFORMS

from .lazy_loader import LazyLoader


@TRANSFORMS.register_module()
class EpisodeTransform(BaseTransform):
    """Apply image transforms to the query and to every support of an episode.

    While ``lazy`` is set no pixel is read: images are
    :class:`~mmwsfs.structures.LazyImage`, for a model that caches their features.

    Args:
        query (list[dict]): transforms for the query.
        support (list[dict]): transforms for each support.

    Raises:
        RuntimeError: a transform fails; the message names the episode and the image.
    """

    def __init__(self, query: Sequence[dict], support: Sequence[dict]) -> None:
        self.query = Compose([TRANSFORMS.build(config) for config in query])
        self.support = Compose([TRANSFORMS.build(config) for config in support])
        self.lazy_query = LazyLoader(self.query)
        self.lazy_support = LazyLoader(self.support)
        # In shared memory: worker processes may have begun before it is set.
        self._lazy = torch.zeros(1, dtype=torch.bool).share_memory_()

    @property
    def can_be_lazy(self) -> bool:
        """Whether an image has the same pixels every time: nothing augments."""
        return self.lazy_query.supported and self.lazy_support.supported

    @property
    def lazy(self) -> bool:
        """Whether pixels are left unread."""
        return bool(self._lazy)

    @lazy.setter
    def lazy(self, value: bool) -> None:
        self._lazy.fill_(value)

    @staticmethod
    def _apply(transforms: Callable[[dict], dict], image: dict, results: dict) -> dict:
        image['classes'] = results['classes']
        try:
            return transforms(image)
        except Exception as error:
            raise RuntimeError(
                f"episode {results['episode']}, image '{image['img_path']}': {error}"
            ) from error

    def transform(self, results: dict) -> dict:
        """Transform ``results['query']`` and ``results['supports']`` (N x K)."""
        query, support = (self.lazy_query, self.lazy_support) if self.lazy else (
            self.query, self.support)
        results['query'] = self._apply(query, results['query'], results)
        results['supports'] = [
            [self._apply(support, image, results) for image in images]
            for images in results['supports']]
        return results
