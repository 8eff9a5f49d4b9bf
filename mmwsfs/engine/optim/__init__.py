from .amp_optim_wrapper import CPUAmpOptimWrapper, build_amp_optim_wrapper
from .layer_decay_constructor import LayerDecayOptimWrapperConstructor
from .trainable_constructor import TrainableOptimWrapperConstructor

__all__ = [
    'CPUAmpOptimWrapper', 'LayerDecayOptimWrapperConstructor',
    'TrainableOptimWrapperConstructor', 'build_amp_optim_wrapper'
]
