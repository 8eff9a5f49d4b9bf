"""By what the checkpoint of a test was chosen."""

from __future__ import annotations

from collections.abc import Collection, Mapping

UNKNOWN = 'unknown'
LAST = 'none, last checkpoint'
UNTRAINED = 'none, untrained'
BASE = 'base'
TEST_CLASSES = 'novel (test classes)'
OTHER_CLASSES = 'novel (other than the test classes)'


def chosen_on(meta: Mapping, test_classes: Collection[str]) -> str:
    """The classes on whose episodes a checkpoint was chosen, in words.

    Args:
        meta: of the checkpoint. ``selection`` is what
            :class:`~mmwsfs.engine.CheckpointHook` noted there: ``by`` ('none' or the
            ``selection`` of the validation's dataset), ``classes``, the names of its
            classes, and ``last``, whether the training ended with it. Without it
            nobody knows.
        test_classes: names of the classes of the test.

    Returns:
        str: 'none, last checkpoint', 'none, checkpoint of step N', 'base', 'novel (test
        classes)', 'novel (other than the test classes)' or 'unknown'.
    """
    note = meta.get('selection')
    if not isinstance(note, Mapping) or 'by' not in note:
        return UNKNOWN
    if note['by'] == 'none':
        return LAST if note['last'] else f"none, checkpoint of step {meta.get('iter')}"
    if note['by'] != 'novel':
        return str(note['by'])
    return OTHER_CLASSES if set(test_classes).isdisjoint(
        note['classes']) else TEST_CLASSES
