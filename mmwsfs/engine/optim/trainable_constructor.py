from __future__ import annotations

from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper
from torch import nn

from mmwsfs.registry import OPTIM_WRAPPER_CONSTRUCTORS


class _TrainableView(nn.Module):
    """A model without its frozen parameters, under the same names."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        for name, parameter in model.named_parameters(recurse=False):
            if parameter.requires_grad:
                self.register_parameter(name, parameter)
        for name, child in model.named_children():
            if any(p.requires_grad for p in child.parameters()):
                self.add_module(name, child if all(
                    p.requires_grad
                    for p in child.parameters()) else _TrainableView(child))


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class TrainableOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """MMEngine's default constructor, for the parameters that train.

    The default one hands frozen parameters to the optimizer as well; here nothing of a
    frozen backbone reaches it.
    """

    def __call__(self, model: nn.Module) -> OptimWrapper:
        """Build the optimizer of a model, wrapped for distribution or not."""
        return super().__call__(_TrainableView(getattr(model, 'module', model)))
