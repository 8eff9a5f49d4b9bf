"""Files of the Hugging Face Hub, by their names there, fetched as from any web server.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import quote

from .download import cached_file

HF_SCHEME = 'hf://'
_PART = r'(?!\.+(/|@|#|$))[\w.-]+'  # no '..'
_ADDRESS = re.compile(
    rf'hf://(?P<owner>{_PART})/(?P<repo>{_PART})/(?P<file>{_PART}(/{_PART})*)'
    r'(@(?P<revision>[\w./-]+))?(?P<digest>#sha256=[0-9a-fA-F]+)?', re.ASCII)


def hf_file(address: str, folder: Path) -> tuple[Path, bool]:
    """A file of the Hub, fetched where it is not in a folder.

    The server is ``$HF_ENDPOINT``, else https://huggingface.co. To it alone, not to
    where it redirects, ``$HF_TOKEN`` is sent, for gated files. A revision that moves,
    as 'main' does, is not asked for again: delete the file to get the new one.

    Args:
        address: ``hf://OWNER/REPO/FILE``, perhaps with ``@REVISION``, a branch, tag or
            commit, 'main' if none is given, and with ``#sha256=...``, which is
            compared.
        folder: of what is kept; the file comes into a folder of its repository's.

    Returns:
        tuple: the file, and whether it was fetched now.

    Raises:
        OSError: it cannot be fetched.
        ValueError: it is no such address, or the file has another digest; or
            ``$HF_TOKEN`` is no token.
    """
    found = _ADDRESS.fullmatch(address)
    if not found or '..' in (found['revision'] or ''):
        raise ValueError(
            f"'{address}' is no file of the Hugging Face Hub: write "
            'hf://OWNER/REPO/FILE, or hf://OWNER/REPO/FILE@REVISION')
    owner, repo, file = found['owner'], found['repo'], found['file']
    revision = found['revision'] or 'main'
    server = os.environ.get('HF_ENDPOINT', 'https://huggingface.co').rstrip('/')
    url = (f'{server}/{owner}/{repo}/resolve/{quote(revision, safe="")}/{file}'
           f'{found["digest"] or ""}')
    kept = Path(
        folder, 'hugging_face', owner, repo, quote(revision, safe=''),
        *file.split('/')[:-1])
    token = os.environ.get('HF_TOKEN', '').strip()
    if not re.fullmatch(r'[\w.~+/=-]*', token, re.ASCII):
        raise ValueError('HF_TOKEN in the environment is no token of the Hub: unset it')
    try:
        return cached_file(
            url, kept, {'Authorization': f'Bearer {token}'} if token else {})
    except OSError as error:
        cause = error.__cause__
        status = cause.code if isinstance(cause, HTTPError) else 0
        if status not in (401, 403, 404):
            raise
    raise OSError(
        f"cannot fetch '{address}': there is no such file, or it is not open to all "
        f'(status {status}); look at {server}/{owner}/{repo}, accept its terms if it '
        f'asks, then set HF_TOKEN to {"a valid" if token else "your"} access token, or '
        'download the file there and give its path')
