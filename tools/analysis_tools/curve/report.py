"""What is written of a curve: rows beside published ones, and a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from scipy import stats

from mmwsfs.evaluation.published import BENCHMARKS, MASK_SHARES, SUPPORTS
from mmwsfs.evaluation.results_table import apart
from mmwsfs.utils.tables import markdown_table

SCORES = dict(exact_ratio='exact ratio', mIoU='mIoU')
NAMES = {'image': 'tags alone', 'pixel': 'masks for all'}


def interval(values: Sequence[float]) -> dict:
    """Mean and 95 % interval of Student's t; a single value has none."""
    mean = float(np.mean(values))
    low = high = None
    if len(values) > 1:
        half = stats.sem(values) * stats.t.ppf(0.975, len(values) - 1)
        low, high = mean - half, mean + half
    return dict(values=list(values), mean=mean, low=low, high=high)


def summarise(tables: Mapping[int, dict], image: Mapping[int, dict]) -> dict:
    """A row: scores over the seeds, and the gain over tags alone, paired by seed.

    Args:
        tables: seed -> ``table.json`` of run_folds.py with ``mask_share``, the share of
            the training images with masks, 0..1.
        image: the same of tags alone, of the seeds that are there.
    """
    first = next(iter(tables.values()))
    columns: dict[str, dict] = {}
    for column, cell in first['columns'].items():
        report = next(iter(cell['folds'].values()))
        masks = report['dataset']['settings'].get('support_masks')
        columns[column] = {}
        for key in SCORES:
            own, plain = ({
                seed: table['columns'][column]['mean'][key]
                for seed, table in of.items()} for of in (tables, image))
            columns[column][key] = interval(list(own.values()))
            gains = [own[seed] - plain[seed] for seed in own if seed in plain]
            columns[column][f'{key}_gain'] = interval(gains) if gains else None
    return dict(
        share=float(np.mean([table['mask_share'] for table in tables.values()])),
        support='mask' if masks else 'tag', seeds=list(tables),
        selection=sorted({table['selection'] for table in tables.values()}),
        columns=columns)


def text(score: dict | None, sign: str = '') -> str:
    """'46.8 (43.6 to 49.8)'; '' of None."""
    if score is None:
        return ''
    if score['low'] is None:
        return f"{score['mean']:{sign}.1f}"
    return f"{score['mean']:{sign}.1f} ({score['low']:{sign}.1f} to " \
           f"{score['high']:{sign}.1f})"


def markdown(curve: Mapping) -> str:
    """The rows as a table, published ones before ours of the same labels."""
    columns = list(curve['rows'][0]['columns'])
    header = [
        'trained from', 'images with masks', 'a support needs', 'seeds',
        *(f'{column} {title}' for column in columns for title in (
            *SCORES.values(), 'mIoU over tags alone, paired'))]
    rows = []
    for row in curve['rows']:
        rows += [_published_row(paper, columns) for paper in curve['published']
                 if paper['supervision'] == row['name']]
        name = NAMES.get(row['name'])
        name = name or f"masks for {100 * float(row['name'].partition('-')[2]):g} %"
        cells = []
        for scores in row['columns'].values():
            cells += [text(scores[key]) for key in SCORES]
            cells.append('' if row['name'] == 'image' else text(
                scores['mIoU_gain'], '+'))
        rows.append([
            name, f"{row['share']:.1%}", row['support'],
            ', '.join(map(str, row['seeds'])), *cells])
    selections = sorted({words for row in curve['rows'] for words in row['selection']})
    lines = [
        f"{BENCHMARKS.get(curve['dataset'], curve['dataset'])}, "
        f"`{curve['config']}`: lists `{curve['lists']}`, folds "
        f"{', '.join(map(str, curve['folds']))}, "
        f"{' or '.join(map(str, curve['episodes']))} episodes a fold; checkpoint by: "
        f"{' or '.join(selections)}. Per cent; mean over the folds, then mean and 95 % "
        'interval over the seeds.',
        '', markdown_table(header, rows)]
    if curve['published']:
        lines += [
            '', 'Rows with a paper are published results, their checkpoints chosen by '
            f"{curve['published'][0]['selection']}; none is known here of masks for a "
            'share of the images. No method of the table is told the name of a class.']
    if differences := apart(curve):
        lines += ['', f"{' '.join(differences)} **Ours do not compare with them.**"]
    return '\n'.join(lines) + '\n'


def _published_row(paper: Mapping, columns: Sequence[str]) -> list[str]:
    cells = []
    for column in columns:
        scores = paper['columns'].get(column)
        cells += [f'{scores[key]:.1f}' if scores else '' for key in SCORES] + ['']
    supervision = paper['supervision']
    return [
        f"{paper['name']} ({paper['source']})", f'{MASK_SHARES[supervision]:.1%}',
        SUPPORTS[supervision], '', *cells]


def plot(curve: Mapping, path: Path) -> None:
    """Both scores over the share of images with masks, all seeds as dots, published
    results as crosses."""
    from matplotlib.figure import Figure  # slow to import

    figure = Figure(figsize=(10, 4), layout='constrained')
    panels = figure.subplots(1, len(SCORES))
    rows = curve['rows']
    shares = [100 * row['share'] for row in rows]
    for panel, (key, title) in zip(panels, SCORES.items()):
        for number, column in enumerate(rows[0]['columns']):
            colour = f'C{number}'
            scores = [row['columns'][column][key] for row in rows]
            panel.plot(
                shares, [score['mean'] for score in scores], 'o-', color=colour,
                label=column)
            for share, score in zip(shares, scores):
                panel.plot(
                    [share] * len(score['values']), score['values'], '.', color=colour,
                    markersize=4, alpha=0.6)
            # A point of a single seed has no interval.
            panel.fill_between(
                shares, *([np.nan if score[end] is None else score[end]
                           for score in scores] for end in ('low', 'high')),
                color=colour, alpha=0.2, linewidth=0)
            for paper in curve['published']:
                if column in paper['columns']:
                    panel.plot(
                        100 * MASK_SHARES[paper['supervision']],
                        paper['columns'][column][key], 'x', color=colour)
        panel.set_xscale('symlog', linthresh=min(
            (share for share in shares if share), default=1))
        panel.set_xticks(shares, [f'{round(share, 1):g}' for share in shares])
        panel.set_xlabel('images with masks, %')
        panel.set_ylabel(f'{title}, %')
        panel.grid(alpha=0.3)
    panels[0].legend()
    figure.suptitle(
        f"{curve['config']}, {curve['lists']}, folds "
        f"{', '.join(map(str, curve['folds']))}"
        + '; crosses: published' * bool(curve['published']))
    figure.savefig(path, dpi=110)
