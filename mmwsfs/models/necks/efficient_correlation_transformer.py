from __future__ import annotations

from collections.abc import Sequence

from mmwsfs.registry import MODELS

from .correlation_transformer import CorrelationTransformer


@MODELS.register_module()
class EfficientCorrelationTransformer(CorrelationTransformer):
    """Correlation transformer after EMAT (arXiv 2507.23642).

    EMAT keeps 20 x 20 support patches where CST keeps 12 x 12, and drops masked keys
    instead of computing them. :class:`CorrelationTransformer` drops them already and
    never holds a correlation whole, so the computation is inherited and the defaults
    alone differ. The support size is EMAT's. Kernels and channels are ours: pooling by
    5, then 4, and a second block of 64 channels instead of 128. With heads of
    ``channels=(32, 32)`` that is 70,036 learnable parameters where CST has 366,004.

    Args:
        num_layers (int): blocks of the backbone, L. Defaults to 12.
        num_heads (int): heads of the backbone, H. Defaults to 6.
        support_size (int): s, side of the grid the support patches are resized to;
            the product of ``kernels``. Defaults to 20.
        channels (Sequence[int]): output channels of the blocks. Defaults to (32, 64).
        kernels (Sequence[int]): pooling of the blocks. Defaults to (5, 4).
        init_cfg (dict, optional): Defaults to None.
    """

    def __init__(self,
                 num_layers: int = 12,
                 num_heads: int = 6,
                 support_size: int = 20,
                 channels: Sequence[int] = (32, 64),
                 kernels: Sequence[int] = (5, 4),
                 init_cfg: dict | None = None) -> None:
        super().__init__(
            num_layers=num_layers, num_heads=num_heads, support_size=support_size,
            channels=channels, kernels=kernels, init_cfg=init_cfg)
