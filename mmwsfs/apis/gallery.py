from __future__ import annotations

import html
import json
import os
from collections.abc import Mapping
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

from mmwsfs.utils.files import write_whole
from mmwsfs.utils.json_text import parse_json
from mmwsfs.utils.text_file import read_text


def _link(path: str) -> str:
    """A relative URL: ``#``, ``%``, ``?``, spaces and all else are quoted, as are the
    bytes of names that are no UTF-8."""
    parts = os.fsencode(path).split(b'/')
    return './' + '/'.join(quote(part, safe='') for part in parts)


def _photograph(path: str | None, out_dir: Path) -> str | None:
    """The URL of a photograph that lies elsewhere: relative, if the page's folder and
    the photograph may be moved together; None for one in memory."""
    if path is None:
        return None
    return _link(os.path.relpath(path, out_dir).replace(os.sep, '/'))


def _text(name: str) -> str:
    """A name that can be written as UTF-8."""
    return name.encode('utf-8', 'replace').decode()


def _support(support: Mapping[str, Any]) -> dict:
    return dict(
        name=_text(support['image'] or 'an image in memory'),
        picture=_link(support['picture']))


def _page_data(content: Mapping[str, Any], out_dir: Path) -> dict:
    """What the page shows: names as texts, files as links.

    Args:
        content: of ``predictions.json``.
        out_dir: its folder.
    """
    names = content['classes']
    return dict(
        model=_text(content['model'] or ''),
        threshold=content['threshold'],
        classes=[dict(
            name=_text(name),
            colour=content['colours'][name],
            supports=[*map(_support, content['supports'][name])],
            negatives=[
                dict(name=_text(path or 'an image in memory'),
                     picture=_photograph(path, out_dir))
                for path in content['negatives'].get(name, [])])
            for name in names],
        queries=[dict(
            name=_text(query['image'] or 'an image in memory'),
            size=query['size'],
            photograph=_photograph(query['image'], out_dir),
            overlay=_link(query['picture']),
            cutouts=[_link(query['cutouts'][name]) if name in query['cutouts'] else None
                     for name in names],
            presence=[query['presence'][name] for name in names],
            areas=[query['areas'][name] for name in names])
            for query in content['predictions']])


def write_gallery(out_dir: Path) -> Path:
    """Write ``gallery.html``, a page that shows a folder of predictions.

    It opens from disk, in any browser, without a network: pictures are linked to
    relatively, and all else is in the file. Photographs stay where they are, and the
    page shows the overlay where one was moved since; relative paths of theirs go from
    the working directory.

    Args:
        out_dir: the folder of ``predictions.json``.

    Returns:
        Path: the page.

    Raises:
        FileNotFoundError: there is no ``predictions.json``.
        ValueError: it is no JSON, or was written by another version.
    """
    source = Path(out_dir) / 'predictions.json'
    try:
        data = _page_data(parse_json(read_text(source, 'predictions')), Path(out_dir))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"'{source}' is not as this version writes it ({error!r}): predict again"
        ) from None
    except ValueError as error:
        raise ValueError(f"cannot read '{source}': {error}") from None
    data['date'] = date.fromtimestamp(source.stat().st_mtime).isoformat()
    # Within <script>, '<' alone could end or change it; in JSON it may be escaped.
    text = json.dumps(data, ensure_ascii=True).replace('<', '\\u003c')
    template = files('mmwsfs.apis').joinpath('gallery_template.html').read_text(
        encoding='utf-8')
    title = html.escape(', '.join(way['name'] for way in data['classes']))
    page = Path(out_dir) / 'gallery.html'
    head, body = template.split('{{DATA}}')
    write_whole(page, head.replace('{{TITLE}}', title) + text + body)
    return page
