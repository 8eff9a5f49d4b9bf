"""Examples and training of the enhancer against loops, on made images."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.registry import init_default_scope

from mmwsfs.engine.enhancer_examples import ExampleMaker, Examples
from mmwsfs.engine.enhancer_trainer import EnhancerTrainer, label_iou
from mmwsfs.models import AttentionLabeler, EnhancedLabeler
from mmwsfs.registry import MODELS
from mmwsfs.structures import LazyImages


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmwsfs')
    torch.manual_seed(0)


@pytest.fixture
def made(tiny_model, tiny_dataset, make_pipeline):
    """A maker on the base classes, its dataset, and how often an image was read."""
    model = MODELS.build(tiny_model).eval()
    pipeline = make_pipeline()
    pipeline[0]['query'].insert(1, dict(type='LoadLabelMap'))
    pipeline[0]['support'].insert(1, dict(type='LoadLabelMap'))
    dataset = tiny_dataset(split='trn', pipeline=pipeline, mask_ratio=0.6)
    dataset.full_init()
    reads = Counter()

    @torch.no_grad()
    def extract(image):
        reads[image.key] += 1
        return model.extract_feat(LazyImages(
            np.array([image], dtype=object), model.data_preprocessor.normalise))

    return ExampleMaker(
        dataset, AttentionLabeler(), extract, partners=2, seed=0), dataset, reads


def test_examples(made):
    """Maps of the image's own CLS and of the pool's; each image is read once."""
    maker, dataset, reads = made
    names = dataset.masked_images
    examples = maker.make(names)
    assert set(reads.values()) == {1}
    expected = []
    for name in names:
        for number in dict.fromkeys(
                e['class_id'] for e in dataset.data_list if e['name'] == name):
            others = [n for n in maker.pool[number] if n != name]
            expected.append([(name, name)] + [(other, name) for other in others])
            assert len(maker.pool[number]) == 2
            assert all(number in dataset.labels_of[n] for n in others)
    assert len(examples.masks) == len(expected)
    assert examples.entry.tolist() == [
        i for i, pairs in enumerate(expected) for _ in pairs]
    assert examples.is_query.tolist() == [
        support != image for pairs in expected for support, image in pairs]
    flat = [pair for pairs in expected for pair in pairs]
    for position in (0, len(flat) // 2, len(flat) - 1):
        support, image = (
            maker.extract(dataset.read_image(name)['img']) for name in flat[position])
        for head in range(2):
            cosine = F.cosine_similarity(
                support.queries[0, head, :1], image.keys[0, head, 1:], dim=1)
            torch.testing.assert_close(
                examples.maps[position, head].flatten(), cosine)


def test_targets():
    """The object's share of each patch's pixels that are not void, pixel by pixel."""
    masks = torch.randint(0, 3, (2, 8, 12))
    masks[masks == 2] = 255
    masks[0, :4, :4] = 255  # a patch of nothing else
    examples = Examples(
        torch.zeros(2, 1, 2, 3), torch.arange(2), torch.zeros(2, dtype=torch.bool),
        masks.to(torch.uint8), None)
    target, weight = examples.targets()
    for image in range(2):
        for row in range(2):
            for column in range(3):
                pixels = masks[image, 4 * row:4 * row + 4, 4 * column:4 * column + 4]
                pixels = pixels.flatten().tolist()
                valid = [p for p in pixels if p != 255]
                assert weight[image, row, column] == pytest.approx(len(valid) / 16)
                assert target[image, row, column] == pytest.approx(
                    sum(valid) / len(valid) if valid else 0, abs=1e-5)


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
        maps, torch.arange(count), torch.arange(count) % 2 == 1, masks, None)


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


@pytest.fixture
def trainer(tmp_path):
    """Makes a trainer with weights of its own."""
    def build(steps=60, key='a', state=tmp_path / 'last.pth', reports=None):
        torch.manual_seed(1)
        labeler = EnhancedLabeler(
            dict(type='PseudoLabelEnhancer', num_heads=2, channels=8))
        return EnhancerTrainer(
            labeler, made_examples(24, 0), made_examples(8, 1), steps=steps,
            batch_size=4, lr=1e-2, interval=20, seed=0, state=state, key=key,
            report=lambda *args: reports is not None and reports.append(args))
    return build


def test_learns_and_keeps_the_best(trainer):
    """The loss falls, held-out labels get good, and the best weights remain."""
    reports = []
    run = trainer(reports=reports)
    best = run.train()
    assert [step for step, _, _ in reports] == [20, 40, 60]
    assert reports[-1][1] < reports[0][1]
    means = [sum(ious.values()) / 2 for _, _, ious in reports]
    assert best == max(means) > 60
    found = label_iou(run.labeler, run.validation)
    assert sum(found.values()) / 2 == pytest.approx(best)
    assert not any(p.requires_grad for p in run.labeler.parameters())


def test_resumes_to_the_same_weights(trainer):
    """Stopped between two states it does the lost steps again."""
    whole = trainer()
    whole.train()
    whole.state.unlink()
    stopped = trainer()
    stopped.enhancer.requires_grad_(True)
    train_step = stopped._train_step

    def fail_at_30():
        if stopped.step == 30:
            raise KeyboardInterrupt
        return train_step()

    stopped._train_step = fail_at_30
    with pytest.raises(KeyboardInterrupt):
        stopped.train()
    again = trainer()
    again.resume()
    assert again.step == 20
    again.train()
    for name, value in whole.enhancer.state_dict().items():
        assert torch.equal(again.enhancer.state_dict()[name], value)


def test_a_state_of_another_training_is_refused(trainer):
    """It would mix two trainings."""
    trainer(steps=20).train()
    with pytest.raises(ValueError, match='last.pth.*without --resume'):
        trainer(key='b').resume()
