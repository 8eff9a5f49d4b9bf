"""Training of the enhancer against loops, on made examples and images."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from mmwsfs.models import AttentionLabeler, EnhancedLabeler
from mmwsfs.models.pseudo_labels import enhancer_training, pseudo_label_enhancer
from mmwsfs.models.pseudo_labels.enhancer_examples import Examples
from mmwsfs.models.pseudo_labels.enhancer_training import (
    EnhancerTrainer,
    label_iou,
    split_images,
)
from mmwsfs.structures import TrainingImage, ViTFeatures
from mmwsfs.utils.state_dict import read_state_dict


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """A small network that is validated often."""
    torch.manual_seed(0)
    monkeypatch.setattr(pseudo_label_enhancer, 'CHANNELS', 8)
    for name, value in (('BATCH_SIZE', 4), ('LEARNING_RATE', 1e-2), ('INTERVAL', 20)):
        monkeypatch.setattr(enhancer_training, name, value)


def made_examples(count, seed, size=32):
    """The object is where the first head's map is high; the second one is noise."""
    generator = torch.Generator().manual_seed(seed)
    truth = F.interpolate(
        torch.rand(count, 1, 3, 3, generator=generator), (8, 8), mode='bilinear') > 0.6
    maps = torch.cat([
        0.1 * truth.float() + 0.02 * torch.randn(count, 1, 8, 8, generator=generator),
        torch.randn(count, 1, 8, 8, generator=generator)], dim=1)
    masks = F.interpolate(truth.float(), (size, size))[:, 0].to(torch.uint8)
    masks[:, :2] = 255
    return Examples(
        maps, torch.arange(count), torch.arange(count) % 2 == 1, masks)


def test_iou():
    """Against a loop over images, by role, void left out."""
    examples = made_examples(6, 1)
    labeler = AttentionLabeler(adaptive=0.5)
    found = label_iou(labeler, examples)
    for role, name in enumerate(('support', 'query')):
        both = either = 0
        for i in range(role, 6, 2):
            soft = labeler.soften(examples.maps[i:i + 1].mean(dim=1), (32, 32))
            mask, truth = labeler.binarise(soft)[0], examples.masks[i]
            for a, b in zip(mask.flatten().tolist(), truth.flatten().tolist()):
                if b != 255:
                    both += a and b == 1
                    either += a or b == 1
        assert found[name] == pytest.approx(100 * both / either, rel=1e-5)


def build_labeler(steps=60, seed=1, **kwargs):
    torch.manual_seed(seed)
    return EnhancedLabeler(
        dict(type='PseudoLabelEnhancer', num_heads=2), steps=steps, **kwargs)


@pytest.fixture
def trainer(make_fitting):
    """Makes a trainer with weights of its own, and the list of its reports."""
    def build(steps=60, key='a'):
        fitting, reports = make_fitting({}, 1)
        labeler = build_labeler()
        return EnhancerTrainer(
            labeler, labeler.enhancer, made_examples(24, 0), made_examples(8, 1), steps,
            fitting, key), reports
    return build


def test_learns_and_keeps_the_best(trainer):
    """The loss falls, held-out labels get good, and the best weights remain."""
    run, reports = trainer()
    best = run.train()
    scalars = [scalars for _, scalars, _ in reports]
    assert [step for _, _, step in reports] == [20, 40, 60]
    assert scalars[-1]['enhancer/loss'] < scalars[0]['enhancer/loss']
    means = [(one['enhancer/support_iou'] + one['enhancer/query_iou']) / 2
             for one in scalars]
    assert best == max(means) > 60
    found = label_iou(run.labeler, run.validation)
    assert sum(found.values()) / 2 == pytest.approx(best)
    assert not any(p.requires_grad for p in run.labeler.parameters())


def test_resumes_to_the_same_weights(trainer):
    """Stopped between two states it does the lost steps again."""
    whole, _ = trainer()
    whole.train()
    whole.state.unlink()
    stopped, _ = trainer()
    stopped.enhancer.requires_grad_(True)
    train_step = stopped._train_step

    def fail_at_30():
        if stopped.step == 30:
            raise KeyboardInterrupt
        return train_step()

    stopped._train_step = fail_at_30
    with pytest.raises(KeyboardInterrupt):
        stopped.train()
    again, _ = trainer()
    again.resume()
    assert again.step == 20
    again.train()
    for name, value in whole.enhancer.state_dict().items():
        assert torch.equal(again.enhancer.state_dict()[name], value)


def test_a_state_of_another_training_is_refused(trainer):
    """It would mix two trainings."""
    trainer(steps=20)[0].train()
    with pytest.raises(ValueError, match='last.pth.*without --resume'):
        trainer(key='b')[0].resume()


# ------------------------------------------------------------ the whole training

@pytest.mark.parametrize('count, held_out', [
    (1, 1), (4, 4), (5, 1), (7, 1), (8, 2), (20, 4)])
def test_split(count, held_out):
    """A fifth is held out, one at least; the same images do both where few carry masks.
    """
    names = [f'{number:02d}' for number in range(count)]
    training, validation = split_images(names, 0)
    assert len(validation) == held_out
    if count < 5:
        assert training == validation == names
    else:
        assert sorted(training + validation) == names
    assert split_images(names, 0) == (training, validation)
    if count == 20:
        assert split_images(names, 1)[1] != validation


def made_images(count, seed=0):
    """Of two classes, with masks; the object is where the first head's keys point."""
    examples = made_examples(count, seed)
    images = {}
    for number in range(count):
        bright = examples.maps[number, 0].flatten()
        keys = torch.randn(1, 2, 64, 3)
        keys[0, 0, :, 0] += 8 * bright
        query = torch.zeros(1, 2, 3)
        query[..., 0] = 1
        features = ViTFeatures(torch.zeros(1, 1, 65, 6), query, keys, (8, 8))
        images[f'{number:02d}'] = TrainingImage(
            [1 + number % 2], features, torch.zeros(1, 64), torch.ones(64),
            examples.masks[number:number + 1])
    return images


@pytest.mark.parametrize('count', [3, 10])
def test_fit_to(make_fitting, tmp_path, count):
    """The network changes and is written; the log has the plain labeler beside it."""
    labeler = build_labeler(steps=25)
    before = {name: x.clone() for name, x in labeler.state_dict().items()}
    fitting, reports = make_fitting(made_images(count), 2)
    labeler.fit_to(fitting)
    assert any((x != before[name]).any() for name, x in labeler.state_dict().items())
    best = read_state_dict(tmp_path / 'enhancer/best.pth')
    for name, value in labeler.enhancer.state_dict().items():
        assert torch.equal(best[name], value)
    lines = [report[0] for report in reports]
    assert f'{count} images carry masks' in lines[0]
    assert ('of the same' in lines[0]) == (count < 5)
    assert lines[1].startswith('enhancer: raw pseudo-labels, IoU as support')
    assert [report[2] for report in reports if len(report) == 3] == [20, 25]
    assert 'best IoU' in lines[-1]


def test_resuming_a_finished_training_repeats_nothing(
        make_fitting, tmp_path, monkeypatch):
    """Its state is read, and gives the same weights."""
    images = made_images(10)
    first, again = build_labeler(steps=25), build_labeler(steps=25)
    first.fit_to(make_fitting(images, 2)[0])
    monkeypatch.setattr(
        EnhancerTrainer, '_train_step', lambda self: pytest.fail('trained again'))
    again.fit_to(make_fitting(images, 2, resume=True)[0])
    for name, value in first.state_dict().items():
        assert torch.equal(again.state_dict()[name], value)


@pytest.mark.parametrize('other', ['weights', 'steps', 'threshold', 'key'])
def test_a_state_is_of_one_labeler_and_stage(make_fitting, other):
    """Its weights and settings, and whatever the stage's key says, must be the same."""
    images = made_images(10)
    build_labeler(steps=20).fit_to(make_fitting(images, 2)[0])
    labeler = build_labeler(
        steps=40 if other == 'steps' else 20, seed=2 if other == 'weights' else 1,
        **(dict(threshold=0.4) if other == 'threshold' else {}))
    fitting, _ = make_fitting(
        images, 2, resume=True, key='b' if other == 'key' else 'a')
    with pytest.raises(ValueError, match='last.pth.*other settings, weights or'):
        labeler.fit_to(fitting)
