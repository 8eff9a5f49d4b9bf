"""What a test's report is made of."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence


def episode_table(episodes: Sequence[Mapping], classes: Sequence[str]) -> str:
    """A CSV of a row an episode, in the order of their numbers.

    Args:
        episodes: what :class:`~mmwsfs.evaluation.FewShotMetric` notes of each.
        classes: names of all classes of the dataset.

    Returns:
        str: the columns ``episode``, ``query``, ``exact`` (0 or 1) and, of each way
        n = 1..N, ``class_id_n``, ``class_n``, ``supports_n`` (paths, joined by '|'),
        ``present_n`` (0 or 1, the truth), ``score_n`` (0..1, predicted),
        ``intersection_n`` and ``union_n`` (pixels; empty without a mask) and ``iou_n``
        (per cent; empty without a union).
    """
    rows = []
    for episode in sorted(episodes, key=lambda episode: episode['episode']):
        row = dict(episode=episode['episode'], query=episode['query'], exact=1)
        areas = episode['areas'] or [('', '')] * len(episode['class_ids'])
        ways = zip(*(episode[key] for key in (
            'class_ids', 'supports', 'presence', 'scores')), areas)
        for way, (number, supports, present, score, (both, either)) in enumerate(
                ways, start=1):
            if (score > 0.5) != present:
                row['exact'] = 0
            row.update({
                f'class_id_{way}': number,
                f'class_{way}': classes[number - 1],
                f'supports_{way}': '|'.join(supports),
                f'present_{way}': int(present),
                f'score_{way}': score,
                f'intersection_{way}': both,
                f'union_{way}': either,
                f'iou_{way}': 100 * both / either if either else ''})
        rows.append(row)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator='\n')
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
