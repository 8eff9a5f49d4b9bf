"""tools/model_converters/publish_model.py: a run's checkpoint without the run."""
from __future__ import annotations

import hashlib
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import CheckpointLoader
from tool_runs import read_metrics

TOOL = 'tools/model_converters/publish_model.py'


@pytest.fixture
def trained(tiny_config: Config, run_tool, tmp_path: Path) -> tuple[Path, Path]:
    """A config, and the checkpoint of a run of two steps."""
    tiny_config.param_scheduler = [dict(type='LinearLR', by_epoch=False, end=2)]
    tiny_config.default_hooks.checkpoint = dict(
        type='CheckpointHook', by_epoch=False, interval=2)
    config = tmp_path / 'tiny.py'
    tiny_config.dump(config)
    run_tool('tools/train.py', config)
    return config, Path(tiny_config.work_dir) / 'iter_2.pth'


@pytest.fixture
def publish(run_tool, tmp_path: Path) -> Callable[..., Path]:
    """Runs the tool; gives the one file that it wrote."""
    def run(src: Path, name: str = 'model.pth') -> Path:
        out = tmp_path / 'published' / str(len(list(tmp_path.glob('published/*'))))
        run_tool(TOOL, src, out / name)
        path, = out.iterdir()
        return path
    return run


def save(path: Path, **content) -> Path:
    torch.save(content, path)
    return path


def scores(work_dir: Path) -> dict[str, float]:
    return {key: value for key, value in read_metrics(work_dir).items()
            if 'time' not in key}


def test_published_file_is_tested_like_the_runs(
        trained, publish, run_tool, tmp_path) -> None:
    """The published weights load strictly and score the same."""
    config, src = trained
    before = src.read_bytes()
    path = publish(src)
    for name, checkpoint in (('run', src), ('published', path)):
        run_tool('tools/test.py', config, checkpoint, '--work-dir', tmp_path / name)
    assert scores(tmp_path / 'published') == scores(tmp_path / 'run')
    assert src.read_bytes() == before


def test_what_is_kept(trained, publish, capsys) -> None:
    """Weights, config, classes, versions: plain values, half of the size at most."""
    _, src = trained
    path = publish(src)
    printed = capsys.readouterr().out
    checkpoint = torch.load(path, weights_only=True)
    whole = CheckpointLoader.load_checkpoint(str(src))
    assert whole.keys() == {
        'meta', 'state_dict', 'message_hub', 'optimizer', 'param_schedulers'}
    assert checkpoint.keys() == {'meta', 'state_dict'}
    assert checkpoint['state_dict'].keys() == whole['state_dict'].keys()
    for name, value in whole['state_dict'].items():
        assert torch.equal(checkpoint['state_dict'][name], value)
    meta = checkpoint['meta']
    assert meta.keys() == {'cfg', 'dataset_meta', 'epoch', 'iter', 'mmengine_version',
                           'mmwsfs_version', 'selection'}
    assert all(meta[key] == whole['meta'][key] for key in meta if key in whole['meta'])
    assert len(meta['dataset_meta']['classes']) == 20 and 'type=' in meta['cfg']
    assert path.stat().st_size < 0.5 * src.stat().st_size
    for name in ('optimizer', 'param_schedulers', 'message_hub', 'meta.seed'):
        assert name in printed.split('left out: ')[1].splitlines()[0].split(', ')
    assert path.name in printed


def test_name_and_hash(publish, tmp_path) -> None:
    """NAME-1a2b3c4d.pth, with its own hash; the same again, however it is called."""
    src = save(tmp_path / 'a.pth', meta=dict(cfg='x = 1'), state_dict=dict(
        a=torch.arange(5.)), optimizer=dict(state={}))
    paths = [publish(src, name) for name in ('model.pth', 'other.pth', 'name', 'v1.0')]
    for path, stem in zip(paths, ('model', 'other', 'name', 'v1.0')):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        assert path.name == f'{stem}-{digest[:8]}.pth'
        assert zipfile.is_zipfile(path)
    assert len({path.read_bytes() for path in paths}) == 1
    # torch.hub checks a download by this name.
    url = paths[0].as_uri()
    loaded = torch.hub.load_state_dict_from_url(
        url, model_dir=str(tmp_path / 'hub'), check_hash=True, progress=False)
    assert torch.equal(loaded['state_dict']['a'], torch.arange(5.))


def test_other_meta(publish, tmp_path) -> None:
    """A converted checkpoint's origin stays, as do other packages' versions and numpy
    values; averaged weights are in the state dict, the others go."""
    src = save(
        tmp_path / 'a.pth',
        meta=dict(source='cst.ckpt', mmseg_version='1.2', mmwsfs_version='0.0.1',
                  seed=3, time='now', experiment_name='secret',
                  dataset_meta=dict(palette=np.arange(3))),
        state_dict=dict(a=torch.ones(1)), ema_state_dict=dict(a=torch.zeros(1)))
    whole = CheckpointLoader.load_checkpoint(str(publish(src)))
    assert whole['meta'].keys() == {
        'source', 'mmseg_version', 'mmwsfs_version', 'dataset_meta'}
    assert whole['meta']['mmwsfs_version'] == '0.0.1'
    assert whole['meta']['dataset_meta']['palette'].tolist() == [0, 1, 2]
    assert whole['state_dict'] == dict(a=torch.ones(1))
    assert whole.keys() == {'meta', 'state_dict'}


def test_without_meta(publish, tmp_path) -> None:
    """Weights alone are published with the version that did it."""
    src = save(tmp_path / 'a.pth', state_dict=dict(a=torch.ones(1)))
    checkpoint = torch.load(publish(src), weights_only=True)
    assert checkpoint['meta'].keys() == {'mmwsfs_version'}


# ------------------------------------------------------------- errors
@pytest.mark.parametrize('content', [
    dict(a=torch.ones(1)), dict(state_dict={}), dict(state_dict=None)])
def test_no_state_dict(run_tool, tmp_path, content) -> None:
    src = save(tmp_path / 'a.pth', **content)
    with pytest.raises(SystemExit, match=r"a\.pth' holds no 'state_dict'"):
        run_tool(TOOL, src, tmp_path / 'b.pth')
    assert list(tmp_path.iterdir()) == [src]


def test_missing_truncated_and_foreign_files(run_tool, tmp_path) -> None:
    """The file is named, nothing is written."""
    src = tmp_path / 'a.pth'
    with pytest.raises(SystemExit, match=r"a\.pth' does not exist"):
        run_tool(TOOL, src, tmp_path / 'b.pth')
    whole = save(src, state_dict=dict(a=torch.ones(1000))).read_bytes()
    for content in (whole[:len(whole) // 2], b'', b'no checkpoint'):
        src.write_bytes(content)
        with pytest.raises(SystemExit, match=r"a\.pth' is truncated, or is no"):
            run_tool(TOOL, src, tmp_path / 'b.pth')
    save(src, state_dict=dict(a=torch.ones(1)), hook=re.compile('x'))
    with pytest.raises(SystemExit, match=r"a\.pth' is refused.*re\._compile"):
        run_tool(TOOL, src, tmp_path / 'b.pth')
    assert list(tmp_path.iterdir()) == [src]


def test_targets(run_tool, tmp_path) -> None:
    """A folder, or SRC itself."""
    src = save(tmp_path / 'a.pth', state_dict=dict(a=torch.ones(1)))
    with pytest.raises(SystemExit, match='is a folder: name a file'):
        run_tool(TOOL, src, tmp_path)
    with pytest.raises(SystemExit, match='is the file to read'):
        run_tool(TOOL, src, src)
    assert list(tmp_path.iterdir()) == [src]
