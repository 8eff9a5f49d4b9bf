"""State dicts: read from a local file, and compared with what a module expects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from .checkpoint_file import read_checkpoint

# Under which keys files hold a state dict: MMEngine's and Lightning's, timm's, DINO's.
_WRAPPERS = ('state_dict', 'model', 'teacher', 'student')
# Whose objects stand beside the weights: MMEngine's log, DINO's arguments. None is
# made.
MMENGINE = ('builtins', 'mmengine', 'numpy')
TRAININGS = (*MMENGINE, 'argparse')


def find_state_dict(checkpoint: object) -> dict[str, Tensor] | None:
    """The tensors of a checkpoint by their names; None where it holds no such dict.

    They are the checkpoint itself, or stand under ``state_dict``, ``model``,
    ``teacher`` or ``student`` in it, perhaps one in the other.
    """
    for _ in _WRAPPERS:  # a mapping may hold itself
        inner = isinstance(checkpoint, Mapping) and next(
            (checkpoint[key] for key in _WRAPPERS if key in checkpoint), None)
        if not isinstance(inner, Mapping):
            break
        checkpoint = inner
    if not isinstance(checkpoint, Mapping) or not all(
            isinstance(name, str) and isinstance(value, Tensor)
            for name, value in checkpoint.items()):
        return None
    return dict(checkpoint)


def read_state_dict(path: str | Path,
                    inert: Sequence[str] = MMENGINE) -> dict[str, Tensor]:
    """Read the state dict in a local file of ``torch.save``, to the CPU.

    Nothing that the file contains is run.

    Args:
        path: the file; '~' is the home folder.
        inert: packages whose objects may stand beside the weights, see
            :func:`.read_checkpoint`. Defaults to what MMEngine writes.

    Returns:
        dict: name -> tensor, see :func:`find_state_dict`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is truncated, holds other objects, or no state dict. The
            message names the file, and is fit to be all that a user sees.
    """
    weights = find_state_dict(read_checkpoint(Path(path).expanduser(), inert=inert))
    if weights is None:
        raise ValueError(f"checkpoint '{path}' holds no state dict of tensors")
    return weights


def check_state_dict(state_dict: Mapping[str, Tensor], expected: Mapping[str, Tensor],
                     what: str, mend: str) -> None:
    """Require the names and shapes of ``expected``, no more and no less, and numbers.

    Args:
        state_dict: what was read.
        expected: the state dict of the module that shall take it.
        what: begins the message, e.g. "checkpoint 'x.pth' does not fit the backbone".
        mend: ends it: what to do.

    Raises:
        ValueError: lists what is missing, unknown, or of another shape; or what is NaN
            or infinite, as after a training that failed.
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
    invalid = invalid_values(state_dict)
    if invalid:
        raise ValueError(
            f'{invalid}: its training had failed; take an earlier checkpoint')


def invalid_values(state_dict: Mapping[str, Tensor]) -> str:
    """Which values are NaN or infinite, for a message; '' if none is."""
    # A sum is fast, and is no number where one of them is none.
    names = [name for name, value in state_dict.items()
             if isinstance(value, Tensor) and value.is_floating_point()
             and not bool(value.sum().isfinite())
             and not bool(value.isfinite().all())]
    return '' if not names else (
        f"{len(names)} weights are NaN or infinite ({', '.join(names[:3])}"
        f"{', ...' if len(names) > 3 else ''})")
