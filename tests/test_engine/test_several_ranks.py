"""Training on several ranks against one process with the same global batch."""
from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from mmengine.config import Config
from mmengine.dist import get_rank
from mmengine.runner import Runner

from mmwsfs.engine.hooks.bare_model import bare_model
from mmwsfs.utils.launcher import prepare_launcher

STEPS = 3


@pytest.fixture
def improved(tiny_config: Config) -> Config:
    """The tiny training by the improved recipe: whatever looks at a whole batch."""
    tiny_config.model.neck.standardise = True
    tiny_config.model.seg_head.loss_seg = [
        dict(type='CrossEntropyLoss', loss_weight=1.0),
        dict(type='BatchDiceLoss', loss_weight=1.0)]
    tiny_config.model.prior = dict(type='WholeImagePrior')
    tiny_config.train_dataloader.sampler.paired = True
    tiny_config.train_dataloader.batch_size = 12
    tiny_config.train_cfg.max_iters = STEPS
    # Steps as large as the gradients are, which Adam's would hide.
    tiny_config.optim_wrapper.optimizer = dict(type='SGD', lr=0.1)
    return tiny_config


def train(config: Config, launcher: str = 'none') -> dict[str, dict]:
    """State of the model and what was logged of every step."""
    config = copy.deepcopy(config)
    config.experiment_name += f'_{launcher}_{get_rank()}'
    prepare_launcher(config, launcher)
    runner = Runner.from_cfg(config)
    runner.train()
    scalars = runner.message_hub.log_scalars
    return dict(
        state={name: value.clone()
               for name, value in bare_model(runner).state_dict().items()},
        log={name: torch.tensor(buffer.data[0].tolist())
             for name, buffer in scalars.items()
             if 'loss' in name or 'coverage' in name})


@pytest.mark.parametrize('world_size', [2, 3])
def test_the_improved_recipe_equals_one_process(
        improved: Config, on_ranks: Callable[..., list], world_size: int) -> None:
    """Weights, moments and logged values; the ranks' are the same to the last bit.

    Batches of a rank differ much: a loss over one rank's batch, or gradients that are
    not those of the global one, would show in the first step.
    """
    single = train(improved)
    improved.train_dataloader.batch_size //= world_size
    ranks = on_ranks(lambda: train(improved, 'pytorch'), world_size)
    assert {'train/seg.loss_dice', 'train/loss',
            'train/pseudo_query_coverage'} <= single['log'].keys()
    for rank in ranks:
        for part in ('state', 'log'):
            assert rank[part].keys() == single[part].keys()
            for name, value in rank[part].items():
                assert torch.equal(value, ranks[0][part][name]), name
                torch.testing.assert_close(
                    value, single[part][name], rtol=1e-4, atol=1e-5,
                    msg=lambda text, name=name: f'{name}: {text}')
    assert len(single['log']['train/loss']) == STEPS
    assert ranks[0]['state']['neck.moments.num_pairs'] == STEPS * 12


def test_a_batch_that_cuts_pairs_is_refused(
        improved: Config, on_ranks: Callable[..., list]) -> None:
    """Before training, on every rank; one process may have it."""
    def refuse() -> str:
        with pytest.raises(ValueError, match='even batch') as error:
            train(improved, 'pytorch')
        return str(error.value)

    improved.train_dataloader.batch_size = 3
    assert all('batch_size=3' in text for text in on_ranks(refuse))
    improved.train_cfg.max_iters = 1
    assert train(improved)['state']


def test_ranks_of_different_seeds_share_one_stream(
        improved: Config, on_ranks: Callable[..., list]) -> None:
    """With ``diff_rank_seed``; also where the loader is built again, for the cache."""
    improved.randomness = dict(seed=3, diff_rank_seed=True)
    improved.model.cache = dict(ram_gb=1)
    improved.default_hooks.feature_cache = dict(type='FeatureCacheHook')
    improved.train_dataloader.batch_size = 2
    improved.train_cfg.max_iters = 1
    prepare_launcher(improved, 'pytorch', dict(RANK='', WORLD_SIZE='', LOCAL_RANK='0'))

    def seeds() -> dict[str, int]:
        runner = Runner.from_cfg(improved)
        runner.train()
        return dict(run=runner.seed, stream=runner.train_dataloader.sampler.seed)

    first, second = on_ranks(seeds)
    assert first['run'] != second['run'] and first['stream'] == second['stream']
