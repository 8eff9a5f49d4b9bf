from __future__ import annotations

import os


def folder_content(folder: str, kind: str, mend: str) -> set[str]:
    """File names in a folder.

    Args:
        folder: its path.
        kind: what is in it, for the message.
        mend: what to do where there is no such folder.

    Raises:
        FileNotFoundError: there is no such folder.
    """
    try:
        return set(os.listdir(folder))
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{kind} folder '{folder}' does not exist: {mend}") from None
