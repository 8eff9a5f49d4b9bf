from .amp_optim_wrapper import CPUAmpOptimWrapper, build_amp_optim_wrapper
from .trainable_constructor import TrainableOptimWrapperConstructor

__all__ = [
    'CPUAmpOptimWrapper', 'TrainableOptimWrapperConstructor', 'build_amp_optim_wrapper'
]
