"""A config's Python text, read without running it, and written.

A checkpoint carries its config as such a text, which MMEngine itself runs.
"""

from __future__ import annotations

import ast
import keyword
import warnings
from collections.abc import Mapping
from typing import Any

MAX_LENGTH = 1 << 20  # characters; MMEngine's longest are of some ten thousand


def parse_config(text: str, what: str) -> dict[str, Any]:
    """Read a config's Python text. Nothing in it is run.

    Args:
        text: assignments of literals, ``dict(...)``, lists, tuples and dicts, as
            MMEngine's ``Config.pretty_text`` writes them.
        what: the file that carries it, for messages.

    Returns:
        dict: its variables.

    Raises:
        ValueError: it is no such text.
    """
    if len(text) > MAX_LENGTH:
        raise ValueError(
            f"the config that '{what}' carries is refused: it has {len(text)} "
            f'characters, more than the {MAX_LENGTH} allowed')
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # of odd text, in the compiler's words
            tree = ast.parse(text)
        return dict(_assignment(statement) for statement in tree.body)
    except _Refused as error:
        reason = f'{error}'
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        reason = 'it is no config in Python'
    raise ValueError(
        f"the config that '{what}' carries is refused, and nothing in it was run: "
        f'{reason}; give a config of your own beside the checkpoint')


class _Refused(Exception):
    """Says what is refused."""

    def __init__(self, node: ast.AST) -> None:
        short = ' '.join(ast.unparse(node).split())
        short = short if len(short) < 60 else f'{short[:57]}...'
        super().__init__(
            f"its line {getattr(node, 'lineno', 0)} has '{short}', which is no plain "
            'value')


def _assignment(statement: ast.stmt) -> tuple[str, Any]:
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1 and (
            isinstance(statement.targets[0], ast.Name)):
        return statement.targets[0].id, _value(statement.value)
    raise _Refused(statement)


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Constant) and not isinstance(
            node.value, (bytes, complex, type(...))):
        return node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(
            node.operand, ast.Constant):
        number = node.operand.value
        if isinstance(number, (int, float)):
            return -number
    if isinstance(node, ast.List):
        return [_value(item) for item in node.elts]
    if isinstance(node, ast.Tuple):
        return tuple(_value(item) for item in node.elts)
    if isinstance(node, ast.Dict):
        return {_key(key, node): _value(value)
                for key, value in zip(node.keys, node.values)}
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and (
            node.func.id == 'dict' and len(node.args) <= 1):
        pairs = {}
        for one in node.args:  # MMEngine's, where a key is no name
            if not isinstance(one, ast.Dict):
                raise _Refused(node)
            pairs.update(_value(one))
        for argument in node.keywords:
            if argument.arg is None:
                raise _Refused(node)
            pairs[argument.arg] = _value(argument.value)
        return pairs
    raise _Refused(node)


def _key(key: ast.expr | None, node: ast.Dict) -> Any:
    if not isinstance(key, ast.Constant):
        raise _Refused(node)
    return key.value


def config_text(values: Mapping[str, Any]) -> str:
    """A config as Python text: what :func:`parse_config` reads, one line a variable.

    Args:
        values: variables; literals, and dicts, lists and tuples of them.

    Raises:
        ValueError: a name is none that Python takes.
    """
    for name in values:
        if not name.isidentifier() or keyword.iskeyword(name):
            raise ValueError(f"'{name}' is no name of a variable of a config")
    return ''.join(f'{name} = {value!r}\n' for name, value in values.items())
