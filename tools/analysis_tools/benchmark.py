"""Measure where the time goes: what episodes and training steps cost.

    benchmark.py --out work_dirs/benchmark [--full] [--profile] [--sweep]

Times are in units of T: one plain forward, without gradients, of one image through
mmpretrain's VisionTransformer of the backbone's settings (another kind of backbone:
through itself), in float32. Rows in bfloat16 have the frozen backbone in it. Each row
is measured in a process of its own, which times T and the work in turn, and is a ratio
of medians: other machines, and other programs on this one, change it little. Weights
and images are made; decoding of image files is left out. Writes benchmark.md and
benchmark.json into --out. Set OMP_NUM_THREADS to the cores to use.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from statistics import median

import torch
from mmengine.config import Config

sys.path.insert(0, str(Path(__file__).parent))

from cost.profiling import write_profile  # noqa: E402
from cost.sweep import write_sweep  # noqa: E402
from cost.workload import Job, measure  # noqa: E402

from mmwsfs.models.backbones.frozen_dtype import takes_dtype  # noqa: E402
from mmwsfs.utils.files import write_whole  # noqa: E402
from mmwsfs.utils.tables import markdown_table  # noqa: E402

CONFIG = Path(__file__).parents[2] / 'configs/_base_/models/cst_vit-s.py'
COLUMNS = ('work', 'measured', 'range', 'support tokens kept', 'published', 'target')
RESULT = 'RESULT '  # what a process prints before its result

# Row: what the published code takes, and the target; of CONFIG at 400 px in float32.
EXPECTED = {
    '1-way 1-shot episode, nothing cached': (6.1, 2.2),
    '1-way 5-shot episode, nothing cached': (28, 6.8),
    'episodes 1-shot, extrapolated': (6100, 470),
    'episodes 5-shot, extrapolated': (28000, 900),
    'training step, per episode, nothing cached': (6.5, 2.5),
    'training step, per episode, features cached': (None, 0.3),
    'neck + heads, forward + backward, per episode': (1.2, 0.28),
    'peak memory, training step of 2 episodes': (2.1, 0.7),
}


def jobs(base: Job, full: bool) -> dict[str, Job]:
    """What to measure, by the name of its row."""
    predict = replace(base, work='predict')
    train = replace(base, work='train', batch=2)
    neck = replace(base, work='neck', batch=2)
    rows = {
        '1-way 1-shot episode, nothing cached': predict,
        '1-way 5-shot episode, nothing cached': replace(predict, shot=5),
        'features of one image': replace(base, work='extract'),
        '1-way 1-shot episode, features cached': replace(predict, cached=True),
        '1-way 5-shot episode, features cached': replace(
            predict, shot=5, cached=True),
        'training step, per episode, nothing cached': train,
        'training step, per episode, features cached': replace(train, cached=True),
        'neck + heads, forward + backward, per episode': neck,
        'peak memory, training step of 2 episodes': replace(train, repeats=0),
    }
    extract = rows['features of one image']
    rows['peak memory, features of one image'] = replace(extract, repeats=0)
    if takes_dtype(Config.fromfile(base.config).model.backbone):
        for name in ('1-way 1-shot episode, nothing cached', 'features of one image',
                     'training step, per episode, nothing cached',
                     'peak memory, features of one image'):
            rows[f'{name}, bfloat16'] = replace(rows[name], dtype='bfloat16')
    for name in ('1-way 1-shot episode, features cached',
                 'training step, per episode, features cached',
                 'neck + heads, forward + backward, per episode',
                 'peak memory, training step of 2 episodes'):
        rows[f'{name}, full mask'] = replace(rows[name], object_share=1.)
    if full:
        for shot in (1, 5):
            rows[f'episodes {shot}-shot, run'] = replace(
                base, work='series', shot=shot, repeats=1)
    return rows


def run_job(job: Job) -> dict:
    """``measure(job)`` in a process of its own.

    Raises:
        RuntimeError: the process failed; the message holds what it said.
    """
    process = subprocess.run(
        [sys.executable, __file__, '--job', json.dumps(asdict(job))],
        capture_output=True, text=True)
    lines = [line for line in process.stdout.splitlines() if line.startswith(RESULT)]
    if process.returncode or not lines:
        raise RuntimeError(
            f'{job} failed (exit status {process.returncode}):\n'
            f'{process.stderr[-2000:]}')
    return json.loads(lines[-1][len(RESULT):])


def to_row(name: str, job: Job, result: dict) -> dict:
    """A measurement as a row: its value, in T or GB, and what it was made from."""
    row = dict(name=name, **result)
    if not job.repeats:
        return dict(row, value=result['memory']['peak'] / 1e9, unit='GB')
    batch = job.batch if job.work in ('train', 'neck') else 1
    unit = median(result['reference'])
    values = [seconds / unit / batch for seconds in result['seconds']]
    return dict(row, value=median(values), unit='T', range=[min(values), max(values)])


def extrapolate(images: int, episodes: int, extract: float, cached: float) -> float:
    """Cost of many episodes: every image once, then only neck and heads."""
    return images * extract + episodes * cached


def extrapolated_rows(base: Job, rows: list[dict]) -> list[dict]:
    """The rows of many episodes, 1-shot and 5-shot, from measured ones."""
    value = {row['name']: row['value'] for row in rows}
    return [dict(
        name=f'episodes {shot}-shot, extrapolated',
        value=extrapolate(
            base.images, base.episodes, value['features of one image'],
            value[f'1-way {shot}-shot episode, features cached']),
        unit='T',
        formula=f'{base.images} x (features of one image) + {base.episodes} x '
        f'(1-way {shot}-shot episode, features cached)') for shot in (1, 5)]


def describe_machine(device: str) -> dict:
    """What the times depend on."""
    cpu = platform.processor()
    info = Path('/proc/cpuinfo')
    if info.exists():
        cpu = next((line.split(':')[1].strip() for line in info.read_text().splitlines()
                    if line.startswith('model name')), cpu)
    return dict(
        cpu=cpu, cores=os.cpu_count(), threads=torch.get_num_threads(),
        load_average=os.getloadavg()[0],
        device=torch.cuda.get_device_name() if device == 'cuda' else 'cpu',
        torch=torch.__version__, python=platform.python_version(),
        date=datetime.date.today().isoformat())


def make_report(base: Job, full: bool, run: Callable[[Job], dict]) -> dict:
    """Measure all rows; ``run`` does a job."""
    machine = describe_machine(base.device)
    rows = []
    for name, job in jobs(base, full).items():
        rows.append(to_row(name, job, run(job)))
        print(f"{name}: {number(rows[-1]['value'])} {rows[-1]['unit']}", flush=True)
    rows += extrapolated_rows(base, rows)
    comparable = Path(base.config).resolve() == CONFIG and base.img_size == 400
    for row in rows:
        row['published'], row['target'] = EXPECTED.get(
            row['name'], (None, None)) if comparable else (None, None)
    units = [second for row in rows for second in row.get('reference', [])]
    return dict(
        machine=machine, settings=asdict(base), rows=rows,
        T=dict(seconds=median(units), range=[min(units), max(units)]))


def number(value: float | None) -> str:
    """Three digits that matter, or a dash."""
    if value is None:
        return '-'
    return f'{value:.0f}' if abs(value) >= 100 else f'{value:.3g}'


def to_markdown(report: dict) -> str:
    """The report as text."""
    machine, settings, unit = (report[key] for key in ('machine', 'settings', 'T'))
    lines = [
        '# Cost', '',
        f"{machine['device']}; {machine['cpu']}, {machine['cores']} cores, "
        f"{machine['threads']} threads, load average {machine['load_average']:.1f} at "
        f"the start; torch {machine['torch']}, Python {machine['python']}; "
        f"{machine['date']}.", '',
        f"`{Path(settings['config']).name}`, {settings['img_size']} px, float32 "
        f"where a row does not say bfloat16, "
        f"{settings['clock']} clock, medians of {settings['repeats']}. "
        f"T = {unit['seconds']:.3g} s (from {unit['range'][0]:.3g} to "
        f"{unit['range'][1]:.3g} s over all rows). Masks of supports "
        f"cover {settings['object_share']:.0%} of the image, typical of "
        'pseudo-masks, unless a row says full mask.', '']
    rows = []
    for row in report['rows']:
        name = row['name']
        if name.startswith('episodes'):
            name = f"{settings['episodes']} {name}"
        low, high = row.get('range', (None, None))
        rows.append((
            name, f"{number(row['value'])} {row['unit']}",
            '-' if low is None else f'{number(low)} - {number(high)}',
            row.get('kept_keys', '-'), number(row['published']),
            number(row['target'])))
    lines += [markdown_table(COLUMNS, rows), '',
              f"The episodes are over {settings['images']} distinct images. "
              'Extrapolated:', '']
    lines += [f"- {row['name']} = {row['formula']}"
              for row in report['rows'] if 'formula' in row]
    lines += ['', 'Memory is above that of the process after its imports, in 10^9 '
              'bytes; in parts:', '']
    lines += [f"- {row['name']}: model and inputs "
              f"{row['memory']['inputs'] / 1e9:.2f} GB, the work "
              f"{(row['memory']['peak'] - row['memory']['inputs']) / 1e9:.2f} GB more"
              for row in report['rows'] if row['unit'] == 'GB']
    return '\n'.join(lines) + '\n'


def main(arguments: list[str] | None = None,
         run: Callable[[Job], dict] = run_job) -> None:
    """The command line; ``run`` does a job."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--out', type=Path, default=Path('work_dirs/benchmark'))
    parser.add_argument(
        '--config', default=str(CONFIG), help='with a model; default: CST, ViT-S/8')
    parser.add_argument('--img-size', type=int, default=400, help='in pixels')
    parser.add_argument('--repeats', type=int, default=5, help='of every time')
    parser.add_argument('--device', choices=('cpu', 'cuda'), default='cpu')
    parser.add_argument(
        '--clock', choices=('wall', 'cpu'), default='wall',
        help='cpu: CPU time of all threads, for a machine that is busy otherwise')
    parser.add_argument(
        '--full', action='store_true', help='run the many episodes as well')
    parser.add_argument('--episodes', type=int, default=1000, help='of many episodes')
    parser.add_argument(
        '--images', type=int, default=346, help='distinct, of many episodes')
    parser.add_argument(
        '--ram-gb', type=float, default=12, help='bound of the feature cache in GiB')
    parser.add_argument(
        '--profile', action='store_true',
        help='profile_*.txt: the 15 dearest operations, and a split into parts')
    parser.add_argument(
        '--sweep', action='store_true',
        help='sweep.json, sweep.png: cost over image size, way, shot and batch')
    parser.add_argument('--job', help=argparse.SUPPRESS)
    args = parser.parse_args(arguments)
    if args.job:
        print(RESULT + json.dumps(measure(Job(**json.loads(args.job)))))
        return
    if args.repeats < 1:
        parser.error('--repeats must be at least 1')
    if args.clock == 'cpu' and args.device == 'cuda':
        parser.error('--clock cpu does not see what a GPU does: use --clock wall')
    base = Job(
        work='extract', config=str(Path(args.config).resolve()),
        img_size=args.img_size, device=args.device, clock=args.clock,
        repeats=args.repeats, episodes=args.episodes, images=args.images,
        ram_gb=args.ram_gb)
    report = make_report(base, args.full, run)
    text = to_markdown(report)
    write_whole(args.out / 'benchmark.md', text)
    write_whole(args.out / 'benchmark.json', json.dumps(report, indent=1) + '\n')
    print(text)
    if args.profile:
        for work in ('train', 'predict'):
            write_profile(replace(base, work=work), args.out)
    if args.sweep:
        write_sweep(base, args.out, run)


if __name__ == '__main__':
    main()
