from __future__ import annotations

from collections.abc import Callable, Sequence

from mmcv.transforms import BaseTransform, Compose

from mmwsfs.registry import TRANSFORMS
from mmwsfs.structures import LazyImage
from mmwsfs.utils.run_error import RunError

from .lazy_loader import LazyLoader


@TRANSFORMS.register_module()
class EpisodeTransform(BaseTransform):
    """Apply image transforms to the query and to every support of an episode.

    While the attribute ``lazy`` is True no pixel is read: images are
    :class:`~mmwsfs.structures.LazyImage`, for a model that caches their features. It
    is to be set before worker processes begin.

    Args:
        query (list[dict]): transforms for the query.
        support (list[dict]): transforms for each support.

    Raises:
        RunError: a transform fails; the message names the episode and the image.
    """

    def __init__(self, query: Sequence[dict], support: Sequence[dict]) -> None:
        self.query = Compose([TRANSFORMS.build(config) for config in query])
        self.support = Compose([TRANSFORMS.build(config) for config in support])
        self.lazy_query = LazyLoader(self.query)
        self.lazy_support = LazyLoader(self.support)
        self.lazy = False

    @property
    def can_be_lazy(self) -> bool:
        """Whether nothing augments, so that an image has the same pixels every time."""
        return self.lazy_query.supported and self.lazy_support.supported

    def lazy_images(self, paths: Sequence[str]) -> list[LazyImage]:
        """Image files as query and as support, unread; equal ones once."""
        images = (
            loader.image(path)
            for loader in (self.lazy_query, self.lazy_support) for path in paths)
        return list({image.key: image for image in images}.values())

    @staticmethod
    def _apply(transforms: Callable[[dict], dict], image: dict, results: dict) -> dict:
        image['classes'] = results['classes']
        try:
            return transforms(image)
        except Exception as error:
            raise RunError(
                f"episode {results['episode']}, image '{image['img_path']}': {error}"
            ) from error

    def transform(self, results: dict) -> dict:
        """Transform ``results['query']``, ``results['supports']`` (N x K) and, where
        there are any, ``results['negatives']`` (N x M)."""
        query, support = (self.lazy_query, self.lazy_support) if self.lazy else (
            self.query, self.support)
        results['query'] = self._apply(query, results['query'], results)
        for role in ('supports', 'negatives'):
            if role in results:
                results[role] = [
                    [self._apply(support, image, results) for image in images]
                    for images in results[role]]
        return results
