"""How cost grows with image size, way, shot and batch."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from mmwsfs.utils.files import write_whole

from .workload import Job

# Axis: what is measured, and where; sizes are shares of the size given.
WORK = dict(img_size='predict', way='predict', shot='predict', batch='train')
SHARES, WAYS, SHOTS, BATCHES = (0.5, 0.75, 1), (1, 2, 4), (1, 2, 4), (1, 2, 4)


def sizes(size: int) -> list[int]:
    """Image sizes up to ``size``: multiples of 56, of all usual patches, and itself."""
    return sorted({max(round(size * share / 56), 1) * 56 for share in SHARES[:-1]}
                  | {size})


def points(base: Job) -> list[tuple[str, Job]]:
    """One axis after the other, the others at 1; all with and without a cache.

    Each is timed once: a trend is wanted, in a few minutes.
    """
    values = dict(
        img_size=sizes(base.img_size), way=WAYS, shot=SHOTS, batch=BATCHES)
    return [
        (axis, replace(base, work=work, cached=cached, repeats=1, **{axis: value}))
        for axis, work in WORK.items() for value in values[axis]
        for cached in (False, True)]


def write_sweep(base: Job, out: Path, run: Callable[[Job], dict]) -> None:
    """Measure, by ``run``, and write sweep.json and sweep.png into ``out``.

    Seconds are of a whole batch, memory is the peak above the imports. Jobs that are
    points of several axes are run once.
    """
    done: dict[Job, dict] = {}
    table = []
    for axis, job in points(base):
        if job not in done:
            print(f'sweep: {axis} {getattr(job, axis)}', flush=True)
            done[job] = run(job)
        result = done[job]
        table.append(dict(
            axis=axis, value=getattr(job, axis), work=job.work, cached=job.cached,
            img_size=job.img_size, way=job.way, shot=job.shot, batch=job.batch,
            seconds=result['seconds'][0], T=result['reference'][0],
            memory=result['memory']['peak']))
    write_whole(out / 'sweep.json', json.dumps(table, indent=1) + '\n')
    plot(table, out / 'sweep.png')


def plot(table: list[dict], path: Path) -> None:
    """Time above, memory below, one column an axis."""
    from matplotlib.figure import Figure  # slow to import

    figure = Figure(figsize=(14, 6), layout='constrained')
    panels = figure.subplots(2, len(WORK), sharex='col')
    for column, (axis, work) in enumerate(WORK.items()):
        for cached in (False, True):
            rows = [row for row in table
                    if row['axis'] == axis and row['cached'] is cached]
            x = [row['value'] for row in rows]
            label = 'features cached' if cached else 'nothing cached'
            panels[0, column].plot(
                x, [row['seconds'] for row in rows], 'o-', label=label)
            panels[1, column].plot(
                x, [row['memory'] / 1e9 for row in rows], 'o-', label=label)
        title = 'episode' if work == 'predict' else 'training step'
        panels[0, column].set_title(f'{title} by {axis}')
        panels[1, column].set_xlabel(axis)
        for panel in panels[:, column]:
            panel.set_ylim(bottom=0)
    panels[0, 0].set_ylabel('seconds')
    panels[1, 0].set_ylabel('peak memory, GB')
    panels[0, 0].legend()
    figure.savefig(path, dpi=110)
