"""mmwsfs test --out: label maps to a folder, as by mmseg's tools/test.py."""

from __future__ import annotations

import pytest
from mmengine.config import Config

from mmwsfs.cli.test import write_label_maps


@pytest.mark.parametrize('metric', ['FewShotMetric', 'mmwsfs.FewShotMetric',
                                    'IoUMetric'])
def test_one_metric(metric: str) -> None:
    """It gets the folder; of several, those that write do."""
    cfg = Config(dict(test_evaluator=dict(type=metric)))
    write_label_maps(cfg, 'maps')
    assert cfg.test_evaluator.output_dir == 'maps'
    cfg = Config(dict(test_evaluator=[dict(type='MyMetric'), dict(type=metric)]))
    write_label_maps(cfg, 'maps')
    assert [dict(item) for item in cfg.test_evaluator] == [
        dict(type='MyMetric'), dict(type=metric, output_dir='maps')]


def test_none_that_writes() -> None:
    """Refused with the names of those that do."""
    with pytest.raises(SystemExit, match='one of FewShotMetric and IoUMetric, and'):
        write_label_maps(Config(dict(test_evaluator=dict(type='MyMetric'))), 'maps')
