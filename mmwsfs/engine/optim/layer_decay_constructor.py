from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from mmpretrain.engine.optimizers import LearningRateDecayOptimWrapperConstructor
from torch import nn

from mmwsfs.registry import OPTIM_WRAPPER_CONSTRUCTORS


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class LayerDecayOptimWrapperConstructor(LearningRateDecayOptimWrapperConstructor):
    """mmpretrain's layer-wise decay of the learning rate, for a segmentor.

    mmpretrain's own asks the *model* for the depth of a parameter, as its classifiers
    can tell it; a segmentor of mmseg cannot, but its backbone can. Frozen parameters
    stay out. The settings, ``paramwise_cfg=dict(layer_decay_rate=...)`` and more, are
    mmpretrain's.

    (mmseg's own ``LearningRateDecayOptimizerConstructor`` goes by the *names* of the
    backbones BEiT, MAE and ConvNeXt, and takes no other.)
    """

    def add_params(self,
                   params: list[dict],
                   module: nn.Module,
                   prefix: str = '',
                   get_layer_depth: Callable | None = None,
                   **kwargs: Any) -> None:
        """Add a module's parameters, one group each.

        Raises:
            ValueError: the model's backbone has no ``get_layer_depth``.
        """
        if get_layer_depth is None:
            backbone: Any = getattr(module, 'backbone', None)
            if not hasattr(backbone, 'get_layer_depth'):
                raise ValueError(
                    f'{type(self).__name__} needs a model whose backbone has '
                    f'get_layer_depth, which {type(backbone).__name__} has not: take '
                    'DINOVisionTransformer or a ViT of mmpretrain')
            get_layer_depth = partial(backbone.get_layer_depth, prefix='backbone.')
        super().add_params(
            params, module, prefix=prefix, get_layer_depth=get_layer_depth, **kwargs)
