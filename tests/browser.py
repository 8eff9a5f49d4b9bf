"""A real browser, Chromium without a window, that reaches no network."""
from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ARGUMENTS = ['--no-sandbox', '--disable-gpu', '--no-first-run',
             '--disable-background-networking']


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser of the system, while the block runs; skips where there is none."""
    try:
        from playwright import sync_api as api
    except ImportError:
        _absent("playwright is absent: pip install 'mmwsfs[dev]'")
    executable = os.environ.get('CHROMIUM') or shutil.which('chromium')
    if executable is None:
        _absent('Chromium is absent: set CHROMIUM to its executable')
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=executable, args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


def _absent(reason: str) -> NoReturn:
    if os.environ.get('CI'):
        pytest.fail(f'{reason}; CI must not skip the tests that need it')
    pytest.skip(reason)
