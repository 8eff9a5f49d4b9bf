from __future__ import annotations

from mmengine.model import BaseModule
from torch import Tensor, nn

from mmwsfs.registry import MODELS
from mmwsfs.utils.state_dict import check_state_dict, read_state_dict

from .maps import standardise

CHANNELS = 128  # of the two inner layers


@MODELS.register_module()
class PseudoLabelEnhancer(BaseModule):
    """A small network that makes one mask of the attention's head maps.

    Section 3.4 of the paper: three 3x3 convolutions, about 156k parameters for 6 heads.
    Every map is brought to mean 0 and deviation 1 first (our addition): backbones
    differ in the range of their cosines, and within an image it is narrow.

    Args:
        num_heads (int): heads of the backbone, H.
        init_cfg (dict, optional): ``dict(type='Pretrained', checkpoint=FILE)`` takes a
            trained one, as ``enhancer/best.pth`` of a mixed run. Defaults to None.
    """

    def __init__(self,
                 num_heads: int,
                 init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.layers = nn.Sequential(
            nn.Conv2d(num_heads, CHANNELS, 3, padding=1), nn.ReLU(),
            nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1), nn.ReLU(),
            nn.Conv2d(CHANNELS, 1, 3, padding=1))

    @property
    def pretrained(self) -> bool:
        """Whether the weights come from a file and are not to be trained."""
        return bool(self.init_cfg) and self.init_cfg['type'] == 'Pretrained'

    def init_weights(self) -> None:
        """Read the weights of ``init_cfg``, if it names a file.

        Raises:
            FileNotFoundError: the file is missing.
            ValueError: it is damaged, holds more than weights, or is of another
                network.
        """
        if not self.pretrained:
            super().init_weights()
            return
        path = self.init_cfg['checkpoint']
        weights = read_state_dict(path)
        check_state_dict(
            weights, self.state_dict(),
            f"checkpoint '{path}' does not fit this enhancer",
            "give the enhancer/best.pth of a run with as many heads")
        self.load_state_dict(weights)

    def forward(self, maps: Tensor) -> Tensor:
        """Head maps, (B, H, h, w) in -1..1 -> logits of foreground, (B, h, w)."""
        return self.layers(standardise(maps)).squeeze(1)
