"""The command ``mmwsfs``: finds the subcommand's module, and no more."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Sequence
from importlib import import_module

from mmwsfs.version import __version__

# Subcommand -> what it does, in the order in which a newcomer may need them.
COMMANDS = {
    'predict': 'find a new thing in photographs, given a few that show it',
    'app': 'the same as a page in the browser',
    'demo': 'train on painted toys and test, in minutes: does everything work?',
    'configs': 'list the configs that come with mmwsfs, or copy one',
    'convert': 'bring a data set, or a checkpoint of another code, into our form',
    'browse': 'draw the episodes of a config as pictures',
    'train': 'train the model of a config',
    'test': 'test a checkpoint',
    'folds': 'train and test all folds, and put them beside published numbers',
    'publish': 'make one small file of a checkpoint, to be given away',
}


def usage() -> str:
    """The help of the command itself."""
    width = max(map(len, COMMANDS))
    lines = [f'  {name:{width}}  {text}' for name, text in COMMANDS.items()]
    return '\n'.join([
        'usage: mmwsfs COMMAND ...', '',
        'Few-shot classification and segmentation from image tags.', '',
        *lines, '',
        'mmwsfs COMMAND --help tells more; mmwsfs --version the version.'])


def main(argv: Sequence[str] | None = None) -> None:
    """Run a subcommand.

    Args:
        argv: its name and arguments. Defaults to None, those of the process.
    """
    command, *arguments = [*(sys.argv[1:] if argv is None else argv)] or ['--help']
    if command in ('-h', '--help'):
        print(usage())
    elif command == '--version':
        print(f'mmwsfs {__version__}')
    elif command in COMMANDS:
        import_module(f'mmwsfs.cli.{command}').main(arguments)
    else:
        near = difflib.get_close_matches(command, COMMANDS, 1)
        guess = f", did you mean '{near[0]}'?" if near else ''
        print(f"mmwsfs: there is no command '{command}'{guess} ('mmwsfs --help' lists "
              'them)', file=sys.stderr)
        raise SystemExit(2)
