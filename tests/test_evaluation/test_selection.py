"""By what a checkpoint was chosen, in words."""

from __future__ import annotations

import pytest

from mmwsfs.evaluation.selection import chosen_on


@pytest.mark.parametrize(('meta', 'words'), [
    (dict(), 'unknown'),
    (dict(selection='base'), 'unknown'),
    (dict(selection=dict()), 'unknown'),
    (dict(selection=dict(by='unknown', classes=[])), 'unknown'),
    (dict(selection=dict(by='none', last=True), iter=9), 'none, last checkpoint'),
    (dict(selection=dict(by='none', last=False), iter=9),
     'none, checkpoint of step 9'),
    (dict(selection=dict(by='base', classes=['dog', 'ox'])), 'base'),
    (dict(selection=dict(by='novel', classes=['cat', 'ox'])), 'novel (test classes)'),
    (dict(selection=dict(by='novel', classes=['ox'])),
     'novel (other than the test classes)')])
def test_words(meta: dict, words: str) -> None:
    """Of what the checkpoint notes, and of the classes of the test."""
    assert chosen_on(meta, ['cat', 'dog']) == words
