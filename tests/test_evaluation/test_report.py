"""What the files of a test's report are made of."""

from __future__ import annotations

import csv
import io

from mmwsfs.evaluation.report import episode_table


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
