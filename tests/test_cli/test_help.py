"""The commands' help and their errors: at once, without torch, in one sentence."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from mmwsfs.cli.main import COMMANDS
from mmwsfs.cli.main import main as mmwsfs

REPO = Path(__file__).parents[2]
FORMS = ('pascal5i', 'coco20i', 'demo-shapes', 'cst', 'upgrade')
FRONTS = (
    'demo/demo.py', 'demo/predict.py', 'tools/train.py', 'tools/test.py',
    'tools/run_folds.py', 'tools/train_enhancer.py',
    'tools/analysis_tools/browse_episodes.py', 'tools/dataset_converters/coco20i.py',
    'tools/dataset_converters/demo_shapes.py', 'tools/dataset_converters/pascal5i.py',
    'tools/model_converters/cst2mmwsfs.py', 'tools/model_converters/publish_model.py',
    'tools/model_converters/upgrade_checkpoint.py')
# Runs its arguments as `python` would, and says on stderr what heavy it imported.
SPY = """
import runpy, sys
sys.argv = sys.argv[1:]
try:
    if sys.argv[0] == 'mmwsfs':
        from mmwsfs.cli.main import main
        main()
    else:
        runpy.run_path(sys.argv[0], run_name='__main__')
finally:
    heavy = {'torch', 'cv2', 'mmcv', 'mmseg', 'mmpretrain', 'gradio'}
    print('heavy:', *sorted(heavy & sys.modules.keys()), file=sys.stderr)
"""


@pytest.mark.parametrize('arguments', [
    (), *((name,) for name in COMMANDS), *(('convert', form) for form in FORMS),
    *((front,) for front in FRONTS)], ids=' '.join)
def test_help(arguments: tuple[str, ...], tmp_path: Path) -> None:
    """It has a usage line and says what the arguments are for; torch stays away."""
    script = str(REPO / arguments[0]) if arguments in [(f,) for f in FRONTS] else ''
    command = [script] if script else ['mmwsfs', *arguments]
    done = subprocess.run(
        [sys.executable, '-c', SPY, *command, '--help'], cwd=tmp_path,
        capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == 'heavy:\n'
    name = Path(script).name or ' '.join(command)
    assert done.stdout.startswith(f'usage: {name}')


@pytest.mark.parametrize('command', [name for name in COMMANDS])
def test_help_has_an_example(command: str) -> None:
    """A newcomer can copy a line of it; no argument is without a word of help."""
    parser = import_module(f'mmwsfs.cli.{command}').build_parser()
    assert f'\n  mmwsfs {command}' in parser.description
    assert [action.dest for action in parser._actions if not action.help] == []


@pytest.mark.parametrize('arguments, sentence', [
    (['tran'], "mmwsfs: there is no command 'tran', did you mean 'train'? "
     "('mmwsfs --help' lists them)"),
    (['train'], "mmwsfs train: config is missing ('mmwsfs train --help' tells more)"),
    (['train', 'vit-s_demo_1shot', '--foldd', '1'],
     "mmwsfs train: '--foldd 1' is not known here, did you mean --fold? "
     "('mmwsfs train --help' tells more)"),
    (['test', 'vit-s_demo_1shot', '--fold', 'one'],
     "mmwsfs test: argument --fold: invalid int value: 'one' "
     "('mmwsfs test --help' tells more)"),
    (['convert', 'cst', 'a', 'b', '--bckbone', 'c'],
     "mmwsfs convert cst: '--bckbone c' is not known here, did you mean --backbone? "
     "('mmwsfs convert cst --help' tells more)"),
    (['convert', 'voc'], "mmwsfs convert: argument WHAT: invalid choice: 'voc'"),
], ids=lambda value: ' '.join(value) if isinstance(value, list) else '')
def test_a_wrong_command_line(
        arguments: list[str], sentence: str, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture) -> None:
    """One sentence with the mend, and status 2."""
    monkeypatch.setattr(sys, 'argv', ['mmwsfs'])
    with pytest.raises(SystemExit) as stopped:
        mmwsfs(arguments)
    assert stopped.value.code == 2
    line, = capsys.readouterr().err.splitlines()
    assert line.startswith(sentence)


@pytest.mark.parametrize('command', ['train', 'test', 'folds', 'demo', 'browse'])
def test_an_unknown_config(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused before anything is imported, with near names."""
    monkeypatch.setattr(sys, 'argv', ['mmwsfs'])
    with pytest.raises(SystemExit, match=(
            r"^there is no config 'vit-s_demo_1shto' \(did you mean vit-s_demo_1shot "
            r".*\): give a file, or a name of those that 'mmwsfs configs' lists$")):
        mmwsfs([command, 'vit-s_demo_1shto'])


def test_a_front_speaks_for_itself(tmp_path: Path) -> None:
    """Its messages name the script that was called, as they always did."""
    done = subprocess.run(
        [sys.executable, REPO / 'tools/train.py'], cwd=tmp_path, capture_output=True,
        text=True)
    assert done.returncode == 2
    assert done.stderr == (
        "train.py: config is missing ('train.py --help' tells more)\n")
