"""What tells nothing is kept from the screen, and nothing else; files have it all."""

from __future__ import annotations

import logging
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from mmengine.logging import MMLogger

from mmwsfs.utils.quiet import quiet_imports, quiet_screen

SILENT = (
    '\n----\nSystem environment:\n    sys.platform: linux',
    'Config:\na = 1',
    'The prefix is not set in metric class FewShotMetric.',
    '\nneck.project.weight - torch.Size([128, 64]): \nXavierInit: gain=1',
    'Iter(test) [50/50]    exact_ratio: 56.75  exact_ratio_low: 52.25  time: 1')
TOLD = (
    'Iter(test) [25/50]    eta: 0:00:07  time: 0.0290',
    'Iter(val) [25/25]    aAcc: 90.0  mIoU: 56.75',  # of mmseg's metric
    'The prefix is not set in metric class MyMetric.',
    'a Config: of somebody')


def test_the_log(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """A logger as a runner makes it. An error is told whatever it says."""
    path = tmp_path / 'run.log'
    logger = MMLogger('test_quiet', logger_name='test_quiet', log_file=str(path))
    quiet_screen(logger)
    for message in (*SILENT, *TOLD):
        logger.info(message)
    logger.error('Config:\nis broken')
    logging.shutdown()
    screen = capsys.readouterr().out
    for message in (*SILENT, *TOLD, 'Config:\nis broken'):
        assert message in path.read_text()
        assert (message in screen) == (message not in SILENT)


def test_printed_lines(capsys: pytest.CaptureFixture) -> None:
    """Named lines go, all others come, also where the import fails."""
    with pytest.raises(ImportError), quiet_imports():
        print('Could not import OneDL')
        print('Could not import OneDL, for a reason')
        raise ImportError
    assert capsys.readouterr().out == 'Could not import OneDL, for a reason\n'


def test_warnings() -> None:
    """Named warnings go, all others come."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        with quiet_imports():
            pass
        warnings.warn('Default ``avg_non_ignore`` is False, if you', stacklevel=1)
        warnings.warn('avg_non_ignore is strange', stacklevel=1)
    assert [str(warning.message) for warning in caught] == ['avg_non_ignore is strange']


def test_a_command_says_nothing_before_its_own_words(tmp_path: Path) -> None:
    """All that OpenMMLab prints and warns of on the way, in a process of its own."""
    done = subprocess.run(
        [sys.executable, '-c', 'from mmwsfs.cli.common import import_openmmlab; '
         'import_openmmlab()'], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, '', '')
