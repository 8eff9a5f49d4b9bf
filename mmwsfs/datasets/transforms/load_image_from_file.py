from __future__ import annotations

import numpy as np
from mmcv.transforms import loading

from mmwsfs.registry import TRANSFORMS
from mmwsfs.utils.image_file import read_image


@TRANSFORMS.register_module()
class LoadImageFromFile(loading.LoadImageFromFile):
    """MMCV's loader, but with 16-bit grey scaled to 8 bits where Pillow decodes.

    MMCV's clips it to white. What is 8-bit comes out bit by bit as of MMCV's, which
    also does the work under other settings than ``imdecode_backend='pillow'`` and
    ``color_type='color'``. See :func:`~mmwsfs.utils.image_file.to_bgr`.
    """

    def transform(self, results: dict) -> dict | None:
        """Load ``img``, (H, W, 3), BGR, from the file ``img_path``; add its shapes."""
        if (self.imdecode_backend, self.color_type, self.ignore_empty,
                self.file_client_args) != ('pillow', 'color', False, None):
            return super().transform(results)
        image = read_image(results['img_path'], self.backend_args)
        results['img'] = image.astype(np.float32) if self.to_float32 else image
        results['img_shape'] = results['ori_shape'] = image.shape[:2]
        return results
