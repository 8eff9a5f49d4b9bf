"""AmpOptimWrapper: mixed precision on any machine."""
from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.optim import build_optim_wrapper
from mmengine.registry import OPTIM_WRAPPERS as ROOT
from mmengine.runner import Runner
from torch import nn

from mmwsfs.datasets import Pascal5iDataset
from mmwsfs.engine import CPUAmpOptimWrapper
from mmwsfs.engine.optim import amp_optim_wrapper
from mmwsfs.registry import MODELS


@pytest.fixture
def on_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without accelerator, whatever the real one has."""
    monkeypatch.setattr(amp_optim_wrapper, 'get_device', lambda: 'cpu')


def test_linear_step(on_cpu: None) -> None:
    """Built as a runner builds it; computes in bfloat16, updates float32 weights."""
    torch.manual_seed(0)
    model = nn.Linear(4, 3)
    optim_wrapper = ROOT.build(dict(
        type='AmpOptimWrapper', loss_scale='dynamic', dtype='float16',
        optimizer=torch.optim.SGD(model.parameters(), lr=0.5)))
    assert isinstance(optim_wrapper, CPUAmpOptimWrapper)
    data, before = torch.randn(5, 4), model.weight.detach().clone()
    with optim_wrapper.optim_context(model):
        out = model(data)
        assert out.dtype == torch.bfloat16
        loss = out.float().square().mean()
    assert model(data).dtype == torch.float32  # outside of the context
    expected = torch.autograd.grad(
        model(data).square().mean(), model.weight)[0] * 0.5
    optim_wrapper.update_params(loss)
    assert model.weight.dtype == torch.float32
    # The step is not scaled by anything.
    moved = before - model.weight.detach()
    assert torch.allclose(moved, expected, atol=0.02 * expected.abs().max())


def test_gradient_accumulation(on_cpu: None) -> None:
    """Other arguments of optimizer wrappers still work."""
    model = nn.Linear(2, 1)
    optim_wrapper = ROOT.build(dict(
        type='AmpOptimWrapper', accumulative_counts=2,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.5)))
    before = model.weight.detach().clone()
    for unchanged in (True, False):
        with optim_wrapper.optim_context(model):
            loss = model(torch.ones(1, 2)).sum()
        optim_wrapper.update_params(loss)
        assert torch.equal(model.weight.detach(), before) == unchanged


def test_train_step_of_the_model(
        on_cpu: None, tiny_model: dict, tiny_dataset: Callable[..., Pascal5iDataset],
        make_pipeline: Callable[..., list[dict]]) -> None:
    """The whole model trains in mixed precision; its losses are float32."""
    dataset = tiny_dataset(split='trn', pipeline=make_pipeline())
    torch.manual_seed(0)
    model = MODELS.build(tiny_model)
    model.supervision = 'image'
    optim_wrapper = build_optim_wrapper(model, dict(
        type='AmpOptimWrapper', loss_scale='dynamic',
        constructor='TrainableOptimWrapperConstructor',
        optimizer=dict(type='Adam', lr=1e-3)))
    dtypes = []
    model.seg_head.layers[0].register_forward_hook(
        lambda module, args, out: dtypes.append(out.dtype))
    before = model.seg_head.layers[0].weight.detach().clone()
    logs = model.train_step(
        pseudo_collate([dataset[0], dataset[1]]), optim_wrapper)
    assert dtypes == [torch.bfloat16]
    assert logs['loss'].dtype == torch.float32 and logs['loss'].isfinite()
    assert not torch.equal(model.seg_head.layers[0].weight, before)


def test_runner_with_amp(on_cpu: None, tiny_config: Config) -> None:
    """What ``--amp`` of the tools does to a config."""
    tiny_config.optim_wrapper.update(type='AmpOptimWrapper', loss_scale='dynamic')
    runner = Runner.from_cfg(tiny_config)
    runner.train()
    assert isinstance(runner.optim_wrapper, CPUAmpOptimWrapper)
    losses = runner.message_hub.get_scalar('train/loss').data[0]
    assert len(losses) == 2 and all(loss > 0 for loss in losses)


def test_with_an_accelerator_it_is_mmengines(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a GPU MMEngine's own is built, with all arguments."""
    monkeypatch.setattr(amp_optim_wrapper, 'get_device', lambda: 'cuda')
    monkeypatch.setattr(amp_optim_wrapper, '_AmpOptimWrapper', dict)
    built = amp_optim_wrapper.build_amp_optim_wrapper(
        loss_scale='dynamic', dtype='bfloat16', optimizer='any')
    assert built == dict(loss_scale='dynamic', dtype='bfloat16', optimizer='any')
