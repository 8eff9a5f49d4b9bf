"""What the files of a test's report are made of."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from mmengine.config import Config

from mmwsfs.evaluation.report import episode_table, settings_digest


@pytest.mark.parametrize('change, same', [
    ({'model.neck.num_layers': 3}, False),
    ({'test_dataloader.dataset.way': 2}, False),
    ({'test_evaluator.void': 'ignored'}, False),
    ({'custom_hooks': []}, False),
    ({'test_dataloader.batch_size': 7}, True),
    ({'train_cfg.max_iters': 9}, True),
    ({'work_dir': 'elsewhere'}, True)])
def test_settings(tiny_config: Config, change: dict, same: bool) -> None:
    """What changes the numbers changes the digest, and only that."""
    before = settings_digest(tiny_config)
    tiny_config.merge_from_dict(change)
    assert (settings_digest(tiny_config) == before) == same


def test_settings_survive_the_file(tiny_config: Config, tmp_path: Path) -> None:
    """A config read back from its dump is the same one."""
    tiny_config.dump(tmp_path / 'config.py')
    read = Config.fromfile(tmp_path / 'config.py')
    assert settings_digest(read) == settings_digest(tiny_config)


def test_episode_table() -> None:
    """A row an episode by number; what a spreadsheet would trip over is quoted."""
    def episode(number: int, scores: list[float], areas: list | None) -> dict:
        return dict(
            episode=number, query=f'a, "{number}".jpg', class_ids=[3, 1],
            supports=[['b.jpg', 'c.jpg'], ['d.jpg', 'e.jpg']], presence=[True, False],
            scores=scores, areas=areas, fb_areas=None)

    text = episode_table(
        [episode(1, [0.75, 0.5], [[1, 3], [0, 0]]), episode(0, [0.5, 0.25], None)],
        ('ant', 'bee', 'cow'))
    rows = list(csv.DictReader(io.StringIO(text)))
    assert rows[1] == {
        'episode': '1', 'query': 'a, "1".jpg', 'exact': '1',
        'class_id_1': '3', 'class_1': 'cow', 'supports_1': 'b.jpg|c.jpg',
        'present_1': '1', 'score_1': '0.75', 'intersection_1': '1', 'union_1': '3',
        'iou_1': str(100 / 3),
        'class_id_2': '1', 'class_2': 'ant', 'supports_2': 'd.jpg|e.jpg',
        'present_2': '0', 'score_2': '0.5', 'intersection_2': '0', 'union_2': '0',
        'iou_2': ''}
    assert rows[0]['episode'] == '0' and rows[0]['exact'] == '0'
    for way in (1, 2):  # no mask
        assert [rows[0][f'{name}_{way}'] for name in ('intersection', 'union', 'iou')
                ] == ['', '', '']
