"""FeatureCacheHook: real runs with cached features, warmed up or not."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from contextlib import contextmanager

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import IterBasedTrainLoop, Runner

from mmwsfs.engine import FeatureCacheHook
from mmwsfs.engine.hooks import feature_cache_hook
from mmwsfs.models import DINOVisionTransformer, FewShotSegmentor


@pytest.fixture
def cached(tiny_config: Config, tmp_path) -> Config:
    """The tiny training with a cache on disk, and the log open."""
    tiny_config.model.cache = dict(disk_gb=1, folder=str(tmp_path / 'features'))
    tiny_config.default_hooks.feature_cache = dict(type='FeatureCacheHook')
    tiny_config.log_level = 'INFO'
    return tiny_config


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sizes of the batches that backbones were given."""
    sizes = []
    extract = DINOVisionTransformer.extract

    def spy(self, images):
        sizes.append(len(images))
        return extract(self, images)

    monkeypatch.setattr(DINOVisionTransformer, 'extract', spy)
    return sizes


@pytest.fixture
def no_decoding(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From its call on, here and in workers forked later, decoding is an error."""
    def forbid() -> None:
        def fail(*args, **kwargs):
            raise AssertionError('an image was decoded')

        monkeypatch.setattr('mmwsfs.datasets.LoadImageFromFile.transform', fail)
    return forbid


def run(cfg: Config, what: str = 'train') -> Runner:
    cfg = Config(cfg.to_dict())
    cfg.experiment_name = f'{cfg.experiment_name}_{run.count}'
    run.count += 1
    runner = Runner.from_cfg(cfg)
    runner.metrics = getattr(runner, what)()
    return runner


run.count = 0


def weights(runner: Runner) -> dict[str, torch.Tensor]:
    return runner.model.state_dict()


def assert_same(first: Runner, second: Runner) -> None:
    for name, value in weights(first).items():
        assert torch.equal(value, weights(second)[name]), name


def with_workers(cfg: Config, count: int) -> Config:
    for loader in (cfg.train_dataloader, cfg.test_dataloader):
        loader.num_workers = count
        loader.persistent_workers = count > 0
    cfg.env_cfg = dict(mp_cfg=dict(mp_start_method='fork'))
    return cfg


@pytest.mark.parametrize('workers', [0, 2])
def test_a_second_run_neither_decodes_nor_computes(
        cached, computed, no_decoding, workers):
    """It trains to the same weights, bit by bit."""
    with_workers(cached, workers)
    first = run(cached)
    assert sum(computed) > 5
    computed.clear()
    no_decoding()
    second = run(cached)
    assert not computed
    assert_same(first, second)


def test_validation_reads_lazily_too(cached, computed, no_decoding):
    """Its workers live as long as the run, and none of them ever decodes an image."""
    cached.val_dataloader = cached.test_dataloader
    cached.val_evaluator, cached.val_cfg = cached.test_evaluator, dict(type='ValLoop')
    cached.train_cfg.val_interval = 1
    with_workers(cached, 2)
    cached.val_dataloader.update(num_workers=2, persistent_workers=True)
    first = run(cached)
    computed.clear()
    no_decoding()
    second = run(cached)
    assert not computed
    assert_same(first, second)


def test_workers_that_began_before(cached, computed, no_decoding, monkeypatch):
    """A loop that reads at once, as older MMEngines' do, is started anew.

    Workers that begin once the hook was asked decode nothing; others are gone.
    """
    with_workers(cached, 2)
    first = run(cached)
    computed.clear()
    init = IterBasedTrainLoop.__init__
    old_workers, alive = set(), []

    def eager(self, *args, **kwargs):
        init(self, *args, **kwargs)
        children = set(multiprocessing.active_children())
        with torch.random.fork_rng():  # the model's weights are drawn after this
            next(self.dataloader_iterator)
        old_workers.update(set(multiprocessing.active_children()) - children)

    before_run, train_step = FeatureCacheHook.before_run, FewShotSegmentor.train_step

    def forbid(self, runner):
        no_decoding()
        before_run(self, runner)

    def counted(self, *args, **kwargs):
        alive.append(old_workers & set(multiprocessing.active_children()))
        return train_step(self, *args, **kwargs)

    monkeypatch.setattr(IterBasedTrainLoop, '__init__', eager)
    monkeypatch.setattr(FeatureCacheHook, 'before_run', forbid)
    monkeypatch.setattr(FewShotSegmentor, 'train_step', counted)
    second = run(cached)
    assert not computed
    assert len(old_workers) == 2 and alive == [set(), set()]
    assert_same(first, second)


@pytest.mark.parametrize('workers', [0, 2])
@pytest.mark.parametrize('what', ['train', 'test'])
def test_warm_up_computes_everything_before(
        cached, computed, no_decoding, monkeypatch, capsys, what, workers):
    """Each image once; the run itself decodes nothing; a second one has nothing to do.

    The estimate and the counts are in the log.
    """
    with_workers(cached, workers)
    cached.model.cache.warm_up = True
    images = 15 if what == 'test' else 45  # all of the other folds, 3 a class

    @contextmanager
    def warm_up():
        yield
        no_decoding()

    monkeypatch.setattr(feature_cache_hook, 'wait_for_all_ranks', warm_up)
    if what == 'test':
        cached.test_dataloader.dataset.num_episodes = 40
    first = run(cached, what)
    assert computed == [1] * images
    assert f'{images} of {images} images to compute' in capsys.readouterr().out
    second = run(cached, what)
    assert len(computed) == images
    assert 'to compute' not in capsys.readouterr().out
    if what == 'test':
        assert first.metrics == second.metrics
    else:
        assert_same(first, second)


def test_warm_up_is_in_the_precision_of_the_run(cached, computed):
    """Mixed precision has entries of its own, and the warm-up makes those."""
    cached.model.cache.warm_up = True
    run(cached)
    plain = len(computed)
    cached.optim_wrapper.type = 'AmpOptimWrapper'
    run(cached)
    assert len(computed) == 2 * plain  # none in the run itself


def test_too_little_room_is_said(cached, computed, tmp_path, capsys, make_pipeline):
    """The warm-up computes what fits, and keeps it."""
    folder = tmp_path / 'features'
    # Of 64 patches: what a file holds beside the features is then the smaller part.
    cached.test_dataloader.dataset.pipeline = make_pipeline(query_mask=True, size=64)
    cached.model.cache.warm_up = True
    run(cached, 'test')
    sizes = [path.stat().st_size for path in folder.rglob('*.features')]
    for path in folder.rglob('*.features'):
        path.unlink()
    computed.clear()
    capsys.readouterr()
    cached.model.cache.disk_gb = 6.5 * max(sizes) / 2**30
    cached.test_dataloader.dataset.num_episodes = 40
    run(cached, 'test')
    out = capsys.readouterr().out
    assert 'of 15 images fit' in out and 'ram_gb or disk_gb' in out
    kept = sum(path.stat().st_size for path in folder.rglob('*.features'))
    assert kept <= 6.5 * max(sizes)


def test_off_where_the_pipeline_augments(cached, computed, capsys, tmp_path):
    """Every image of every step goes through the backbone, and the log says so."""
    pipeline = cached.train_dataloader.dataset.pipeline
    pipeline[0]['query'].append(dict(type='RandomFlip', prob=0.5))
    run(cached)
    out = capsys.readouterr().out
    assert 'no features are cached' in out and 'Pascal5iDataset' in out
    assert sum(computed) > 5 and not list(tmp_path.rglob('*.features'))


def test_off_where_the_backbone_trains(cached, computed, tmp_path, capsys):
    """Its features change with every step."""
    cached.model.backbone.frozen = False
    cached.model.labeler = dict(type='AttentionLabeler', adaptive=0.5)
    run(cached)
    assert 'no features are cached: the backbone trains' in capsys.readouterr().out
    assert computed and not list(tmp_path.rglob('*.features'))


def test_without_a_cache_images_are_read_by_the_workers(cached, computed):
    """The hook is in every config and does nothing unasked."""
    cached.model.cache = None
    runner = run(cached)
    assert isinstance(
        runner.train_dataloader.dataset[0]['inputs']['query'], torch.Tensor)
    assert computed


def test_a_full_disk_does_not_stop_training(cached, monkeypatch, capsys, tmp_path):
    """One warning, and the weights of a run that could write."""
    first = run(cached)
    for path in tmp_path.rglob('*.features'):
        path.unlink()
    capsys.readouterr()

    def full(source, target):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr('mmwsfs.models.feature_cache.disk_store.os.replace', full)
    cached.model.cache.warm_up = True
    second = run(cached)
    out = capsys.readouterr().out
    assert out.count('cannot be written') == 1
    assert_same(first, second)
    assert not list((tmp_path / 'features').rglob('*.*'))
