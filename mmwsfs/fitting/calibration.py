from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.dataset import pseudo_collate
from mmengine.dist import all_reduce, broadcast, get_dist_info

from mmwsfs.datasets.episode import EpisodeKey
from mmwsfs.datasets.few_shot_dataset import FewShotDataset
from mmwsfs.models import FewShotSegmentor
from mmwsfs.registry import DATASETS


def calibration_dataset(cfg: Mapping, changes: Mapping | None) -> FewShotDataset:
    """The data set of the episodes of base classes that a calibration is fitted to.

    Its episodes are 1-way 1-shot and as in a test: supports carry masks only where
    they do there. Otherwise no mask is read, and tags say what is present.

    Args:
        cfg: the run's config.
        changes: what is other than in the data set of validation (of the test, where
            there is no validation), e.g. ``dict(split='val', ...)``. None for the
            training images.

    Raises:
        ValueError: there is no data set to change.
    """
    loaders = [cfg.get(name) for name in ('val_dataloader', 'test_dataloader')]
    tested = next((loader['dataset'] for loader in loaders if loader), None)
    if changes is not None and tested is None:
        raise ValueError(
            'CalibrationHook.dataset says what is other than in '
            'val_dataloader.dataset or test_dataloader.dataset, but there is neither')
    settings: dict[str, Any] = dict(
        cfg['train_dataloader']['dataset'] if changes is None else tested or {})
    settings.update(changes or {})
    settings.update(
        way=1, shot=1, protocol='FS-CS', num_episodes=None, episodes=None)
    if settings.get('pipeline') is None:
        settings['support_masks'] = bool((tested or {}).get('support_masks'))
        if not settings['support_masks']:
            settings['masks'] = 'none'
    return DATASETS.build(settings)


def _keys(num_entries: int, num_episodes: int) -> list[EpisodeKey]:
    """Episodes in pairs: a query with a class that it shows and one that it does not.

    The queries are entries in one order of all, the same for every run.
    """
    rng = np.random.RandomState(0)
    order = rng.permutation(num_entries)
    seeds = rng.randint(0, 2**31, num_episodes)
    return [
        EpisodeKey(int(order[number // 2 % num_entries]), int(seed), number % 2 == 0)
        for number, seed in enumerate(seeds)]


@torch.no_grad()
def calibrate(model: FewShotSegmentor, datasets: Sequence[FewShotDataset],
              num_episodes: int) -> None:
    """Fit the model's calibration to its predictions of episodes of base classes.

    Half of them show the class; the data sets take turns. The ranks share the episodes,
    and all get the same values; these depend on the weights and the episodes alone.
    Nothing else of the model changes, and no generator of random numbers is used.

    Args:
        model: with a :class:`~mmwsfs.models.PresenceCalibration`.
        datasets: each as of :func:`calibration_dataset`.
        num_episodes: how many, of all together.

    Raises:
        ValueError: see :meth:`.PresenceCalibration.fit`; nothing is calibrated then.
    """
    if model.cache is not None:
        model.cache.bind(model.backbone)
    keys = []
    for dataset in datasets:
        dataset.full_init()
        if model.cache is not None:
            dataset.read_lazily()
        keys.append(_keys(len(dataset.data_list), num_episodes))
    rank, world_size = get_dist_info()
    found = torch.zeros(2, num_episodes, dtype=torch.double)  # logits, presence
    calibration: Any = model.calibration
    calibration.reset()
    training = model.training
    model.eval()
    # One by one: the ranks' shares make no difference, to the last bit.
    for number in range(rank, num_episodes, world_size):
        turn, place = divmod(number, len(datasets))
        episode = datasets[place][keys[place][turn]]
        data = model.data_preprocessor(pseudo_collate([episode]))
        absent, present = model(**data, mode='tensor')[0][0, 0].tolist()
        found[0, number] = present - absent
        found[1, number] = data['data_samples'][0].gt_presence.item()
    model.train(training)
    all_reduce(found)
    calibration.fit(found[0], found[1].bool())
    for value in calibration.buffers():
        broadcast(value)
