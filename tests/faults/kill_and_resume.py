"""Kill a training at random moments, resume it, and compare with one left alone.

    python tests/faults/kill_and_resume.py [--draws 20] [--seed 0]

A training with a fitting stage, validation, best and last checkpoints, and workers that
load its data. Each draw is a work dir of its own, in which the training is killed by
SIGKILL once or twice, at a moment drawn by the clock or by what is going on (KINDS in
killed.py), then resumed to the end. Losses, weights, optimizer, the set of checkpoints
and the best score have to be those of the training that nobody killed, bit by bit.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import runpy
import shutil
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

from killed import KINDS, die_at
from run_records import assert_same_training, logged, tiny_config

from mmwsfs.datasets.demo_shapes import make_demo_shapes

REPOSITORY = Path(__file__).resolve().parents[2]
TOOL = REPOSITORY / 'tools/train.py'


def train(config: Path, work_dir: Path, kind: str, count: int = 0,
          seconds: float = math.inf) -> tuple[int, str, float]:
    """Train, or go on, in a process of its own.

    It is forked from this one, which has imported all that takes long.

    Returns:
        tuple: the exit status, of a killed one -9; the output, at whose end are the
        numbers of moments of each kind; the seconds that it took.
    """
    start = time.monotonic()
    with tempfile.TemporaryFile('w+') as output:
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                os.dup2(output.fileno(), 1)
                os.dup2(output.fileno(), 2)
                moments = die_at(kind, count)
                sys.argv = [str(TOOL), str(config), '--work-dir', str(work_dir),
                            '--resume']
                runpy.run_path(str(TOOL), run_name='__main__')
                print('moments', json.dumps(moments), flush=True)
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                os._exit(status)
        while not os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            if time.monotonic() - start > seconds:
                os.kill(pid, signal.SIGKILL)
            time.sleep(0.01)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        output.seek(0)
        return status, output.read(), time.monotonic() - start


def draw_moment(rng: random.Random, kind: str, counts: dict[str, int],
                duration: float) -> dict:
    """Arguments of :func:`train`."""
    if kind == 'clock':
        return dict(kind='clock', seconds=rng.uniform(0.05, 1) * duration)
    return dict(kind=kind, count=rng.randint(1, counts[kind]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--draws', type=int, default=20)
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args()
    rng = random.Random(args.seed)
    folder = Path(tempfile.mkdtemp())
    os.environ['MMWSFS_DATA_ROOT'] = str(folder)
    sys.path.insert(0, str(TOOL.parent))
    os.chdir(REPOSITORY)
    try:
        make_demo_shapes(
            folder / 'demo_shapes', train_images=10, val_images=20, size=96)
        config = tiny_config(
            folder / 'tiny.py', REPOSITORY, iters=24, interval=4, val_interval=6,
            fitting=60, workers=2)
        whole = folder / 'whole'
        status, output, duration = train(config, whole, 'none')
        assert status == 0, output
        counts = json.loads(output.rpartition('moments ')[2])
        print(f'uninterrupted: {duration:.0f} s, {len(logged(whole))} lines of the log;'
              f' moments: {counts}', flush=True)
        for draw in range(args.draws):
            work_dir = folder / f'draw{draw}'
            kinds = [(*KINDS, 'clock')[draw % (len(KINDS) + 1)]]
            if rng.random() < 0.5:
                kinds.append(rng.choice(KINDS))
            said = []
            for kind in kinds:
                moment = draw_moment(rng, kind, counts, duration)
                status, output, _ = train(config, work_dir, **moment)
                assert status in (0, -signal.SIGKILL), output
                at = moment.get('count') or f"{moment['seconds']:.1f} s"
                said.append(f'{kind} {at}' + ', too late' * (status == 0))
            status, output, _ = train(config, work_dir, 'none')
            assert status == 0, output
            resumed = [line.rpartition(' - ')[2] for line in output.splitlines()
                       if 'resumed epoch' in line]
            assert_same_training(whole, work_dir)
            print(f"{draw + 1:2}. killed at {' and at '.join(said)}; "
                  f"{resumed[0] if resumed else 'begun anew'}; equal", flush=True)
            shutil.rmtree(work_dir)
    finally:
        shutil.rmtree(folder)


if __name__ == '__main__':
    main()
