"""The table of a method's results over the folds, beside the published ones."""

from __future__ import annotations

from collections.abc import Mapping

from mmwsfs.utils.tables import markdown_table

from .published import (
    BENCHMARKS,
    EPISODES,
    FOLDS,
    LISTS,
    PROTOCOL,
    PUBLISHED,
    VOID,
)
from .selection import TEST_CLASSES, UNKNOWN

MEANS = ('exact_ratio', 'mIoU', 'FB-IoU', 'way_accuracy', 'presence_AUC', 'ECE')


def results_table(name: str,
                  reports: Mapping[tuple[int, int], Mapping[int, dict]]) -> dict:
    """Means over the folds, and the published rows that they may stand beside.

    Published rows are given where dataset, protocol and void convention are theirs and
    the test's episodes are the usual ones. Every row has ``selection``, by what its
    checkpoints were chosen (:func:`~mmwsfs.evaluation.selection.chosen_on`).

    Args:
        name: of the row, e.g. the config's.
        reports: (way, shot) -> fold -> what an
            :class:`~mmwsfs.engine.EpisodeReportHook` wrote as ``results.json``.

    Returns:
        dict: ready for JSON. ``columns`` maps '1w1s', ... to the ``mean`` over the
        folds (of those of ``MEANS`` that all have, per cent) and the report of each of
        the ``folds``;
        ``published`` is a list of rows with the same columns.

    Raises:
        ValueError: the reports differ in protocol, void convention, supervision,
            dataset, choice of episodes or folds, so that they make no common row.
    """
    flat = [report for folds in reports.values() for report in folds.values()]
    row: dict = dict(name=name)
    for key in ('protocol', 'void', 'supervision', 'dataset', 'episode_choice'):
        values = {
            report['dataset']['type'] if key == 'dataset'
            else report['dataset'].get(key, '') if key == 'episode_choice'
            else report[key] for report in flat}
        if len(values) > 1:
            raise ValueError(
                f'results of different {key}, {sorted(map(str, values))}, are not put '
                'into one table: test each in a work dir of its own')
        row[key] = values.pop()
    row['selection'] = ' or '.join(
        sorted({report.get('selection', UNKNOWN) for report in flat}))
    all_folds = {tuple(sorted(folds)) for folds in reports.values()}
    if len(all_folds) > 1:
        raise ValueError(
            f'the columns are means over different folds, {sorted(all_folds)}: test '
            'the same folds for every way and shot')
    row['folds'] = list(all_folds.pop())
    row['episodes'] = sorted({report['dataset']['episodes'] for report in flat})
    settings = flat[0]['dataset']['settings']
    row['lists'] = settings.get('lists')
    row['restricted'] = bool(settings.get('restrict_to_existing'))
    row['columns'] = {
        column(way, shot): dict(
            mean={
                key: sum(
                    report['metrics'][key] for report in folds.values()) / len(folds)
                for key in MEANS
                if all(key in report['metrics'] for report in folds.values())},
            folds={str(fold): folds[fold] for fold in row['folds']})
        for (way, shot), folds in reports.items()}
    row['published'] = []
    if (row['protocol'], row['void'], row['episode_choice']) == (PROTOCOL, VOID, ''):
        benchmark = BENCHMARKS.get(row['dataset'], '')
        for paper in PUBLISHED:
            columns = {
                column(way, shot): dict(zip(MEANS, paper.scores[benchmark, way, shot]))
                for way, shot in reports if (benchmark, way, shot) in paper.scores}
            if columns:
                row['published'].append(dict(
                    name=paper.method, supervision=paper.supervision,
                    selection=TEST_CLASSES, source=paper.source, columns=columns))
    return row


def column(way: int, shot: int) -> str:
    """Name of a column, '1w5s' for 1-way 5-shot."""
    return f'{way}w{shot}s'


def apart(table: Mapping) -> list[str]:
    """What sets a table's own row apart from its published ones, a sentence each.

    Args:
        table: of :func:`results_table`, or with its keys ``published``, ``dataset``,
            ``folds``, ``episodes``, ``lists`` and ``restricted``.
    """
    if not table['published']:
        return []
    lists = LISTS[BENCHMARKS[table['dataset']]]
    found = []
    if len(table['folds']) < FOLDS:
        found.append(f'The published results are means over {FOLDS} folds.')
    if table['episodes'] != [EPISODES]:
        found.append(f'The published results are of {EPISODES} episodes a fold.')
    if table['lists'] != lists:
        found.append(
            f'The published results are of the lists `{lists}`, not '
            f"`{table['lists']}`.")
    if table['restricted']:
        found.append(
            'The published results are of whole lists; here images are missing '
            '(`restrict_to_existing`).')
    return found


def markdown(table: Mapping) -> str:
    """A table of :func:`results_table` as Markdown: exact ratio / mIoU.

    A column ``AUC / ECE`` for each way and shot comes after these; no paper gives them.
    """
    columns = list(table['columns'])
    rows = []
    for paper in table['published']:
        rows.append([
            f"{paper['name']} ({paper['source']})", paper['supervision'], VOID,
            paper['selection'],
            *(_scores(paper['columns'].get(key)) for key in columns),
            *[''] * len(columns)])
    name, folds = table['name'], table['folds']
    if len(folds) < FOLDS:
        name += f" (fold{'s' * (len(folds) > 1)} {', '.join(map(str, folds))} only)"
    rows.append([
        f'**{name}**', str(table['supervision']), table['void'],
        table['selection'],
        *(_scores(cell['mean']) for cell in table['columns'].values()),
        *(_presence(cell['mean']) for cell in table['columns'].values())])
    episodes = ' or '.join(map(str, table['episodes']))
    choice = f", {table['episode_choice']}" if table['episode_choice'] else ''
    lines = [
        f"{BENCHMARKS.get(table['dataset'], table['dataset'])}, {table['protocol']}"
        f'{choice}: exact ratio / mIoU in per cent, mean over the folds; of the scores '
        'of presence the area under the ROC curve (AUC) and the expected calibration '
        'error (ECE).',
        f"In bold: {episodes} episodes a fold, lists `{table['lists']}`.",
        '', markdown_table([
            'method', 'labels', 'void as', 'checkpoint by', *columns,
            *(f'{name} AUC / ECE' for name in columns)], rows)]
    for line in apart(table):
        lines += ['', line]
    if (table['protocol'], table['void']) != (PROTOCOL, VOID):
        lines += [
            '', f'The published results known here are {PROTOCOL} with void as '
            f'{VOID}: other numbers, left out.']
    if choice:
        lines += [
            '', 'Published results are of other episodes, and left out.']
    return '\n'.join(lines) + '\n'


def _scores(scores: Mapping[str, float] | None) -> str:
    if scores is None:
        return ''
    return f"{scores['exact_ratio']:.1f} / {scores['mIoU']:.1f}"


def _presence(scores: Mapping[str, float]) -> str:
    values = (scores.get(key) for key in ('presence_AUC', 'ECE'))
    return ' / '.join('-' if value is None else f'{value:.1f}' for value in values)
