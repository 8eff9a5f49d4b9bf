"""Episodes of a test, exported and replayed through tools/test.py, on real images."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from free_port import free_port
from mmengine.config import Config
from mmengine.registry import DefaultScope
from tool_runs import (
    REPOSITORY,
    environment,
    read_episodes,
    read_metrics,
    read_report,
)
from torch import nn

from mmwsfs.registry import MODELS
from mmwsfs.structures import FewShotDataSample

CONFIG = """
_base_ = '{repository}/configs/wsfs/vit-s_coco20i_1shot.py'
model = dict(
    backbone=dict(
        _delete_=True, type='DINOVisionTransformer', patch_size=8, img_size=64,
        arch=dict(embed_dims=24, num_layers=2, num_heads=3, feedforward_channels=48)))
test_dataloader = dict(
    batch_size=1, num_workers=0, persistent_workers=False,
    dataset=dict(
        ann_files=['coco/annotations/instances_subset.json'],
        restrict_to_existing=True, num_episodes=10, img_size=64))
"""


@pytest.fixture(scope='module')
def tiny(shared_data: Path, tmp_path_factory: pytest.TempPathFactory
         ) -> tuple[Path, Path]:
    """A config with a tiny backbone, and a checkpoint of random weights for it."""
    folder = tmp_path_factory.mktemp('replay')
    config, checkpoint = folder / 'tiny.py', folder / 'random.pth'
    config.write_text(CONFIG.format(repository=REPOSITORY))
    with DefaultScope.overwrite_default_scope('mmwsfs'), torch.random.fork_rng():
        torch.manual_seed(3)
        model = MODELS.build(Config.fromfile(config).model).eval()
        for module in model.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
        make_undecided(model)
    torch.save(dict(state_dict=model.state_dict()), checkpoint)
    return config, checkpoint


@torch.no_grad()
def make_undecided(model: nn.Module) -> None:
    """Move the last biases so that both answers are given about as often."""
    episodes = dict(
        inputs=dict(query=[torch.randint(256, (3, 64, 64)) for _ in range(8)],
                    support=[torch.randint(256, (1, 1, 3, 64, 64)) for _ in range(8)]),
        data_samples=[FewShotDataSample(metainfo=dict(ori_shape=(64, 64)))
                      for _ in range(8)])
    for head in (model.cls_head, model.seg_head):
        last = [m for m in head.modules() if isinstance(m, nn.Conv2d)][-1]
        logits = []
        handle = last.register_forward_hook(
            lambda module, args, output, logits=logits: logits.append(output))
        model.test_step(episodes)
        handle.remove()
        last.bias -= torch.cat(logits).transpose(0, 1).flatten(1).median(1).values


@pytest.fixture
def score(tiny, run_tool, shared_data, monkeypatch, one_thread) -> Callable[..., dict]:
    """Call ``score(work_dir, *arguments)``: the metrics of tools/test.py."""
    monkeypatch.setenv('MMWSFS_DATA_ROOT', str(shared_data))

    def run(work_dir: Path, *arguments) -> dict[str, float]:
        run_tool('tools/test.py', *tiny, '--work-dir', work_dir, *arguments)
        return read_metrics(work_dir)

    return run


def exported(work_dir: Path) -> Path:
    """The episode file of the test in a work dir."""
    (file, ) = work_dir.glob('*/episodes.json')
    return file


def test_replay_gives_the_same_metrics(score, tmp_path):
    """To the last digit, in batches of either size."""
    file, metrics = None, {}
    for size in (1, 4):
        options = ('--way', '2', '--fold', '1', '--cfg-options',
                   f'test_dataloader.batch_size={size}')
        drawn = score(tmp_path / f'drawn{size}', *options)
        file = file or exported(tmp_path / 'drawn1')
        metrics[size] = score(tmp_path / f'again{size}', '--episodes', file, *options)
        assert metrics[size] == drawn
        again = exported(tmp_path / f'again{size}')
        assert json.loads(again.read_text())['episodes'] == json.loads(
            file.read_text())['episodes']
    assert metrics[4] == metrics[1]
    assert drawn['episodes'] == 10
    assert 0 < drawn['exact_ratio'] < 100 and 0 < drawn['mIoU'] < 100


def test_replay_on_two_processes(score, tiny, tmp_path):
    """The same episodes and metrics as on one, to the last digit."""
    options = ('--way', '2', '--fold', '1')
    drawn = score(tmp_path / 'one', *options)
    subprocess.run(
        ['bash', 'tools/dist_test.sh', *tiny, '2', '--work-dir', tmp_path / 'two',
         '--episodes', exported(tmp_path / 'one'), *options],
        check=True, cwd=REPOSITORY, timeout=300,
        env=environment(PORT=free_port(), OMP_NUM_THREADS=1))
    assert read_metrics(tmp_path / 'two') == drawn


def test_replay_of_fs_s(score, tmp_path):
    """In every episode the query shows the first way, and void is left out."""
    options = ('--protocol', 'FS-S', '--shot', '2')
    drawn = score(tmp_path / 'drawn', *options)
    file = exported(tmp_path / 'drawn')
    assert score(tmp_path / 'again', *options, '--episodes', file) == drawn
    report = read_report(tmp_path / 'again')
    assert (report['protocol'], report['void']) == ('FS-S', 'ignored')
    content = json.loads(file.read_text())
    assert (content['protocol'], content['way'], content['shot']) == ('FS-S', 1, 2)
    rows = read_episodes(tmp_path / 'again')
    assert [row['query'][-16:-4] for row in rows] == [
        episode['query'] for episode in content['episodes']]
    assert {row['present_1'] for row in rows} == {'1'}


def test_refused_replays(score, tmp_path):
    """Another protocol than the file's, and no file, end with one clear error."""
    file = tmp_path / 'other.json'
    file.write_text(json.dumps(dict(protocol='FS-CS', episodes=[dict(
        query='000000466137.jpg', classes=['spoon'], supports=[['000000223648']])])))
    assert score(tmp_path / 'run', '--episodes', file)['episodes'] == 1
    with pytest.raises(ValueError, match="has protocol 'FS-CS', but this dataset "
                       r"'FS-S': set the same protocol \(tools/test.py --protocol"):
        score(tmp_path / 'run', '--episodes', file, '--protocol', 'FS-S')
    with pytest.raises(FileNotFoundError, match=r"file '.*/none\.json' does not exist"):
        score(tmp_path / 'run', '--episodes', 'none.json')
    with pytest.raises(SystemExit):
        score(tmp_path / 'run', '--protocol', 'FSS')
