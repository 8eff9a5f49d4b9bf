"""List, print and copy the configs that come with mmwsfs: ``mmwsfs configs``."""

from __future__ import annotations

import argparse
import ast
import posixpath
from collections.abc import Sequence
from pathlib import Path

from mmengine.config import Config
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mmwsfs.utils.config_file import PREFIX, config_folder, shipped_configs
from mmwsfs.utils.files import write_whole

from .common import CommandParser, program, resolved_config

DESCRIPTION = """\
List the configs that come with mmwsfs, print one, or copy one.

  mmwsfs configs                 all of them
  mmwsfs configs coco            those that have the word in their name or description
  mmwsfs configs --show vit-s_demo_1shot
  mmwsfs configs --copy vit-s_pascal5i_1shot my_config.py

A copy is the config's own file; what it is made on top of (_base_) stays with mmwsfs.
"""


def build_parser() -> argparse.ArgumentParser:
    """The command line of ``mmwsfs configs``."""
    parser = CommandParser(program('configs'), DESCRIPTION)
    parser.add_argument('word', nargs='?', default='', help='list those with this word')
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        '--show', metavar='NAME', help='print the whole config, its bases merged in')
    what.add_argument(
        '--copy', nargs=2, metavar=('NAME', 'FILE'),
        help='write a copy, to be changed')
    return parser


def first_comment(path: Path) -> str:
    """The first sentence of the comment that a config begins with, '' without one."""
    lines = []
    for line in path.read_text(encoding='utf-8').splitlines():
        if not line.startswith('#'):
            break
        lines.append(line.lstrip('# '))
    return ' '.join(lines).partition('. ')[0].rstrip('.:')


def print_list(word: str) -> None:
    """Print names and descriptions of the configs that have the word in either."""
    rows = [(path.stem, name, first_comment(path))
            for name, path in shipped_configs().items()]
    found = [row for row in rows if word.lower() in f'{row[1]} {row[2]}'.lower()]
    if not found:
        raise SystemExit(
            f"none of the {len(rows)} configs has '{word}' in its name or description: "
            "'mmwsfs configs' lists all")
    table = Table(box=None, pad_edge=False)
    table.add_column('config', no_wrap=True)
    table.add_column('what it is')
    for stem, _, comment in found:
        table.add_row(Text(stem), Text(comment))
    Console().print(table)


def shipped_name(config: str) -> str:
    """``wsfs/NAME.py`` of a config that comes with mmwsfs, or the end."""
    path = Path(resolved_config(config)).resolve()
    folder = config_folder().resolve()
    if folder not in path.parents:
        raise SystemExit(
            f"'{config}' does not come with mmwsfs: write _base_ = '{config}' into a "
            'file of your own')
    return path.relative_to(folder).as_posix()


def with_named_bases(name: str) -> str:
    """The text of a config that comes with mmwsfs, to stand in any folder: its bases
    are ``mmwsfs::...``, wherever that is installed.

    Args:
        name: ``wsfs/NAME.py``.
    """
    text = (config_folder() / name).read_text(encoding='utf-8')
    lines = text.splitlines(keepends=True)
    bases = next((node.value for node in ast.parse(text).body
                  if isinstance(node, ast.Assign)
                  and getattr(node.targets[0], 'id', None) == '_base_'), None)
    for node in ast.walk(bases) if bases is not None else ():
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            line = node.lineno - 1  # of one base a line, as all of ours have it
            base = posixpath.normpath(f'{posixpath.dirname(name)}/{node.value}')
            lines[line] = lines[line].replace(node.value, PREFIX + base)
    return ''.join(lines)


def copy(config: str, target: Path) -> None:
    """Write a config's file to another place. What exists is never overwritten."""
    name = shipped_name(config)
    if target.suffix != '.py':
        raise SystemExit(f"'{target}' is no name of a config: let it end in .py")
    if target.exists():
        raise SystemExit(
            f"'{target}' exists, and is not overwritten: name another file")
    try:
        write_whole(target, with_named_bases(name))
    except OSError as error:
        raise SystemExit(f"'{target}' cannot be written: {error.strerror}") from None
    print(f"wrote '{target}': change it, then mmwsfs train {target}")


def main(argv: Sequence[str] | None = None) -> None:
    """List, print or copy.

    Args:
        argv: arguments. Defaults to None, those of the process.
    """
    args = build_parser().parse_args(argv)
    if args.copy:
        copy(args.copy[0], Path(args.copy[1]))
    elif args.show:
        print(Config.fromfile(
            resolved_config(args.show), import_custom_modules=False).pretty_text)
    else:
        print_list(args.word)
