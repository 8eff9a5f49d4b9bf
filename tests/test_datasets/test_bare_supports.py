"""bare_supports: supports that come without their masks, in a share of episodes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from mmwsfs.datasets import EpisodeKey

SETTINGS = dict(split='trn', pipeline=None, img_size=32)


def carried(dataset, seeds: range = range(60)) -> list[bool]:
    return ['support_masks' in dataset[EpisodeKey(0, seed, True)]['data_samples']
            for seed in seeds]


def test_the_share_is_drawn_by_the_episode(tiny_dataset: Callable) -> None:
    """The same in whatever order, and the episode itself is as without it."""
    half = tiny_dataset(**SETTINGS, bare_supports=0.5)
    found = carried(half)
    assert 20 < sum(found) < 40
    assert found[::-1] == carried(half, range(59, -1, -1))
    whole = tiny_dataset(**SETTINGS)
    for seed in range(5):
        key = EpisodeKey(0, seed, True)
        one, other = half[key], whole[key]
        assert one['data_samples'].support_paths == other['data_samples'].support_paths
        assert 'gt_sem_seg' in one['data_samples']  # the query keeps its own
        assert (one['inputs']['support'] == other['inputs']['support']).all()


@pytest.mark.parametrize('share, expected', [(0., 60), (1, 0)])
def test_none_and_all(share: float, expected: int, tiny_dataset: Callable) -> None:
    assert sum(carried(tiny_dataset(**SETTINGS, bare_supports=share))) == expected


def test_what_learns_before_training_sees_the_masks(tiny_dataset: Callable) -> None:
    """An image by itself is no episode's support."""
    dataset = tiny_dataset(**SETTINGS, bare_supports=1)
    image = dataset.read_image(dataset.data_list[0]['name'])
    assert np.count_nonzero(image['gt_seg_map'])


@pytest.mark.parametrize('settings', [
    dict(SETTINGS, bare_supports=1.5), dict(SETTINGS, bare_supports=-0.1),
    dict(split='val', bare_supports=0.5)])
def test_it_refuses(settings: dict, tiny_dataset: Callable) -> None:
    with pytest.raises(ValueError, match='bare_supports=.* is not in 0..1'):
        tiny_dataset(**settings)
