from __future__ import annotations

from collections.abc import Sequence

from mmcv.transforms import BaseTransform, Compose

from mmwsfs.registry import TRANSFORMS


@TRANSFORMS.register_module()
class EpisodeTransform(BaseTransform):
    """Apply image transforms to the query and to every support of an episode.

    Args:
        query (list[dict]): transforms for the query.
        support (list[dict]): transforms for each support.

    Raises:
        RuntimeError: a transform fails; the message names the episode and the image.
    """

    def __init__(self, query: Sequence[dict], support: Sequence[dict]) -> None:
        self.query = Compose([TRANSFORMS.build(config) for config in query])
        self.support = Compose([TRANSFORMS.build(config) for config in support])

    @staticmethod
    def _apply(transforms: Compose, image: dict, results: dict) -> dict:
        image['classes'] = results['classes']
        try:
            return transforms(image)
        except Exception as error:
            raise RuntimeError(
                f"episode {results['episode']}, image '{image['img_path']}': {error}"
            ) from error

    def transform(self, results: dict) -> dict:
        """Transform ``results['query']`` and ``results['supports']`` (N x K)."""
        results['query'] = self._apply(self.query, results['query'], results)
        results['supports'] = [
            [self._apply(self.support, image, results) for image in images]
            for images in results['supports']]
        return results
