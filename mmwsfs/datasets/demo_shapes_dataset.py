from __future__ import annotations

from pathlib import Path

from mmengine.dist import barrier, is_main_process
from mmengine.logging import print_log

from mmwsfs.registry import DATASETS

from .demo_shapes import DEMO_CLASSES, make_demo_shapes
from .pascal5i import Pascal5iDataset


@DATASETS.register_module()
class DemoShapesDataset(Pascal5iDataset):
    """Episodes of the made demo images, which are made when ``data_root`` is absent.

    The images, masks and lists (``splits/demo``) are those of
    :func:`~mmwsfs.datasets.demo_shapes.make_demo_shapes` with its defaults.

    Args:
        **kwargs: as for :class:`Pascal5iDataset`.
    """

    METAINFO = dict(classes=DEMO_CLASSES)

    def full_init(self) -> None:
        """Make the images if need be, then read the lists."""
        if self._fully_initialized:
            return
        if not Path(self.data_root).exists() and is_main_process():
            print_log(f"making the demo images in '{self.data_root}'", 'current')
            make_demo_shapes(self.data_root)
        barrier()
        super().full_init()
