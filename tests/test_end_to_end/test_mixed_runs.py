"""Mixed supervision through the tools, with a tiny backbone on made images."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from free_port import free_port
from interrupted import killed, nth_call
from mmengine.runner import CheckpointLoader, IterBasedTrainLoop
from tool_runs import REPOSITORY, environment, read_report

from mmwsfs.apis import init_model
from mmwsfs.datasets.demo_shapes import make_demo_shapes
from mmwsfs.models import DiscriminantMetric
from mmwsfs.models.pseudo_labels import enhancer_training
from mmwsfs.utils.checkpoint_file import read_checkpoint

CONFIG = """
_base_ = '{repository}/configs/wsfs/vit-s_demo_1shot_mixed10.py'
model = dict(
    backbone=dict(
        _delete_=True, type='DINOVisionTransformer', patch_size=14, img_size=56,
        arch=dict(embed_dims=24, num_layers=2, num_heads=3, feedforward_channels=48)),
    prototypes=dict(type='PrototypeMaps'),
    metric=dict(type='DiscriminantMetric'),
    labeler=dict(steps=6, probe=dict(layers=(0, 1))))
train_dataloader = dict(batch_size=4)
test_dataloader = dict(batch_size=3, dataset=dict(num_episodes=10))
val_dataloader = val_cfg = val_evaluator = None
train_cfg = dict(max_iters=4)
default_hooks = dict(
    logger=dict(interval=1), checkpoint=dict(interval=2, max_keep_ckpts=5))
custom_hooks = [dict(type='PseudoLabelEnhancerHook', num_pictures=2)]
"""
# The enhancer's training made as small.
SMALL = dict(INTERVAL=2, BATCH_SIZE=4, PARTNERS=2)
# The same in a process of its own, which then runs a tool.
PLAIN = f"""
import runpy, sys
from mmwsfs.models.pseudo_labels import enhancer_training
for name, value in {SMALL}.items():
    setattr(enhancer_training, name, value)
sys.path.insert(0, 'tools')
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name='__main__')
"""
NO_THREAD_IS_LEFT = """
from pathlib import Path
names = [path.read_text() for path in Path('/proc/self/task').glob('*/comm')]
assert not any('gloo' in name for name in names), names
"""
PLACES = dict(
    trainer=enhancer_training.EnhancerTrainer, metric=DiscriminantMetric,
    loop=IterBasedTrainLoop)


@pytest.fixture(autouse=True)
def small_training(monkeypatch) -> None:
    """Of the enhancer, in this process."""
    for name, value in SMALL.items():
        monkeypatch.setattr(enhancer_training, name, value)


@pytest.fixture(scope='module')
def tiny(tmp_path_factory) -> tuple[Path, Path]:
    """A mixed config made tiny, and the root of its data."""
    folder = tmp_path_factory.mktemp('mixed')
    make_demo_shapes(folder / 'demo_shapes', train_images=10, val_images=20, size=96)
    config = folder / 'tiny.py'
    config.write_text(CONFIG.format(repository=REPOSITORY))
    return config, folder


@pytest.fixture
def trained(tiny, run_tool, monkeypatch, one_thread) -> Path:
    """Work dir of an uninterrupted run of both stages."""
    config, data_root = tiny
    monkeypatch.setenv('MMWSFS_DATA_ROOT', str(data_root))
    work_dir = data_root / 'whole'
    if not work_dir.exists():
        run_tool('tools/train.py', config, '--work-dir', work_dir)
    return work_dir


def weights(work_dir: Path, iteration: int) -> dict[str, torch.Tensor]:
    path = work_dir / f'iter_{iteration}.pth'
    return CheckpointLoader.load_checkpoint(str(path), 'cpu')['state_dict']


def assert_equal(first: dict, second: dict) -> None:
    assert first.keys() == second.keys()
    for name in first:
        assert torch.equal(first[name], second[name]), name


def test_what_a_run_leaves(trained, tiny):
    """List, network, metric, scalars of both stages, pictures; all in the checkpoint.
    """
    names = (trained / 'masked_images.txt').read_text().split()
    assert len(names) == len(set(names)) >= 10
    enhancer = read_checkpoint(trained / 'enhancer/best.pth')
    assert enhancer['meta']['images'] == len(names)
    for step in (2, 4):  # learned before, frozen since
        held = {
            name.removeprefix('labeler.enhancer.'): value
            for name, value in weights(trained, step).items() if 'enhancer' in name}
        assert_equal(held, enhancer['state_dict'])
    metrics = [weights(trained, step)['metric.matrix'] for step in (2, 4)]
    assert torch.equal(*metrics) and not torch.equal(
        metrics[0], torch.eye(24).repeat(2, 1, 1))
    run = next(path for path in trained.iterdir() if path.name[:2] == '20')
    scalars = [json.loads(line)
               for line in (run / 'vis_data/scalars.json').read_text().splitlines()]
    first = [row for row in scalars if 'enhancer/loss' in row]
    assert [row['step'] for row in first] == [2, 4, 6]
    assert all(0 <= row[f'enhancer/{role}_iou'] <= 100
               for row in first for role in ('support', 'query'))
    second = [row for row in scalars if 'loss' in row]
    assert len(second) == 4
    assert all('pseudo_support_coverage' in row for row in second)
    assert any(0 <= row.get('pseudo_support_iou', -1) <= 1 for row in second)
    assert len(list((trained / 'pseudo_labels').glob('*.png'))) == 2


@pytest.mark.parametrize('place, name, count', [
    ('trainer', '_train_step', 5),  # between two states
    ('trainer', '_validate', 1),
    ('trainer', 'train', 1),  # stage 1 is done, stage 2 has not begun
    ('metric', 'fit_to', 1),
    ('loop', 'run_iter', 3),  # after the first checkpoint
])
def test_killed_and_resumed(trained, tiny, run_tool, tmp_path, place, name, count):
    """Killed in either stage and resumed: the weights of the uninterrupted run."""
    arguments = [str(tiny[0]), '--work-dir', str(tmp_path)]

    def train_until() -> None:
        with pytest.MonkeyPatch.context() as patch:
            nth_call(patch, PLACES[place], name, count,
                     lambda: os.kill(os.getpid(), signal.SIGKILL))
            run_tool('tools/train.py', *arguments)

    killed(train_until)
    assert not (tmp_path / 'iter_4.pth').exists()
    assert (tmp_path / 'iter_2.pth').exists() == (place == 'loop')
    run_tool('tools/train.py', *arguments, '--resume')
    assert_equal(weights(tmp_path, 4), weights(trained, 4))


def test_masks_of_other_images_may_be_gone(trained, tiny, run_tool, tmp_path,
                                           monkeypatch):
    """No mask is opened but those of the list; a list equals the share."""
    shutil.copytree(tiny[1] / 'demo_shapes', tmp_path / 'demo_shapes')
    masked = (trained / 'masked_images.txt').read_text().split()
    lists = (tmp_path / 'demo_shapes').rglob('trn/fold*.txt')
    base = {line.split('__')[0] for path in lists
            for line in path.read_text().splitlines()}
    gone = 0
    for path in (tmp_path / 'demo_shapes').rglob('*.png'):
        if path.stem in base - set(masked):
            path.unlink()
            gone += 1
    assert gone >= 20
    shutil.copy(trained / 'masked_images.txt', tmp_path / 'demo_shapes')
    monkeypatch.setenv('MMWSFS_DATA_ROOT', str(tmp_path))
    run_tool(
        'tools/train.py', tiny[0], '--work-dir', tmp_path / 'work', '--cfg-options',
        'train_dataloader.dataset.masks=masked_images.txt')
    assert_equal(weights(tmp_path / 'work', 4), weights(trained, 4))


def test_the_cache_changes_next_to_nothing(trained, tiny, run_tool, tmp_path):
    """Without a cache the features are not rounded to half precision."""
    run_tool('tools/train.py', tiny[0], '--work-dir', tmp_path, '--cfg-options',
             'model.cache=None', 'train_cfg.max_iters=2')
    name = 'labeler.enhancer.layers.0.weight'
    difference = (weights(tmp_path, 2)[name] - weights(trained, 2)[name]).abs()
    # Adam moves a weight by 1e-3 a step, the sign of a tiny gradient may change.
    assert difference.mean() < 1e-4 and difference.max() < 4e-3


def test_testing_labels_supports_by_the_enhancer(trained, tiny, run_tool, tmp_path):
    """Supports carry no mask; a model built by the API is of mixed supervision too."""
    checkpoint = trained / 'iter_4.pth'
    run_tool('tools/test.py', tiny[0], checkpoint, '--work-dir', tmp_path)
    assert read_report(tmp_path)['supervision'] == 'mixed'
    model = init_model(tiny[0], checkpoint)
    assert model.supervision == 'mixed'
    best = read_checkpoint(trained / 'enhancer/best.pth')['state_dict']
    assert_equal(dict(model.labeler.enhancer.state_dict()), best)


def test_the_first_stage_alone_and_its_reuse(trained, tiny, run_tool, tmp_path):
    """tools/train_enhancer.py gives the same network; another run takes it."""
    run_tool('tools/train_enhancer.py', tiny[0], '--work-dir', tmp_path / 'alone')
    alone = read_checkpoint(tmp_path / 'alone/enhancer/best.pth')
    whole = read_checkpoint(trained / 'enhancer/best.pth')
    assert_equal(alone['state_dict'], whole['state_dict'])
    assert not list((tmp_path / 'alone').glob('iter_*.pth'))
    init_cfg = 'model.labeler.enhancer.init_cfg'
    run_tool(
        'tools/train.py', tiny[0], '--work-dir', tmp_path / 'reuse', '--cfg-options',
        f'{init_cfg}.type=Pretrained',
        f"{init_cfg}.checkpoint={tmp_path / 'alone/enhancer/best.pth'}")
    assert not (tmp_path / 'reuse/enhancer').exists()
    assert_equal(weights(tmp_path / 'reuse', 4), weights(trained, 4))


def test_the_first_stage_on_two_processes(trained, tiny, tmp_path):
    """One of them trains the network, which is the same; the other waits.

    No thread of theirs outlives the tool: gloo's would abort it now and then.
    """
    script = tmp_path / 'plain.py'
    script.write_text(PLAIN + NO_THREAD_IS_LEFT)
    subprocess.run(
        [sys.executable, '-m', 'torch.distributed.run', '--nproc_per_node=2',
         f'--master_port={free_port()}', script, 'tools/train_enhancer.py', tiny[0],
         '--work-dir', tmp_path / 'two', '--launcher', 'pytorch'],
        check=True, cwd=REPOSITORY, timeout=300,
        env=environment(OMP_NUM_THREADS=torch.get_num_threads()))
    assert_equal(*(
        read_checkpoint(work_dir / 'enhancer/best.pth')['state_dict']
        for work_dir in (tmp_path / 'two', trained)))


def test_a_state_of_another_training_is_refused(trained, tiny, run_tool, tmp_path):
    """Resuming with other settings would mix two trainings."""
    (tmp_path / 'enhancer').mkdir()
    shutil.copy(trained / 'enhancer/last.pth', tmp_path / 'enhancer')
    with pytest.raises(ValueError, match='last.pth.*other settings'):
        run_tool('tools/train.py', tiny[0], '--work-dir', tmp_path, '--resume',
                 '--cfg-options', 'train_dataloader.dataset.masks=0.6')


def test_the_labeler_must_have_a_network(trained, tiny, run_tool, tmp_path):
    """The tool that trains it says what it needs."""
    with pytest.raises(SystemExit, match='has no EnhancedLabeler: give a config'):
        run_tool('tools/train_enhancer.py', tiny[0], '--work-dir', tmp_path,
                 '--cfg-options', 'model.labeler._delete_=True',
                 'model.labeler.type=AttentionLabeler')


def test_real_photographs(shared_data, tiny, run_tool, tmp_path, monkeypatch):
    """The first stage on a part of Pascal-5i, masks for a tenth of the images."""
    monkeypatch.setenv('MMWSFS_DATA_ROOT', str(shared_data))
    monkeypatch.setenv('MMWSFS_SPLITS', 'pascal5i_subset')
    monkeypatch.setenv('MMWSFS_FOLD', '2')
    config = tmp_path / 'real.py'
    text = CONFIG.format(repository=REPOSITORY).replace(
        'vit-s_demo_1shot_mixed10', 'dinov2-vit-s_pascal5i_1shot_quick_mixed10')
    config.write_text(text)
    run_tool('tools/train_enhancer.py', config, '--work-dir', tmp_path / 'work')
    names = (tmp_path / 'work/masked_images.txt').read_text().split()
    best = read_checkpoint(tmp_path / 'work/enhancer/best.pth')
    assert best['meta']['images'] == len(names) < 60
    assert np.isfinite(best['meta']['raw_iou']) and best['meta']['raw_iou'] > 0
