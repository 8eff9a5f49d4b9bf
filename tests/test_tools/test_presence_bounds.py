"""presence_bounds.py on made images, and its parts against slow ones."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch

TOOL = 'tools/analysis_tools/presence_bounds.py'
CONFIG = 'configs/wsfs/dinov2-vit-s_pascal5i_1shot_quick_plus{}.py'
TINY = (
    'model.backbone._delete_=True', 'model.backbone.type=DINOVisionTransformer',
    'model.backbone.patch_size=14', 'model.backbone.img_size=56',
    'model.backbone.arch.embed_dims=24', 'model.backbone.arch.num_layers=2',
    'model.backbone.arch.num_heads=3', 'model.backbone.arch.feedforward_channels=48',
    'test_dataloader.dataset.num_episodes=20')


@pytest.fixture
def tool():
    """The tool as a module."""
    path = Path(__file__).parents[2] / TOOL
    spec = importlib.util.spec_from_file_location('presence_bounds', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_best_exact_ratio(tool):
    """Over all thresholds; equal scores are called alike."""
    rng = np.random.RandomState(0)
    scores = rng.randint(0, 8, 40) / 8
    presence = rng.rand(40) < scores
    expected = max(
        100 * np.mean((scores > threshold) == presence)
        for threshold in [-1, *np.unique(scores)])
    assert tool.best_exact_ratio(scores, presence) == pytest.approx(expected)
    assert tool.best_exact_ratio(np.zeros(4), np.array([True, False] * 2)) == 50


def test_probe_leaves_its_own_image_out(tool):
    """The closed form equals a regression without the image, its ridge as it was."""
    generator = torch.Generator().manual_seed(0)
    cls = torch.randn(12, 30, generator=generator, dtype=torch.double)
    tags = torch.rand(12, 2, generator=generator) < 0.5
    found = tool.probe_scores(cls, tags)
    centred = cls - cls.mean(dim=0)
    truth = tags.double() - tags.double().mean(dim=0)
    ridge = tool.RIDGE * (centred**2).sum(dim=1).mean()
    for left_out in range(12):
        rest = [i for i in range(12) if i != left_out]
        x = centred[rest]
        weights = torch.linalg.solve(
            x.T @ x + ridge * torch.eye(30, dtype=torch.double), x.T @ truth[rest])
        torch.testing.assert_close(found[left_out], centred[left_out] @ weights)


def test_on_made_images(run_tool, tiny_voc, monkeypatch, tmp_path, capsys):
    """Every way of telling presence, on the episodes of the test."""
    monkeypatch.setenv('MMWSFS_DATA_ROOT', str(tiny_voc))
    monkeypatch.setenv('MMWSFS_SPLITS', 'tiny')
    episodes = tmp_path / 'episodes.csv'
    episodes.write_text('score_1,present_1\n0.9,1\n0.2,0\n')
    run_tool(TOOL, CONFIG.format('_pixel'), '--fold', '1', '--work-dir', tmp_path,
             '--episodes', episodes, '--cfg-options', *TINY)
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found['episodes'] == 20
    for name in ('cosine', 'prior', 'object', 'probe'):
        assert 0 <= found[name]['presence_AUC'] <= 100
        assert 50 <= found[name]['best_exact_ratio'] <= 100
    assert found['model'] == dict(presence_AUC=100., best_exact_ratio=100.)


def test_a_model_without_prior_and_metric(run_tool, tiny_voc, monkeypatch, tmp_path):
    """It is told which config to take."""
    monkeypatch.setenv('MMWSFS_DATA_ROOT', str(tiny_voc))
    monkeypatch.setenv('MMWSFS_SPLITS', 'tiny')
    with pytest.raises(SystemExit, match='plus_pixel'):
        run_tool(TOOL, CONFIG.replace('_plus{}', ''), '--fold', '1', '--work-dir',
                 tmp_path, '--cfg-options', *TINY)
