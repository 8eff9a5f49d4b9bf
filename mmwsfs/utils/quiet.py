"""What others print that tells nothing here: each by its words, with the reason.

All of it stays in the log file. What is not named here is shown.
"""

from __future__ import annotations

import io
import logging
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

from mmengine.logging import MMLogger

# Beginnings of warnings.
_WARNINGS = (
    # mmcv-lite, without compiled operators, is enough for all that mmwsfs has.
    r'Fail to import ``MultiScaleDeformableAttention``',
    # Of every CrossEntropyLoss of mmseg's. The mean over all pixels is the published
    # loss; `avg_non_ignore` of a config is heeded as ever.
    r'Default ``avg_non_ignore`` is False',
)
# Lines that mmseg and mmpretrain print as they are imported.
_PRINTED = {
    'Could not import OneDL',  # an optional service, meant for the level DEBUG
}
# Beginnings of records in the log.
_RECORDS = re.compile('|'.join((
    # Long, the same in every run, and read only where something went wrong: in the
    # file.
    r'\n-+\nSystem environment:',
    r'Config:\n',
    r'Hooks will be executed in the following order',
    # True of every run of one process; none of our models has such layers.
    r'Distributed training is not used, all SyncBatchNorm',
    # How a parameter was initialised, nine hundred times, where there is no log file.
    r'\n\S+ - torch\.Size\(',
    # There is one metric; without a prefix its names are those of the table.
    r'The prefix is not set in metric class FewShotMetric',
    # Of MMEngine's own CheckpointHook about MMEngine's own classes.
    r'"FileClient" will be deprecated',
    r'"HardDiskBackend" is the alias of "LocalBackend"',
    # MMEngine's training loop asks for it whether or not it has been done, and a model
    # that has been initialised does nothing.
    r'init_weights of \w+ has been called more than once',
    # The metrics of a test by FewShotMetric in one line of a thousand characters, after
    # the table that says the same.
    r'Iter\((val|test)\).* exact_ratio_low: ',
)))
# What MMEngine logs of every parameter, and of every file, as a model is built.
_BUILDING = re.compile(r'\n.+ - torch\.Size|Loads checkpoint by ')


def _tells(record: logging.LogRecord) -> bool:
    """Whether a record is for the screen. Errors always are."""
    return record.levelno >= logging.ERROR or not _RECORDS.match(record.getMessage())


def quiet_screen(logger: logging.Logger) -> None:
    """Keep what tells nothing from the screen, but not from the files, of a logger."""
    for handler in logger.handlers:
        if isinstance(handler, logging.StreamHandler) and not isinstance(
                handler, logging.FileHandler):
            handler.addFilter(_tells)


@contextmanager
def quiet_building() -> Iterator[None]:
    """MMEngine does not log how each parameter was initialised; all else it does.

    Nor does mmseg's loss warn of a default that is none of the caller's.
    """
    def kept(record: logging.LogRecord) -> bool:
        return not _BUILDING.match(record.getMessage())

    logger = MMLogger.get_current_instance()
    logger.addFilter(kept)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings('ignore', 'Default ``avg_non_ignore``')
            yield
    finally:
        logger.removeFilter(kept)


@contextmanager
def quiet_imports() -> Iterator[None]:
    """Import OpenMMLab's packages without the lines that they print on the way.

    The filters of warnings stay: some come as a model is built.
    """
    for message in _WARNINGS:
        warnings.filterwarnings('ignore', message, UserWarning)
    printed = io.StringIO()
    try:
        with redirect_stdout(printed):
            yield
    finally:
        for line in printed.getvalue().splitlines():
            if line not in _PRINTED:
                print(line, file=sys.stdout)
