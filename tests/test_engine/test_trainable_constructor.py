"""TrainableOptimWrapperConstructor: the optimizer never sees the frozen backbone."""
from __future__ import annotations

import pytest
import torch
from mmengine.optim import OptimWrapper, build_optim_wrapper
from torch import nn

from mmwsfs.models import FewShotSegmentor
from mmwsfs.registry import MODELS


@pytest.fixture
def model(tiny_model: dict) -> FewShotSegmentor:
    return MODELS.build(tiny_model)


def wrap(model: nn.Module, **kwargs) -> OptimWrapper:
    return build_optim_wrapper(model, dict(
        constructor='TrainableOptimWrapperConstructor',
        optimizer=dict(type='Adam', lr=1e-3, weight_decay=0.1), **kwargs))


def groups_of(model: nn.Module, optim_wrapper: OptimWrapper) -> dict[str, dict]:
    """Name of the parameter -> its group, of those that the optimizer holds."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    found = [(names[id(parameter)], group)
             for group in optim_wrapper.optimizer.param_groups
             for parameter in group['params']]
    assert len(dict(found)) == len(found)
    return dict(found)


PARAMWISE = dict(
    custom_keys={'neck': dict(lr_mult=0.1), 'seg_head': dict(decay_mult=0.0)},
    norm_decay_mult=0.5)


@pytest.mark.parametrize('kwargs', [{}, dict(paramwise_cfg=PARAMWISE)])
def test_only_what_trains_is_optimized(model: FewShotSegmentor, kwargs: dict) -> None:
    """No backbone parameter, and every other one, once."""
    optimized = groups_of(model, wrap(model, **kwargs))
    assert set(optimized) == {
        name for name, _ in model.named_parameters() if not name.startswith('backbone')}
    assert any(name.startswith('backbone') for name, _ in model.named_parameters())


def test_paramwise_settings_reach_their_parameters(model: FewShotSegmentor) -> None:
    """Settings by name and by kind of layer work as in MMEngine's constructor."""
    groups = groups_of(model, wrap(model, paramwise_cfg=PARAMWISE))
    for name, group in groups.items():
        in_neck = name.startswith('neck')
        assert group['lr'] == pytest.approx(1e-4 if in_neck else 1e-3), name
        if not in_neck:
            decay = 0.0 if name.startswith('seg_head') else 0.1
            assert group['weight_decay'] == pytest.approx(decay), name
    reference = groups_of(model, build_optim_wrapper(model, dict(
        optimizer=dict(type='Adam', lr=1e-3, weight_decay=0.1),
        paramwise_cfg=PARAMWISE)))
    for name, group in groups.items():
        for key in ('lr', 'weight_decay'):
            assert group[key] == reference[name][key], (name, key)


def test_parameters_frozen_elsewhere(model: FewShotSegmentor) -> None:
    """Freezing is by parameter: a module may be frozen in part."""
    model.neck.requires_grad_(False)
    frozen = model.seg_head.layers[0].weight.requires_grad_(False)
    optimized = groups_of(model, wrap(model))
    assert not any(name.startswith('neck') for name in optimized)
    assert 'seg_head.layers.0.weight' not in optimized and not frozen.requires_grad
    assert 'seg_head.layers.0.bias' in optimized
    assert 'seg_head.layers.2.weight' in optimized


def test_unfrozen_backbone_trains(tiny_model: dict) -> None:
    """``frozen=False`` brings the backbone to the optimizer."""
    tiny_model['backbone']['frozen'] = False
    model = MODELS.build(tiny_model)
    optimized = groups_of(model, wrap(model))
    assert set(optimized) == {
        name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert 'backbone.cls_token' in optimized


class Distributed(nn.Module):
    """As a wrapper for distributed training holds the model."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module


def test_wrapped_model(model: FewShotSegmentor) -> None:
    """The same parameters by the same names below a wrapper."""
    optim_wrapper = wrap(Distributed(model), paramwise_cfg=PARAMWISE)
    groups = groups_of(model, optim_wrapper)
    assert set(groups) == {
        name for name, _ in model.named_parameters() if not name.startswith('backbone')}
    assert groups['neck.project.0.weight']['lr'] == pytest.approx(1e-4)


def test_a_step_moves_what_trains_alone(model: FewShotSegmentor) -> None:
    """After a step the backbone is as it was, weight decay or not."""
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optim_wrapper = wrap(model)
    loss = sum(parameter.square().sum() for parameter in model.parameters())
    optim_wrapper.update_params(loss)
    for name, parameter in model.named_parameters():
        assert torch.equal(before[name], parameter) == (
            name.startswith('backbone') or not before[name].any()), name
