"""WholeImagePrior: against loops, and that it tells new classes apart."""

import math

import numpy as np
import pytest
import torch

from mmwsfs.models import WholeImagePrior
from mmwsfs.models.evidence import whole_image_prior
from mmwsfs.models.evidence.whole_image_prior import (
    _class_space,
    _pairs_of_new_classes,
)
from mmwsfs.structures import TrainingImage, ViTFeatures

LAYERS, WIDTH, CLASSES = 3, 8, 12


def class_vectors(count):
    """What images of each class share: (N, L, C)."""
    return torch.randn(count, LAYERS, WIDTH, generator=torch.Generator().manual_seed(1))


SHARED = 20 * class_vectors(1)[0]  # by all images


def photographs(vectors, numbers, seed=0, noise=0.3):
    """CLS tokens of an image of each of the classes: (B, L, C)."""
    generator = torch.Generator().manual_seed(seed)
    return SHARED + vectors[numbers] + noise * torch.randn(
        len(numbers), LAYERS, WIDTH, generator=generator)


def training_images(classes_of, noise=0.3):
    """By name, images of one class or more each; they have no patches to look at."""
    vectors = class_vectors(CLASSES)
    made = {}
    for index, numbers in enumerate(classes_of):
        cls = sum(photographs(vectors, [n - 1], index, noise)[0] for n in numbers)
        features = ViTFeatures(
            (cls / len(numbers))[None, :, None], torch.zeros(1, 1, 1),
            torch.zeros(1, 1, 0, 1), (0, 0))
        made[f'{index:03d}'] = TrainingImage(
            numbers, features, torch.zeros(len(numbers), 0), torch.zeros(0), None)
    return made


@pytest.fixture
def fit(make_fitting, monkeypatch):
    """Fits a prior to images of the classes given; with what it reported."""
    monkeypatch.setattr(whole_image_prior, 'PAIRS', 60)

    def run(classes_of, **kwargs):
        fitting, reports = make_fitting(training_images(classes_of), CLASSES, **kwargs)
        prior = WholeImagePrior(LAYERS, WIDTH)
        prior.fit_to(fitting)
        return prior, reports
    return run


MANY = [(1 + index % CLASSES, ) for index in range(8 * CLASSES)]


def naive_logit(prior, query, supports):
    """Of one query, (L, C), with K supports, (K, L, C), vector by vector."""
    def direction(cls, block):
        mapped = (cls[prior.first + block].double() - prior.centre[block].double()) @ (
            prior.matrix[block].double())
        return mapped / mapped.norm()

    likeness = 0.
    blocks = len(prior.matrix)
    for block in range(blocks):
        mean = sum(direction(support, block) for support in supports)
        likeness += float(direction(query, block) @ mean / mean.norm()) / blocks
    slope, offset, slope_of_set, offset_of_set = prior.weights.tolist()
    size = 1 - 1 / len(supports)
    return (slope + size * slope_of_set) * likeness + offset + size * offset_of_set


def test_logits_against_loops(fit):
    """Ways of other numbers of supports; half precision as from a cache."""
    prior, _ = fit(MANY)
    vectors = class_vectors(CLASSES)
    query = photographs(vectors, [0, 1, 2], seed=50).half()
    support = photographs(vectors, [0, 5, 5, 2, 2, 2], seed=51).half()
    shots = [1, 2, 3]
    found = prior(query, support, shots)
    assert found.shape == (3, 2) and found.dtype == torch.float
    logits = found[:, 1] - found[:, 0]
    for way, supports in enumerate(support.split(shots)):
        expected = naive_logit(prior, query[way], supports)
        assert logits[way].item() == pytest.approx(expected, abs=1e-4)
        alone = prior(query[way:way + 1], supports, [len(supports)])
        torch.testing.assert_close(alone[0], found[way], rtol=0, atol=1e-5)
    assert logits[0] > 1 and logits[1] < -1 and logits[2] > 1


def test_the_space_against_loops():
    """Covariance within the classes of images that may show several."""
    generator = torch.Generator().manual_seed(2)
    cls = torch.randn(20, LAYERS, WIDTH, generator=generator)
    tags = torch.zeros(20, 4, dtype=torch.bool)  # nobody shows the last class
    for index in range(20):
        tags[index, [index % 3, index % 2]] = True
    matrix, centre = _class_space(cls, tags)
    for layer in range(LAYERS):
        torch.testing.assert_close(centre[layer], cls[:, layer].mean(dim=0))
        parts = [(number, cls[index, layer].double(), 1 / int(tags[index].sum()))
                 for index in range(20) for number in range(3) if tags[index, number]]
        means = [sum(w * x for n, x, w in parts if n == number)
                 / sum(w for n, _, w in parts if n == number) for number in range(3)]
        within = sum(w * torch.outer(x - means[n], x - means[n]) for n, x, w in parts)
        expected = whole_image_prior.discriminant(
            within / 20, torch.stack(means), whole_image_prior.RIDGE)
        torch.testing.assert_close(
            matrix[layer].double(), expected, rtol=1e-4, atol=1e-4)


def test_pairs_are_of_classes_that_their_space_has_not_seen(monkeypatch):
    """Nothing of the images of the classes left out gets into the space."""
    seen = []
    monkeypatch.setattr(
        whole_image_prior, '_class_space',
        lambda cls, tags: (seen.append((cls, tags)), _class_space(cls, tags))[1])
    monkeypatch.setattr(whole_image_prior, 'PAIRS', 5)
    cls = torch.randn(60, LAYERS, WIDTH)
    tags = torch.zeros(60, 20, dtype=torch.bool)
    for index in range(60):
        tags[index, index % 12] = True
    terms, present = _pairs_of_new_classes(
        cls, tags, torch.ones_like(tags), np.random.RandomState(0))
    assert len(seen) == 5
    left_out = [set(range(12)) - set(torch.where(t.any(dim=0))[0].tolist())
                for _, t in seen]
    assert sorted(number for group in left_out for number in group) == list(range(12))
    # Of five images of a class four are left beside a query: no set of five.
    assert terms.shape == (5 * 2 * 5, 4)
    assert present.dtype == torch.bool and 0 < present.sum() < len(present)
    assert set(terms[:, 3].tolist()) == {0., 0.5}
    torch.testing.assert_close(terms[:, 2], terms[:, 0] * terms[:, 3])


def test_no_pair_asks_for_what_tags_do_not_say(monkeypatch):
    """Of images whose tags know one half of the classes, none is 'absent' of the other.
    """
    monkeypatch.setattr(whole_image_prior, 'PAIRS', 200)
    monkeypatch.setattr(whole_image_prior, 'SHOTS', (1, ))
    cls = torch.randn(60, LAYERS, WIDTH)
    tags = torch.zeros(60, 12, dtype=torch.bool)
    halves = torch.zeros_like(tags)
    for index in range(60):
        tags[index, index % 12] = True
        half = index % 12 // 6
        halves[index, 6 * half:6 * half + 6] = True
    everything, some = (
        _pairs_of_new_classes(cls, tags, known, np.random.RandomState(0))[1]
        for known in (torch.ones_like(tags), halves))
    assert len(everything) == 5 * 200
    # What is present is known, and stays; of what is absent a part goes.
    assert some.sum() == everything.sum()
    assert some.sum() < len(some) < len(everything)


def test_it_holds_for_new_classes(fit):
    """Presence of classes from outside its training, which raw cosines cannot tell."""
    prior, reports = fit(MANY)
    new = torch.randn(30, LAYERS, WIDTH, generator=torch.Generator().manual_seed(9))
    numbers = torch.arange(200) % 30
    present = torch.arange(200) % 2 == 0
    asked = torch.where(present, numbers, (numbers + 7) % 30)
    query = photographs(new, numbers, seed=10)
    raw = torch.nn.functional.cosine_similarity(
        query, photographs(new, asked, seed=11), dim=-1)
    assert raw.min() > 0.9  # alike in what they share
    accuracy = []
    for shots in (1, 5):
        support = photographs(new, asked.repeat_interleave(shots), seed=12, noise=1.)
        found = prior(query, support, [shots] * 200).argmax(dim=1) == present
        accuracy.append(found.float().mean())
    assert accuracy[0] > 0.65
    assert accuracy[1] > accuracy[0] + 0.05  # a set says more
    assert f'tags of {len(MANY)} images' in reports[0][0]


@pytest.mark.parametrize('classes_of', [
    [(1, )] * 6, [(1, ), (2, ), (3, )] * 4, [(n, ) for n in range(1, 13)]],
    ids=['one class', 'three classes', 'an image each'])
def test_too_little_to_learn_a_logit_from(fit, classes_of):
    """It then says nothing, and the head decides alone."""
    prior, reports = fit(classes_of)
    assert '0 pairs' in reports[0][0]
    query = photographs(class_vectors(3), [0, 1])
    assert torch.equal(prior(query, query, [1, 1]), torch.zeros(2, 2))
    assert prior.matrix.isfinite().all()


def test_unfitted_says_nothing():
    prior = WholeImagePrior(LAYERS, WIDTH)
    query = torch.randn(2, LAYERS, WIDTH)
    assert torch.equal(prior(query, query, [1, 1]), torch.zeros(2, 2))
    assert not list(prior.parameters())


def test_same_seed_same_prior(fit, monkeypatch):
    """And images beyond the limit are left out by the seed."""
    states = [fit(MANY, seed=seed)[0].state_dict() for seed in (0, 0, 1)]
    for name, value in states[0].items():
        assert torch.equal(value, states[1][name])
    assert not torch.equal(states[0]['weights'], states[2]['weights'])
    monkeypatch.setattr(whole_image_prior, 'MAX_IMAGES', 40)
    prior, reports = fit(MANY)
    assert 'tags of 40 images' in reports[0][0]
    assert math.isfinite(prior.weights.sum())
