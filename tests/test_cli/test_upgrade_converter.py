"""tools/model_converters/upgrade_checkpoint.py: old weights, the same predictions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from torch import Tensor

from mmwsfs.apis import init_model
from mmwsfs.registry import MODELS

TOOL = 'tools/model_converters/upgrade_checkpoint.py'
LAYERS, WIDTH = 2, 16  # of the tiny model's backbone


@pytest.fixture
def config(tiny_config: Config) -> Config:
    """A model with every part whose weights had other names."""
    tiny_config.model.update(
        metric=dict(type='DiscriminantMetric'), prototypes=dict(type='PrototypeMaps'))
    return tiny_config


@pytest.fixture
def new_weights(config: Config) -> dict[str, Tensor]:
    """A state dict of this release; every tensor is random."""
    torch.manual_seed(0)
    return {
        name: torch.rand_like(value) if value.is_floating_point() else value + 7
        for name, value in MODELS.build(config.model).state_dict().items()}


@pytest.fixture
def old_weights(new_weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same by their old names, with a prior of pairs."""
    old = {}
    for name, value in new_weights.items():
        if name.startswith(('metric.', 'prototypes.')):
            name = f'neck.{name}'
        old[name] = value
    return {
        **old,
        'prior.weight': torch.randn(LAYERS), 'prior.bias': torch.tensor(0.3),
        'prior.num_pairs': torch.tensor(80), 'prior.centre': torch.randn(LAYERS, WIDTH),
        'prior.mean': torch.randn(LAYERS), 'prior.var': torch.rand(LAYERS)}


@pytest.fixture
def upgrade(run_tool, tmp_path: Path) -> Callable[..., Path]:
    """Runs the tool on a file, and gives what it wrote."""
    def run(old: Path, new: Path = tmp_path / 'out/new.pth') -> Path:
        run_tool(TOOL, old, new)
        return new
    return run


def save(content: dict, path: Path) -> Path:
    torch.save(content, path)
    return path


@pytest.mark.parametrize('wrapped', [False, True], ids=['weights', 'checkpoint'])
def test_an_old_checkpoint(
        upgrade, config: Config, old_weights: dict[str, Tensor], tmp_path: Path,
        capsys: pytest.CaptureFixture, wrapped: bool) -> None:
    """It fits the model without a prior, and holds each of its tensors."""
    content = old_weights
    if wrapped:
        content = dict(state_dict=old_weights, meta=dict(iter=9), optimizer={})
    path = save(content, tmp_path / 'old.pth')
    before = path.read_bytes()
    with pytest.raises(ValueError, match='tools/model_converters/upgrade_checkpoint'):
        init_model(config, path)
    new = upgrade(path)
    printed = capsys.readouterr().out
    assert str(new) in printed and 'model.prior=None' in printed
    assert path.read_bytes() == before
    assert torch.load(new, weights_only=True).keys() == {'state_dict'}

    model = init_model(config, new)
    state = model.state_dict()
    kept = {name for name in old_weights if not name.startswith('prior.')}
    for name in kept:
        new_name = name.replace('neck.metric.', 'metric.').replace(
            'neck.prototypes.', 'prototypes.')
        assert torch.equal(state[new_name], old_weights[name]), name


def test_what_needs_no_change_is_copied(
        upgrade, config: Config, new_weights: dict[str, Tensor], tmp_path: Path
        ) -> None:
    """A file of this release, tensor by tensor; and so one that was upgraded."""
    new = upgrade(save(dict(state_dict=new_weights), tmp_path / 'old.pth'))
    again = upgrade(new, tmp_path / 'again.pth')
    for path in (new, again):
        found = torch.load(path, weights_only=True)['state_dict']
        assert list(found) == list(new_weights)
        for name, value in new_weights.items():
            assert torch.equal(found[name], value), name


def test_bad_files_are_refused_in_one_sentence(
        upgrade, old_weights: dict[str, Tensor], tmp_path: Path
        ) -> None:
    """Damaged, missing, of no weights, and targets that cannot be; nothing changes."""
    path = save(old_weights, tmp_path / 'old.pth')
    whole = path.read_bytes()
    (tmp_path / 'cut.pth').write_bytes(whole[:len(whole) // 2])
    save(dict(a=1), tmp_path / 'none.pth')
    files = sorted(tmp_path.iterdir())
    for old, new, message in (
            (tmp_path / 'cut.pth', tmp_path / 'new.pth', "cut.pth' is truncated"),
            (tmp_path / 'absent.pth', tmp_path / 'new.pth', "absent.pth' does not ex"),
            (tmp_path / 'none.pth', tmp_path / 'new.pth', "holds no state dict"),
            (path, tmp_path, 'is a folder: name a file in it'),
            (path, path, 'is the file to read'),
            (path, tmp_path / 'cut.pth/new.pth', 'cut.pth')):
        with pytest.raises(SystemExit) as stopped:
            upgrade(old, new)
        sentence, = str(stopped.value).splitlines()
        assert sentence.startswith('upgrade_checkpoint.py: ') and message in sentence
    assert sorted(tmp_path.iterdir()) == files and path.read_bytes() == whole
