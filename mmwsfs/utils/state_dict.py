from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor


def check_state_dict(state_dict: Mapping[str, Tensor], expected: Mapping[str, Tensor],
                     what: str, mend: str) -> None:
    """Require the names and shapes of ``expected``, no more and no less.

    Args:
        state_dict: what was read.
        expected: the state dict of the module that shall take it.
        what: begins the message, e.g. "checkpoint 'x.pth' does not fit the backbone".
        mend: ends it: what to do.

    Raises:
        ValueError: lists what is missing, unknown, or of another shape.
    """
    missing = sorted(expected.keys() - state_dict.keys())
    unknown = sorted(state_dict.keys() - expected.keys())
    shapes = [
        f'{name} {tuple(state_dict[name].shape)} instead of {tuple(value.shape)}'
        for name, value in expected.items()
        if name in state_dict and state_dict[name].shape != value.shape
    ]
    problems = [
        f'{len(names)} {problem}: {", ".join(names[:8])}'
        f'{", ..." if len(names) > 8 else ""}' for problem, names in (
            ('missing', missing), ('unknown', unknown), ('of another shape', shapes))
        if names
    ]
    if problems:
        raise ValueError(f"{what} ({'; '.join(problems)}): {mend}")
