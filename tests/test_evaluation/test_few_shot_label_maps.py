"""FewShotMetric as mmseg's --out sets it, and on the output of other models."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from PIL import Image
from torch import distributed

from mmwsfs.evaluation import FewShotMetric
from mmwsfs.structures import FewShotDataSample

META = dict(classes=('a', 'b', 'c'), class_ids=(1, 2, 3), fold=0, way=2, shot=1)


def episode(number: int, without: str | None = None) -> dict:
    """The outcome of an episode, of which one thing may be missing."""
    generator = torch.Generator().manual_seed(number)
    sample = FewShotDataSample(metainfo=dict(
        episode=number, query_path=f'folder/image{number % 3}.jpg', class_ids=[1, 3],
        support_paths=[['a.jpg'], ['c.jpg']]))
    if without != 'pred_sem_seg':
        sample.pred_sem_seg = PixelData(
            data=torch.randint(0, 3, (1, 6, 5), generator=generator).byte())
    sample.gt_sem_seg = PixelData(
        data=torch.randint(0, 3, (1, 6, 5), generator=generator).byte())
    if without != 'gt_presence':
        sample.gt_presence = torch.tensor([True, False])
    if without != 'presence_scores':
        sample.presence_scores = torch.rand(2, generator=generator)
    return sample.to_dict()


def score(metric: FewShotMetric, episodes: list[dict], size: int) -> dict:
    metric.dataset_meta = META
    for one in episodes:
        metric.process({}, [one])
    return metric.evaluate(size)


def written(folder: Path) -> dict[str, np.ndarray]:
    return {path.name: np.array(Image.open(path)) for path in folder.iterdir()}


def test_label_maps(tmp_path: Path) -> None:
    """One an episode, though queries come again; scores are as without them."""
    episodes = [episode(number) for number in range(5)]
    out = tmp_path / 'out'
    metrics = score(
        FewShotMetric(output_dir=str(out), keep_results=True), episodes, 5)
    assert metrics == score(FewShotMetric(), episodes, 5)
    maps = written(out)
    assert sorted(maps) == [f'{n:06d}_image{n % 3}.png' for n in range(5)]
    for one in episodes:
        name = f"{one['episode']:06d}_image{one['episode'] % 3}.png"
        assert maps[name].dtype == np.uint8
        assert (maps[name] == one['pred_sem_seg']['data'][0].numpy()).all()


def test_format_only(tmp_path: Path) -> None:
    """Nothing is scored, and nothing that scores need be known."""
    metric = FewShotMetric(output_dir=str(tmp_path / 'out'), format_only=True)
    assert score(metric, [episode(0, 'gt_presence'), episode(1, 'presence_scores')],
                 2) == {}
    assert len(written(tmp_path / 'out')) == 2
    with pytest.raises(ValueError, match='set test_evaluator.output_dir'):
        FewShotMetric(format_only=True)


@pytest.mark.parametrize('name, mend', [
    ('pred_sem_seg', r"the model's predict gives: label maps, \(1, H, W\)"),
    ('presence_scores', r"the model's predict gives: \(N, \)"),
    ('gt_presence', 'PackEpisodeInputs gives')])
def test_what_is_missing_is_said(name: str, mend: str) -> None:
    """Of which episode, what it is and who gives it."""
    message = f'episode 7: FewShotMetric needs {name}.*{mend}'
    with pytest.raises(ValueError, match=message):
        score(FewShotMetric(), [episode(7, name)], 1)


def test_scores_of_other_ways() -> None:
    """One score a way, no more: they would be paired wrongly."""
    one = dict(episode(3), presence_scores=torch.rand(3))
    with pytest.raises(ValueError, match='gives 3 presence_scores for 2 ways'):
        score(FewShotMetric(), [one], 1)


def _rank(rank: int, folder: Path, results: multiprocessing.Queue) -> None:
    """One of two ranks: five episodes, of which the first fills up the second's share.
    """
    distributed.init_process_group(
        'gloo', init_method=f'file://{folder}/store', rank=rank, world_size=2)
    torch.set_num_threads(1)
    mine = [episode(number) for number in ((0, 2, 4), (1, 3, 0))[rank]]
    metrics = score(FewShotMetric(output_dir=str(folder / 'out')), mine, 5)
    results.put((rank, metrics))
    distributed.barrier()
    distributed.destroy_process_group()


def test_two_ranks_write_what_one_writes(tmp_path: Path) -> None:
    """The same files and the same metrics; no part of a file is left."""
    context = multiprocessing.get_context('fork')
    results = context.Queue()
    ranks = [context.Process(target=_rank, args=(rank, tmp_path, results))
             for rank in (0, 1)]
    for process in ranks:
        process.start()
    metrics = dict(results.get(timeout=60) for _ in ranks)
    for process in ranks:
        process.join(60)
        assert process.exitcode == 0
    one = score(FewShotMetric(output_dir=str(tmp_path / 'one')),
                [episode(number) for number in range(5)], 5)
    assert metrics[0] == metrics[1] == one
    two_ranks, one_rank = written(tmp_path / 'out'), written(tmp_path / 'one')
    assert two_ranks.keys() == one_rank.keys()
    assert all((two_ranks[name] == one_rank[name]).all() for name in one_rank)
