"""One rule for names: they match however their letters are composed.

``ü`` is one character or, as macOS writes file names, ``u`` and a combining mark
(Unicode's NFC and NFD). Names are kept in NFC; a file is found under either.
"""

from __future__ import annotations

import os
import unicodedata

_LONGEST = 200  # bytes, of the 255 that file systems allow
_RESERVED = '<>:"|?*\\'  # what Windows has in no name


def normal_name(name: str) -> str:
    """A name in NFC, as names are compared."""
    return unicodedata.normalize('NFC', name)


def on_disk(path: str) -> str:
    """The path of an existing file whose name may be composed otherwise.

    Args:
        path: of the file, in any composition.

    Returns:
        str: ``path`` where that exists or nothing does, else the one that exists.
    """
    if path.isascii() or os.path.lexists(path):
        return path
    found = ''
    for part in path.split('/'):  # folder by folder: each may be composed in its way
        forms = (part, normal_name(part), unicodedata.normalize('NFD', part))
        paths = [found + form for form in forms]
        existing = next((p for p in paths if os.path.lexists(p or '/')), None)
        if existing is None:
            return path
        found = f'{existing}/'
    return found[:-1]


def printable(text: str) -> str:
    """A text in a line that any terminal and any UTF-8 stream or file takes.

    Linux allows file names that are no UTF-8; Python holds their bytes as surrogates,
    which cannot be encoded. They become escapes such as ``\\udce4``; so do line breaks
    and the characters that command a terminal, ``\\x1b``.
    """
    return ''.join(
        character.encode('unicode_escape').decode()
        if unicodedata.category(character) in ('Cc', 'Cs', 'Zl', 'Zp') else character
        for character in text)


def folder_name(name: str, longest: int = _LONGEST) -> str:
    """A name for a folder to be written, such as a class's, on any system.

    Args:
        name: anything. Characters that some system refuses become ``_``, and so do
            dots and spaces at its end.
        longest: bytes that it may have. Defaults to 200.
    """
    name = file_stem(''.join('_' if x in _RESERVED else x for x in name), longest)
    kept = name.rstrip('. ')
    return kept + '_' * (len(name) - len(kept))


def file_stem(stem: str, longest: int = _LONGEST) -> str:
    """A stem for a file to be written: of one part, without control characters, and
    so short that a suffix, a number and the name of a temporary file have room.

    Args:
        stem: anything, such as the stem of another file.
        longest: bytes that it may have. Defaults to 200.
    """
    stem = ''.join('_' if letter == '/' or unicodedata.category(letter) == 'Cc'
                   else letter for letter in stem)
    content = os.fsencode(stem)
    if len(content) > longest:  # not within a character
        stem = os.fsdecode(content[:longest]).rstrip(
            ''.join(map(chr, range(0xdc80, 0xdd00))))
    return stem or '_'
