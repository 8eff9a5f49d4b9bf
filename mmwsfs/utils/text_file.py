from __future__ import annotations

import codecs
from pathlib import Path

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def decode_text(content: bytes, path: str | Path, what: str) -> str:
    """Decode a text that another program may have written.

    It is UTF-8, with or without a byte-order mark, or UTF-16 with one. The mark is no
    part of the text; line ends stay as they are.

    Args:
        content: of the file.
        path: its name, for the message.
        what: it is, such as 'split list', for the message.

    Raises:
        ValueError: it is no such text.
    """
    encoding = 'utf-16' if content.startswith(_UTF16) else 'utf-8-sig'
    try:
        text = content.decode(encoding)
        if '\0' in text:  # UTF-16 without a mark, UTF-32, or no text at all
            raise ValueError('it has zero bytes')
    except ValueError as error:
        raise ValueError(
            f"{what} '{path}' is no UTF-8 text: save it as UTF-8, or as UTF-16 with a "
            f'byte-order mark ({error})') from error
    return text


def read_text(path: str | Path, what: str) -> str:
    """Read a text file that another program may have written: :func:`decode_text`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no text.
    """
    return decode_text(Path(path).read_bytes(), path, what)
