"""PseudoLabelHook: logs and draws image-level supervision in a real training run."""
from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.runner import Runner
from PIL import Image

from mmwsfs.datasets import TrainEpisodeSampler


def train(cfg: Config, pictures: int = 0) -> Runner:
    cfg.custom_hooks = [dict(type='PseudoLabelHook', num_pictures=pictures)]
    runner = Runner.from_cfg(cfg)
    runner.train()
    return runner


def logged(runner: Runner, name: str) -> list[float]:
    return runner.message_hub.get_scalar(f'train/{name}').data[0].tolist()


def batches(runner: Runner, count: int) -> list[dict]:
    """The batches that a run began with, made anew."""
    dataset = runner.train_dataloader.dataset
    size = runner.train_dataloader.batch_size
    keys = islice(TrainEpisodeSampler(dataset, runner.seed), count * size)
    items = [dataset[key] for key in keys]
    return [pseudo_collate(items[i:i + size]) for i in range(0, len(items), size)]


def test_trains_without_mask_files(
        tiny_config: Config, tiny_voc_without_masks: Path) -> None:
    """Image-level supervision trains where no mask exists."""
    tiny_config.train_dataloader.dataset.data_root = str(tiny_voc_without_masks)
    tiny_config.test_dataloader = tiny_config.test_evaluator = None
    tiny_config.test_cfg = None
    runner = train(tiny_config)
    assert runner.iter == 2
    assert runner.model.supervision == 'image'
    assert all(np.isfinite(logged(runner, 'loss')))
    assert not (Path(runner.work_dir) / 'pseudo_labels').exists()


def test_it_changes_nothing(tiny_config: Config) -> None:
    """A run without it ends with the same weights: supervision is the model's."""
    cfg = Config(tiny_config.to_dict())
    cfg.experiment_name += '_bare'
    cfg.custom_hooks = []
    runner, bare = train(tiny_config, pictures=3), Runner.from_cfg(cfg)
    bare.train()
    assert bare.model.supervision == 'image'
    for name, value in runner.model.state_dict().items():
        assert torch.equal(value, bare.model.state_dict()[name]), name


def test_masks_for_all_need_no_hook(tiny_config: Config) -> None:
    """A model that makes no pseudo-masks has none to log: the error says what to set.
    """
    tiny_config.model.supervision = 'pixel'
    with pytest.raises(ValueError, match="PseudoLabelHook.*model.supervision='image'"):
        train(tiny_config)


def test_a_model_that_needs_masks_gets_none(tiny_config: Config) -> None:
    """The error says what to set, not silently another supervision."""
    tiny_config.model.supervision = 'pixel'
    tiny_config.custom_hooks = []
    runner = Runner.from_cfg(tiny_config)
    with pytest.raises(ValueError, match="masks='all'.*model.supervision='image'"):
        runner.train()


def test_coverage_is_logged(tiny_config: Config) -> None:
    """The logged shares are those of the masks that the model trained on."""
    runner = train(tiny_config)
    support, query = [], []
    for data in batches(runner, 2):
        presence = torch.cat([sample.gt_presence for sample in data['data_samples']])
        assert 0 < presence.sum() < len(presence)  # both cases are in the batch
        inputs = runner.model.data_preprocessor(data)['inputs']
        with torch.no_grad():
            queries, supports, query_of = runner.model.extract_episodes(inputs)
            size = tuple(inputs['query'].shape[-2:])
            labeler = runner.model.labeler
            support.append(labeler(supports, supports, size).float().mean().item())
            masks = labeler(supports, queries[query_of], size)
            query.append(masks[presence].float().mean().item())
    assert all(0 < value < 1 for value in support + query)
    assert logged(runner, 'pseudo_support_coverage') == pytest.approx(support)
    assert logged(runner, 'pseudo_query_coverage') == pytest.approx(query)


def test_labeler_is_left_without_hooks(tiny_config: Config) -> None:
    """Nothing stays behind that would collect masks in later use of the model."""
    runner = train(tiny_config)
    assert not runner.model.labeler._forward_hooks


@pytest.mark.parametrize('pictures', [3, 6])
def test_pictures(tiny_config: Config, pictures: int) -> None:
    """As many pictures as asked, within a batch of four and over two of them."""
    runner = train(tiny_config, pictures)
    folder = Path(runner.work_dir) / 'pseudo_labels'
    files = sorted(folder.iterdir())
    assert [file.name for file in files] == [f'{i:03d}.png' for i in range(pictures)]
    seen = set()
    for file in files:
        with Image.open(file) as image:
            assert image.mode == 'RGB'
            assert image.size[0] == 2 * 200 and image.size[1] > 200
            seen.add(image.tobytes())
    assert len(seen) == pictures


def test_picture_of_an_absent_class(
        tiny_config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures show the targets: the query of an absent class has an empty mask."""
    rows = []

    def spy(tiles: list) -> np.ndarray:
        rows.append(tiles)
        return np.zeros((4, 4, 3), np.uint8)

    monkeypatch.setattr('mmwsfs.engine.hooks.pseudo_label_hook.row', spy)
    tiny_config.train_dataloader.sampler.paired = True
    runner = train(tiny_config, pictures=4)
    names = runner.train_dataloader.dataset.metainfo['classes']
    for (support, query), paired in zip(rows, ('present', 'absent') * 2):
        assert support[0].removeprefix('support: ') in names
        assert support[2].any() and support[2].shape == (32, 32)
        assert query[2].any() == (paired == 'present')
        assert query[0] == (
            'query: absent' if paired == 'absent' else f'query: {support[0][9:]}')


def test_image_supervision_in_testing(tiny_config: Config) -> None:
    """Testing takes no support masks either: the data carry none."""
    runner = Runner.from_cfg(tiny_config)
    metrics = runner.test()
    assert runner.model.supervision == 'image'
    assert metrics and all(0 <= value <= 100 for value in metrics.values())
