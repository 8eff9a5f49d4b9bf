"""Files from the web: of bounded size and time, checked, and whole or not there."""

from __future__ import annotations

import hashlib
import http.client
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO
from urllib import request
from urllib.parse import SplitResult, parse_qs, urlsplit

from mmengine.logging import print_log

from .files import file_sha256, whole_file

MAX_BYTES = 16 << 30  # the largest released backbone, ViT-g, has 4.5 GB
TIMEOUT = 30.  # seconds of silence
MIN_RATE = 1000  # bytes a second, from the first TIMEOUT on
_CHUNK = 1 << 20
# The first digits of the file's sha256, as torch.hub and OpenMMLab put them into names.
# Of decimal digits alone they may be a date.
_NAMED = re.compile(r'-(?=[0-9]*[a-f])([0-9a-f]{8,64})\.\w+$')


class _Redirects(request.HTTPRedirectHandler):
    """Follows to the web alone, and not from https to http."""

    def redirect_request(self, req: request.Request, fp: IO[bytes], code: int,
                         msg: str, headers: http.client.HTTPMessage, newurl: str
                         ) -> request.Request | None:
        before, after = urlsplit(req.full_url).scheme, urlsplit(newurl).scheme
        if after not in ('http', 'https') or (before, after) == ('https', 'http'):
            raise OSError(f"it leads on to '{newurl}', which is not followed")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> request.OpenerDirector:
    """Of urllib's handlers those of the web: no file://, no ftp://, no data:."""
    opener = request.OpenerDirector()
    for handler in (request.ProxyHandler, request.HTTPHandler, request.HTTPSHandler,
                    request.HTTPDefaultErrorHandler, _Redirects,
                    request.HTTPErrorProcessor, request.UnknownHandler):
        opener.add_handler(handler())
    return opener


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError as error:
        raise ValueError(f"'{url}' is no URL: {error}") from None


def _is_digest(digest: str, url: str) -> str:
    if not re.fullmatch('[0-9a-f]{64}', digest.lower()):
        raise ValueError(f"'{url}': sha256={digest} is not of 64 hex digits")
    return digest.lower()


def expected_digest(url: str) -> str:
    """How the file's sha256 begins: by the URL's ``#sha256=...``, which is not sent,
    else by its name, ``NAME-1a2b3c4d.pth``; '' where neither says it.

    Raises:
        ValueError: what ``#sha256=`` gives is none.
    """
    parts = _split(url)
    given = parse_qs(parts.fragment, keep_blank_values=True).get('sha256')
    if given:
        return _is_digest(given[-1], url)
    named = _NAMED.search(parts.path)
    return named[1] if named else ''


def _check_digest(digest: str, url: str, what: str) -> None:
    expected = expected_digest(url)
    if not digest.startswith(expected):
        raise ValueError(
            f'{what} has the sha256 {digest}, but {expected} is expected: it is '
            'damaged or another file')


def _read(reply: http.client.HTTPResponse, max_bytes: int,
          timeout: float) -> Iterator[bytes]:
    """The body in parts.

    Raises:
        OSError: it is cut off, too large, or comes too slowly.
    """
    header = reply.headers.get('Content-Length', '')
    length = int(header) if header.isdecimal() else None
    if length is not None and length > max_bytes:
        raise OSError(f'it has {length} bytes, more than the {max_bytes} allowed')
    start, received = time.monotonic(), 0
    while True:
        part = reply.read1(_CHUNK)
        if not part:
            break
        received += len(part)
        if received > max_bytes:
            raise OSError(f'it has more than the {max_bytes} bytes allowed')
        seconds = time.monotonic() - start
        if seconds > timeout and received < MIN_RATE * seconds:
            raise OSError(f'only {received} bytes came in {seconds:.0f} seconds')
        yield part
    if length is not None and received != length:
        raise OSError(f'it was cut off after {received} of {length} bytes')


def download(url: str, max_bytes: int = MAX_BYTES, timeout: float = TIMEOUT,
             secret_headers: Mapping[str, str] = {}) -> Iterator[bytes]:
    """Fetch what is at a URL, in parts. It is whole where the last part comes.

    Args:
        url: ``http(s)://``; see :func:`expected_digest`.
        max_bytes: more is not read.
        timeout: seconds for which the server may be silent, and after which the mean
            rate has to be ``MIN_RATE``.
        secret_headers: sent with the first request alone, not on to where it leads.

    Raises:
        OSError: it cannot be fetched, or not wholly; the message names the URL.
        ValueError: it has another digest than the URL says.
    """
    digest = hashlib.sha256()
    expected_digest(url)
    try:
        asked = request.Request(url, headers={'User-Agent': 'mmwsfs'})
        for name, value in secret_headers.items():
            asked.add_unredirected_header(name, value)
        with _opener().open(asked, timeout=timeout) as reply:
            for part in _read(reply, max_bytes, timeout):
                digest.update(part)
                yield part
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, 'reason', None) or error
        if 'timed out' in f'{reason}':
            reason = f'the server was silent for {timeout:g} seconds'
        raise OSError(f"cannot fetch '{url}': {reason}") from error
    _check_digest(digest.hexdigest(), url, f"what is at '{url}'")


def cached_file(url: str, folder: Path, secret_headers: Mapping[str, str] = {}
                ) -> tuple[Path, bool]:
    """The file of a URL in a folder, fetched where it is not there.

    Args:
        url, secret_headers: see :func:`download`.
        folder: of what is kept.

    Returns:
        tuple: the file, and whether it was fetched now.

    Raises:
        OSError, ValueError: see :func:`download`; then no file is left. Or the file
            that was there has another digest than the URL says; it stays.
    """
    name = _split(url).path.rpartition('/')[2]
    if name in ('', '.', '..'):
        raise ValueError(f"'{url}' names no file")
    path = folder / name
    if path.is_file():
        if expected_digest(url):
            _check_digest(
                file_sha256(path), url, f"'{path}', kept of '{url}' (delete it to "
                'fetch it again),')
        return path, False
    print_log(f"Fetching '{url}' (once: it is kept as '{path}')", 'current')
    with whole_file(path) as temporary, temporary.open('wb') as file:
        for part in download(url, secret_headers=secret_headers):
            file.write(part)
    return path, True
