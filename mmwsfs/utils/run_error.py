from __future__ import annotations


class RunError(RuntimeError):
    """A run ends for a known reason: the message is fit to be all that a user sees.

    It names what is wrong and the mend. The tools print it and exit with status 1.
    """
