"""The command ``mmwsfs app``: a page in the browser instead of a shell."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from importlib.util import find_spec

from .common import CommandParser, import_openmmlab, program

DESCRIPTION = """\
Open a page in the browser: show a thing in a few photographs, draw on one if you like,
and find it in others. The page is served from this computer and needs no network.

  mmwsfs app
  mmwsfs app --model prototypes --port 8000
"""


def build_parser() -> argparse.ArgumentParser:
    """The arguments of ``mmwsfs app``."""
    parser = CommandParser(program('app'), DESCRIPTION)
    parser.add_argument(
        '--model', default='cst-photos',
        help='name of a model, its checkpoint or its config (default: %(default)s)')
    parser.add_argument(
        '--host', default='127.0.0.1',
        help='address to serve at; 0.0.0.0 lets others in your network in (default: '
        '%(default)s, this computer alone)')
    parser.add_argument(
        '--port', type=int, help='default: the first that is free from 7860 on')
    parser.add_argument('--device', help='default: a GPU where there is one')
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Serve the page until Ctrl-C.

    Args:
        argv: its arguments. Defaults to None, those of the process.
    """
    args = build_parser().parse_args(argv)
    if find_spec('gradio') is None:
        raise SystemExit(
            "mmwsfs app: the page needs gradio: pip install 'mmwsfs[app]'")
    import_openmmlab()
    from mmwsfs.apis import FewShotInferencer
    from mmwsfs.app.server import Server

    try:
        server = Server(
            FewShotInferencer(args.model, device=args.device), args.host, args.port)
    except (OSError, ValueError, TypeError) as error:
        raise SystemExit(f'mmwsfs app: {error}') from error
    try:
        print(f'The page is at {server.url} (Ctrl-C ends it)')
        server.wait()
    finally:
        server.close()
