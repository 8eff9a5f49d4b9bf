"""Our samplers over another data set, our metric on another segmentor's output."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS, MODELS
from mmengine.runner import Runner
from mmengine.structures import PixelData
from mmseg.models import BaseSegmentor
from torch.utils.data import DataLoader, Dataset

from mmwsfs.datasets import EpisodeKey, TrainEpisodeSampler
from mmwsfs.structures import FewShotDataSample

COLOURS = {1: 50, 2: 100, 3: 150}


class Squares(Dataset):
    """Grey squares, a class each grey, of which every other query shows one.

    As much as the samplers, the loops and the metric ask of a data set.
    """

    metainfo = dict(classes=('dark', 'grey', 'light'), class_ids=(1, 2, 3), way=2,
                    shot=1)

    def __init__(self) -> None:
        self.data_list = [dict(shown=number % 3 + 1) for number in range(6)]

    def __len__(self) -> int:
        return len(self.data_list)

    def __getitem__(self, key: int | EpisodeKey) -> dict:
        query = key.query if isinstance(key, EpisodeKey) else key
        shown = self.data_list[query]['shown']
        ways = [shown, shown % 3 + 1]
        if isinstance(key, EpisodeKey) and key.present is False:
            ways = ways[1:] + [ways[1] % 3 + 1]
        sample = FewShotDataSample(metainfo=dict(
            episode=query, query_path=f'{query}.png', class_ids=ways,
            support_paths=[['none'], ['none']], ori_shape=(8, 8)))
        mask = torch.zeros(1, 8, 8, dtype=torch.uint8)
        mask[:, 2:6, 2:6] = ways.index(shown) + 1 if shown in ways else 0
        sample.gt_sem_seg = PixelData(data=mask)
        sample.gt_presence = torch.tensor([number == shown for number in ways])
        image = torch.full((3, 8, 8), 0.)
        image[:, 2:6, 2:6] = COLOURS[shown]
        return dict(inputs=image, data_samples=sample)


class GreyReader(BaseSegmentor):
    """Knows the classes' greys; what it lacks is left out of its output."""

    def __init__(self, lacks: str | None = None) -> None:
        super().__init__()
        self.lacks = lacks

    def loss(self, inputs, data_samples):
        raise NotImplementedError

    _forward = encode_decode = extract_feat = loss

    def predict(self, inputs, data_samples):
        for image, sample in zip(inputs, data_samples):
            greys = torch.tensor([COLOURS[number] for number in sample.class_ids])
            found = image[0] == greys[:, None, None]
            if self.lacks != 'presence_scores':
                sample.presence_scores = found.flatten(1).any(dim=1).float()
            if self.lacks != 'pred_sem_seg':
                labels = (found * torch.tensor([1, 2])[:, None, None]).sum(dim=0)
                sample.pred_sem_seg = PixelData(data=labels[None].byte())
        return data_samples


@pytest.fixture
def evaluate(tmp_path: Path):
    """Tests a ``GreyReader`` on ``Squares`` by MMEngine's runner."""
    DATASETS.register_module(name='Squares', module=Squares, force=True)
    MODELS.register_module(name='GreyReader', module=GreyReader, force=True)

    def run(**settings) -> dict:
        cfg = Config(dict(
            default_scope='mmwsfs', work_dir=str(tmp_path / 'work'),
            experiment_name=tmp_path.name, log_level='WARNING',
            model=dict(type='GreyReader', **settings),
            test_dataloader=dict(
                batch_size=4, num_workers=0, dataset=dict(type='Squares'),
                sampler=dict(type='EvalEpisodeSampler'),
                collate_fn=dict(type='pseudo_collate')),
            test_evaluator=dict(
                type='FewShotMetric', output_dir=str(tmp_path / 'maps')),
            test_cfg=dict(type='TestLoop'),
            default_hooks=dict(checkpoint=None)))
        runner = Runner.from_cfg(cfg)
        runner.model.data_preprocessor.forward = lambda data, training=False: dict(
            data, inputs=torch.stack(data['inputs']))
        return runner.test()

    yield run
    DATASETS.module_dict.pop('Squares')
    MODELS.module_dict.pop('GreyReader')


def test_another_segmentor_on_another_data_set(evaluate, tmp_path: Path) -> None:
    """Neither knows of mmwsfs's models; a reader of greys is right everywhere."""
    metrics = evaluate()
    assert metrics['mIoU'] == metrics['exact_ratio'] == metrics['FB-IoU'] == 100
    assert metrics['episodes'] == 6 and metrics['IoU.dark'] == 100
    assert len(list((tmp_path / 'maps').iterdir())) == 6


@pytest.mark.parametrize('lacks', ['presence_scores', 'pred_sem_seg'])
def test_what_another_segmentor_lacks(evaluate, lacks: str) -> None:
    """Is said, with what it should be."""
    with pytest.raises(ValueError, match=f'FewShotMetric needs {lacks}, which the mod'):
        evaluate(lacks=lacks)


@pytest.mark.parametrize('workers', [0, 2])
def test_training_episodes_of_another_data_set(workers: int) -> None:
    """The sampler asks for the number of queries, and gives an ``EpisodeKey``."""
    dataset = Squares()
    sampler = TrainEpisodeSampler(dataset, seed=3)
    loader = iter(DataLoader(dataset, batch_size=3, sampler=sampler,
                             num_workers=workers, collate_fn=pseudo_collate))
    episodes = [sample.episode for _ in range(4)
                for sample in next(loader)['data_samples']]
    assert sorted(episodes[:6]) == sorted(episodes[6:]) == list(range(6))
    assert episodes[:6] == [sampler.key(position).query for position in range(6)]
    if workers:
        loader._shutdown_workers()
