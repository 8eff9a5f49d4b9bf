"""FittingHook: when a model's parts learn before training, in real runs."""
from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmwsfs.engine.hooks import fitting_hook
from mmwsfs.models import FewShotSegmentor
from mmwsfs.models.pseudo_labels import enhancer_training

MASKS = dict(image='none', pixel='all', mixed=0.5)  # supervision -> masks


@pytest.fixture
def fitting_config(tiny_config: Config, monkeypatch: pytest.MonkeyPatch
                   ) -> Callable[..., Config]:
    """Makes ``tiny_config`` of any supervision, with a metric, a labeler that learns
    where some images carry masks, and the hook; it trains for no step."""
    for name, value in (('BATCH_SIZE', 2), ('INTERVAL', 1), ('PARTNERS', 1)):
        monkeypatch.setattr(enhancer_training, name, value)

    def build(supervision: str) -> Config:
        cfg = tiny_config
        cfg.model.supervision = supervision
        cfg.model.metric = dict(type='DiscriminantMetric')
        cfg.train_dataloader.dataset.update(
            pipeline=None, img_size=32, masks=MASKS[supervision])
        if supervision == 'mixed':
            cfg.model.labeler = dict(
                type='EnhancedLabeler', enhancer=dict(type='PseudoLabelEnhancer'),
                probe=dict(type='ClassProbe', num_classes=20, layers=(0, 1)), steps=2)
        cfg.custom_hooks = []
        cfg.default_hooks.fitting = dict(type='FittingHook')
        cfg.train_cfg.max_iters = 0
        cfg.test_dataloader = cfg.test_evaluator = cfg.test_cfg = None
        return cfg
    return build


class Note(Hook):
    """Keeps the model's state as training begins."""

    def before_train(self, runner: Runner) -> None:
        self.state = {
            name: value.clone() for name, value in runner.model.state_dict().items()}


@pytest.mark.parametrize('supervision', list(MASKS))
def test_parts_learn_before_the_first_step(
        fitting_config: Callable[..., Config], supervision: str) -> None:
    """Each of them; what it is, is compared in test_fitting."""
    runner = Runner.from_cfg(fitting_config(supervision))
    before, after = Note(), Note()
    runner.register_hook(before, priority='HIGH')
    runner.register_hook(after, priority='LOW')
    runner.train()
    changed = {name.rpartition('.')[0] for name, value in after.state.items()
               if not torch.equal(value, before.state[name])}
    enhancer = {f'labeler.enhancer.layers.{i}' for i in (0, 2, 4)}
    assert changed == {'metric'} | (
        {'labeler.probe', *enhancer} if supervision == 'mixed' else set())
    assert not any(p.requires_grad for p in runner.model.labeler.parameters())


@pytest.mark.parametrize('supervision', list(MASKS))
def test_each_image_is_read_once(
        fitting_config: Callable[..., Config], image_reads: Counter[str],
        supervision: str) -> None:
    """All of them, for all parts together."""
    runner = Runner.from_cfg(fitting_config(supervision))
    runner.train()
    names = {entry['name'] for entry in runner.train_dataloader.dataset.data_list}
    assert set(image_reads.values()) == {1} and len(image_reads) == len(names)


def test_no_mask_is_read_under_image_supervision(
        fitting_config: Callable[..., Config], tiny_voc_without_masks: Path) -> None:
    """There need not be any file of one."""
    cfg = fitting_config('image')
    cfg.train_dataloader.dataset.data_root = str(tiny_voc_without_masks)
    runner = Runner.from_cfg(cfg)
    runner.train()
    assert not torch.equal(runner.model.metric.matrix[0], torch.eye(16))


def test_it_trains_on(fitting_config: Callable[..., Config]) -> None:
    """With what was learned, which the optimizer leaves alone."""
    cfg = fitting_config('mixed')
    cfg.train_cfg.max_iters = 2
    runner = Runner.from_cfg(cfg)
    note = Note()
    runner.register_hook(note, priority='LOW')
    runner.train()
    assert runner.iter == 2
    for name, value in runner.model.state_dict().items():
        if name.startswith(('labeler.', 'metric.', 'backbone.')):
            assert torch.equal(value, note.state[name]), name
    trained = 'neck.project.0.weight'
    assert not torch.equal(runner.model.state_dict()[trained], note.state[trained])


def test_it_is_left_as_it_is_on_resuming(
        fitting_config: Callable[..., Config],
        monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    """What the checkpoint holds is not fitted again, and the log says so."""
    cfg = fitting_config('mixed')
    cfg.log_level = 'INFO'
    runner = Runner.from_cfg(cfg)
    runner.train()
    runner.model.metric.matrix.fill_(7.)
    runner.train_loop._iter = 1
    capsys.readouterr()
    runner.call_hook('before_train')
    assert (runner.model.metric.matrix == 7).all()
    assert 'labeler, labeler.probe, metric: as in the checkpoint' in (
        capsys.readouterr().out)


def test_a_model_with_nothing_to_learn(
        fitting_config: Callable[..., Config], image_reads: Counter[str]) -> None:
    """The hook may stand in every config: no image is read."""
    cfg = fitting_config('image')
    cfg.model.metric = None
    Runner.from_cfg(cfg).train()
    assert not image_reads


def test_no_mask_and_no_labeler(fitting_config: Callable[..., Config]) -> None:
    """The error names the image and the mend."""
    cfg = fitting_config('pixel')
    cfg.model.labeler = None
    cfg.train_dataloader.dataset.masks = 'none'
    with pytest.raises(ValueError, match="trn_06_0' carries no mask.*model.labeler"):
        Runner.from_cfg(cfg).train()


def test_log_and_scalars(fitting_config: Callable[..., Config], capsys) -> None:
    """Lines for who reads the log; the enhancer's course for who plots it."""
    cfg = fitting_config('mixed')
    cfg.log_level = 'INFO'
    runner = Runner.from_cfg(cfg)
    runner.train()
    out = capsys.readouterr().out
    for line in ('22 images carry masks', 'enhancer: step 2/2, loss',
                 'class probe: knows 15 classes', 'metric: fitted to 60 objects of 15'):
        assert line in out, line
    scalars = next(Path(runner.work_dir).rglob('scalars.json')).read_text()
    for name in ('enhancer/loss', 'enhancer/support_iou', 'enhancer/query_iou'):
        assert scalars.count(f'"{name}"') == 2


@pytest.mark.parametrize('resume', [True, False])
def test_an_enhancer_that_was_stopped_goes_on(
        fitting_config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch,
        resume: bool) -> None:
    """From its state file with --resume, to the same weights; else from the start."""
    cfg = fitting_config('mixed')
    cfg.model.labeler.steps = 6
    cfg.resume = resume
    steps, train_step = [], enhancer_training.EnhancerTrainer._train_step

    def counted(self):
        steps.append(self.step)
        if len(steps) == 4:
            raise KeyboardInterrupt
        return train_step(self)

    monkeypatch.setattr(enhancer_training.EnhancerTrainer, '_train_step', counted)
    with pytest.raises(KeyboardInterrupt):
        Runner.from_cfg(cfg).train()
    again = Config(cfg.to_dict())
    again.experiment_name += '_again'
    runner = Runner.from_cfg(again)
    runner.train()
    assert steps == [0, 1, 2, 3, *range(3 if resume else 0, 6)]
    whole = Config(cfg.to_dict())
    whole.experiment_name += '_whole'
    whole.work_dir += '_whole'
    other = Runner.from_cfg(whole)
    other.train()
    for name, value in other.model.labeler.state_dict().items():
        assert torch.equal(value, runner.model.labeler.state_dict()[name]), name


def test_it_comes_after_what_it_needs(
        fitting_config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path) -> None:
    """However the config orders the hooks: the cache knows the backbone, and the list
    of the images that carry masks is written, so that a killed run has left it."""
    cfg = fitting_config('mixed')
    cfg.model.cache = dict(ram_gb=1)
    cfg.default_hooks.feature_cache = dict(type='FeatureCacheHook')
    assert list(cfg.default_hooks)[-2:] == ['fitting', 'feature_cache']
    cfg.custom_hooks = [dict(type='PseudoLabelEnhancerHook')]
    found = []

    def fit(model: FewShotSegmentor, *args, **kwargs) -> None:
        found.append((model.cache._backbone != '',
                      (tmp_path / 'work/masked_images.txt').exists()))

    monkeypatch.setattr(fitting_hook, 'fit_before_training', fit)
    Runner.from_cfg(cfg).train()
    assert found == [(True, True)]
