"""A checkpoint's config comes from anybody: it is read, never run, and builds nothing
but what is registered."""
from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from safetensors.torch import save_file

from mmwsfs.apis import FewShotInferencer, init_model
from mmwsfs.utils import checkpoint_loaders

MARK = 'made_by_a_stranger'


@pytest.fixture
def carrying(tiny_config: Config, tmp_path: Path, monkeypatch) -> Callable[..., Path]:
    """Writes a checkpoint that carries a text; the work folder is empty before."""
    monkeypatch.chdir(tmp_path)
    model = init_model(tiny_config).state_dict()

    def write(text: object, weights: dict | None = None) -> Path:
        path = tmp_path / 'foreign.pth'
        torch.save(dict(
            state_dict=model if weights is None else weights,
            meta=dict(cfg=text)), path)
        return path
    return write


def refused(path: Path, words: str, error: type = ValueError) -> None:
    """In one sentence that names the file; nothing was made."""
    with pytest.raises(error, match=words) as caught:
        FewShotInferencer(path, None, 'cpu')
    message = str(caught.value)
    assert '\n' not in message and 'foreign' in message
    assert not Path(MARK).exists()


@pytest.mark.parametrize('text', [
    f"import os\nos.mkdir('{MARK}')\n",
    f"model = __import__('os').mkdir('{MARK}')\n",
    f"model = dict(type=open('{MARK}', 'w'))\n",
    f"model = [open('{MARK}', 'w') for _ in range(1)]\n",
    f"model = dict(a=(lambda: open('{MARK}', 'w'))())\n",
    f"exec(\"open('{MARK}', 'w')\")\n",
    f"model = f\"{{open('{MARK}', 'w')}}\"\n",
    'model = dict(**globals())\n',
    'model = {**globals()}\n',
    "model = dict([('a', 1)])\n",
    'model = 10 ** 10 ** 10\n',
    "model = 'a' * 10 ** 10\n",
    'a.b = 1\n',
    'a = b = 1\n',
    "a, b = 1, 2\n",
    "_base_ = 'x.py'; model = os\n",
    'model = {open: 1}\n',
    'def f(): pass\n',
    'model = (\n', '\0', '(' * 100000, '-' * 100000 + '1', '[' * 300 + ']' * 300,
    "a = 'b'\n" * 200000,
])
def test_texts_that_are_no_plain_values(carrying, text: str) -> None:
    refused(carrying(text), 'is refused')


def change(values: dict, key: str, value: object) -> dict:
    """``values`` with one of them, by its dotted key, replaced."""
    values = copy.deepcopy(values)
    part = values
    *folders, last = key.split('.')
    for name in folders:
        part = part[int(name) if isinstance(part, list) else name]
    part[int(last) if isinstance(part, list) else last] = value
    return values


FIRST = 'test_dataloader.dataset.pipeline.0'


@pytest.mark.parametrize(('key', 'value'), [
    # code by a path to it, which MMEngine would import
    ('model.neck.type', 'os.mkdir'),
    ('model.neck', dict(type='os.mkdir', path=MARK)),
    ('model.neck', dict(type='mmengine.mkdir_or_exist', dir_name=MARK)),
    ('model.neck', dict(type='mmengine.dump', obj=1, file=f'{MARK}.json')),
    ('model.neck.type', 'mmcv.imwrite'),
    ('model.neck.type', 'os'),
    ('model.neck.type', 'builtins.exec'),
    ('model.neck.type', 'mmwsfs.utils.files.write_whole'),
    ('model.neck.type', '__import__("os")'),
    ('model.neck.type', None),
    ('model.neck.type', ['CorrelationTransformer']),
    ('model.seg_head.loss_seg', [dict(type='os.mkdir', path=MARK)]),
    ('model.backbone.layer_cfgs', dict(act_cfg=dict(type='os.mkdir'))),
    ('model.data_preprocessor.type', 'os.mkdir'),
    ('model.labeler.type', 'torch.load'),
    (f'{FIRST}.type', 'os.mkdir'),
    (f'{FIRST}.query.0', dict(type='os.mkdir', path=MARK)),
    (f'{FIRST}.support.0.type', 'mmcv.transforms.LoadImageFromFile'),
    # a registry of another package, which MMEngine would import
    ('default_scope', 'os'),
    ('model._scope_', 'antigravity'),
    ('model.neck._scope_', 'antigravity'),
    # files and servers
    ('model.neck.checkpoint', 'local.pth'),
    ('model.backbone.pretrained', True),
    ('model.backbone.pretrained', 'bert-base'),
    ('model.labeler.checkpoint_path', 'weights.pth'),
    ('model.labeler.file', 'x'),
    ('model.labeler.anything', '/etc/passwd'),
    ('model.labeler.anything', '..\\x'),
    ('model.labeler.anything', 'https://example.org'),
    ('model.labeler.anything', '~root'),
    (f'{FIRST}.query.0.backend_args', dict(backend='http')),
    ('model.backbone.init_cfg', dict(type='Pretrained', checkpoint=['x'])),
    ('model.backbone.init_cfg', dict(type='Pretrained')),
    ('model', 'FewShotSegmentor'),
    ('model', None),
])
def test_what_would_reach_out(
        tiny_config: Config, carrying, key: str, value: object) -> None:
    """Refused by its key, before anything is built."""
    text = Config(change(tiny_config.to_dict(), key, value)).pretty_text
    refused(carrying(text), f'is refused, and nothing of it was built: {key[:10]}')


def test_hostile_metadata_of_safetensors(
        tiny_config: Config, carrying, tmp_path: Path) -> None:
    """The same rules, and its JSON is no way round them."""
    weights = {name: value.clone() for name, value in
               init_model(tiny_config).state_dict().items()}
    path = tmp_path / 'foreign.safetensors'
    for cfg, words in (
            (f"open('{MARK}', 'w')", 'no plain value'),
            (dict(model=dict(type='os.mkdir', path=MARK)), r'type=.os\.mkdir'),
            ({'import os': 1}, 'truncated'), ([], 'carries no config')):
        save_file(weights, path, {'mmwsfs': json.dumps(dict(meta=0, cfg=cfg))})
        refused(path, words)
    for text in ('[]', '{', '[' * 100000, 'null'):
        save_file(weights, path, {'mmwsfs': text})
        refused(path, 'truncated')
    path.write_bytes(path.read_bytes()[:-100])
    refused(path, 'truncated')


def test_imports_and_hooks_are_dropped(tiny_config: Config, carrying) -> None:
    """They are not needed, so not done: the model works without."""
    tiny_config.custom_imports = dict(imports=['antigravity'])
    tiny_config.custom_hooks = [dict(type='os.mkdir', path=MARK)]
    tiny_config.load_from = '/etc/passwd'
    model = init_model(carrying(tiny_config.pretty_text))
    assert 'custom_imports' not in model.cfg and 'custom_hooks' not in model.cfg
    assert not Path(MARK).exists()


@pytest.mark.parametrize('source', [
    '/etc/passwd', 'relative.pth', '~/x.pth', 'file:///etc/passwd', 's3://a/b',
    'torchvision://resnet50', 'C:\\x.pth'])
def test_backbones_of_the_trainers_machine(
        tiny_config: Config, carrying, source: str) -> None:
    """Not looked for where the file holds the backbone; else said in a sentence."""
    tiny_config.model.backbone.init_cfg = dict(type='Pretrained', checkpoint=source)
    weights = init_model(carrying(tiny_config.pretty_text)).state_dict()
    without = {name: value for name, value in weights.items()
               if not name.startswith('backbone.')}
    refused(
        carrying(tiny_config.pretty_text, without),
        f'leaves out its backbone.*{re.escape(source)}.*only its trainer knows')


def test_a_carried_model_of_another_kind(tiny_config: Config, carrying) -> None:
    """A registered class that is no few-shot model is not built."""
    tiny_config.model = dict(type='mmseg.EncoderDecoder', backbone=dict(type='x'))
    refused(carrying(tiny_config.pretty_text), 'is refused')
    tiny_config.model = dict(type='mmseg.EncoderDecoder')
    with pytest.raises(TypeError, match='must be an EpisodeSegmentor'):
        init_model(carrying(tiny_config.pretty_text))


def test_a_config_from_the_web_is_not_run(monkeypatch) -> None:
    """Nor even fetched."""
    monkeypatch.setattr(
        checkpoint_loaders, 'cached_file', lambda *_: pytest.fail('fetched'))
    for name in ('https://example.org/a.py', 'hf://a/b/c.py'):
        with pytest.raises(ValueError, match='which would be run: it is not fetched'):
            init_model(name)


def test_the_texts_are_hostile(tmp_path: Path, monkeypatch) -> None:
    """MMEngine's own reading acts on them, or the tests above would say nothing."""
    monkeypatch.chdir(tmp_path)
    Config.fromstring(f"import os\nos.mkdir('{MARK}')\nmodel = dict()\n", '.py')
    assert Path(MARK).exists()
