"""Downloads: of bounded size and time, of the right digest, whole or not there."""
from __future__ import annotations

import hashlib
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from web_server import body, redirect, serve

from mmwsfs.utils.download import cached_file, download, expected_digest

CONTENT = bytes(range(256)) * 40
DIGEST = hashlib.sha256(CONTENT).hexdigest()


def fetch(url: str, **limits) -> bytes:
    return b''.join(download(url, **limits))


def silent(handler: BaseHTTPRequestHandler) -> None:
    """Begins an answer, and leaves it there."""
    body(CONTENT, len(CONTENT) + 1)(handler)
    time.sleep(2)


def dripping(handler: BaseHTTPRequestHandler) -> None:
    """Is never silent, and never ready."""
    body(b'', 10**4)(handler)
    for _ in range(100):
        handler.wfile.write(b'.')
        time.sleep(0.05)


def endless(handler: BaseHTTPRequestHandler) -> None:
    """Does not say how much there will be."""
    handler.send_response(200)
    handler.end_headers()
    for _ in range(1000):
        handler.wfile.write(CONTENT)


def cut_in_a_chunk(handler: BaseHTTPRequestHandler) -> None:
    handler.protocol_version = 'HTTP/1.1'
    handler.send_response(200)
    handler.send_header('Transfer-Encoding', 'chunked')
    handler.end_headers()
    handler.wfile.write(b'1000\r\n' + CONTENT[:100])
    handler.close_connection = True


def missing(handler: BaseHTTPRequestHandler) -> None:
    handler.send_error(404)


def test_whole_files_come() -> None:
    """By way of a redirect, and whether or not the server says how long they are."""
    def open_ended(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(CONTENT)

    with serve(body(CONTENT), {'/a': redirect('/b'), '/c': open_ended}) as url:
        for name in 'abc':
            assert fetch(f'{url}/{name}#sha256={DIGEST}') == CONTENT


@pytest.mark.parametrize(('answer', 'reason'), [
    (silent, 'silent for 0.4 seconds'),
    (dripping, r'only \d+ bytes came in \d seconds'),
    (endless, 'more than the 20000 bytes allowed'),
    (body(b'', 30000), 'it has 30000 bytes, more than the 20000 allowed'),
    (body(CONTENT[:-1], len(CONTENT)), 'cut off after 10239 of 10240 bytes'),
    (cut_in_a_chunk, 'IncompleteRead'),
    (missing, 'Not Found'),
    (redirect('file:///etc/passwd'), 'not allowed|not followed'),
    (redirect('ftp://127.0.0.1/x'), 'not followed'),
    (redirect('data:,x'), 'not allowed|not followed'),
    (redirect('/again'), 'redirect'),
])
def test_what_is_not_whole_is_told(tmp_path: Path, monkeypatch, answer, reason) -> None:
    """In one error that names the URL and the reason; and nothing is left of it."""
    limits = dict(max_bytes=20000, timeout=0.4)
    with serve(answer) as url:
        with pytest.raises(OSError, match=f"cannot fetch '{url}/x.pth': .*({reason})"):
            fetch(f'{url}/x.pth', **limits)
        monkeypatch.setattr(
            'mmwsfs.utils.download.download', lambda url, **more: download(
                url, **limits, **more))
        with pytest.raises(OSError, match='cannot fetch'):
            cached_file(f'{url}/x.pth', tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('url', [
    'file:///etc/passwd', 'ftp://127.0.0.1/x', 'data:,x', 'x', 'http://', 'http:///x',
    'http://127.0.0.1:x/', 'http://[/', 'http://a b/', 'http://127.0.0.1/\n'])
def test_other_urls_are_refused(url: str) -> None:
    """No file of this machine comes by a URL, and none brings a trace."""
    with pytest.raises((OSError, ValueError)):
        fetch(url)


@pytest.mark.parametrize('name', [
    f'x.pth#sha256={"0" * 64}', 'x-0123456a.pth', f'x-{"a" * 64}.pth'])
def test_another_digest(tmp_path: Path, name: str) -> None:
    """Both digests are named, and the file is not kept."""
    with serve(body(CONTENT)) as url, pytest.raises(
            ValueError, match=f'{url}.*has the sha256 {DIGEST}, but [0-9a]+ is exp'):
        cached_file(f'{url}/{name}', tmp_path)
    assert not list(tmp_path.iterdir())


def test_digest_of_a_kept_file(tmp_path: Path) -> None:
    """What is in the cache is compared, too: many URLs end with one name."""
    (tmp_path / 'x.pth').write_bytes(b'other')
    with pytest.raises(ValueError, match=r"x\.pth', kept of 'http.*delete it"):
        cached_file(f'http://127.0.0.1/x.pth#sha256={DIGEST}', tmp_path)
    (tmp_path / 'x.pth').write_bytes(CONTENT)
    assert cached_file(f'http://127.0.0.1/x.pth#sha256={DIGEST.upper()}', tmp_path) == (
        tmp_path / 'x.pth', False)


@pytest.mark.parametrize(('url', 'digest'), [
    ('http://a/x.pth', ''), ('http://a/x-1234abcd.pth', '1234abcd'),
    ('http://a/x-20210531.pth', ''),  # a date
    ('http://a/x-base.pth', ''), (f'http://a/x-1234abcd.pth#sha256={DIGEST}', DIGEST)])
def test_expected_digests(url: str, digest: str) -> None:
    assert expected_digest(url) == digest


@pytest.mark.parametrize('digest', ['', '12', 'z' * 64])
def test_a_digest_that_is_none(digest: str) -> None:
    """A cut one must not pass for every file."""
    with pytest.raises(ValueError, match='not of 64 hex digits'):
        expected_digest(f'http://a/x.pth#sha256={digest}')


@pytest.mark.parametrize('path', ['', '/', '/a/', '/..', '/a/..', '/.'])
def test_urls_without_a_file(tmp_path: Path, path: str) -> None:
    """Nothing is written beside the folder."""
    with pytest.raises(ValueError, match='names no file'):
        cached_file(f'http://127.0.0.1{path}', tmp_path / 'in')
    assert not list(tmp_path.iterdir())
