"""Examples of the enhancer against loops, on made images."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
import torch.nn.functional as F

from mmwsfs.models import AttentionLabeler
from mmwsfs.models.pseudo_labels.enhancer_examples import ExampleMaker, Examples
from mmwsfs.structures import TrainingImage, ViTFeatures

HEADS, GRID = 2, (3, 4)
CLASSES = [[1], [2, 1], [2], [3], [1, 3], [2], [1], [3, 2]]


def training_images():
    """Two of three carry masks."""
    generator = torch.Generator().manual_seed(0)
    for number, classes in enumerate(CLASSES):
        features = ViTFeatures(
            torch.randn(1, 2, 13, 6, generator=generator),
            torch.randn(1, HEADS, 3, generator=generator),
            torch.randn(1, HEADS, 12, 3, generator=generator), GRID)
        masks = torch.randint(
            0, 2, (len(classes), 6, 8), generator=generator).to(torch.uint8)
        yield f'{number}', TrainingImage(
            classes, features, torch.zeros(len(classes), 12), torch.ones(12),
            masks if number % 3 else None)


@pytest.fixture
def made(make_fitting):
    """A maker, its images, and how often each of these was asked for."""
    fitting, _ = make_fitting(dict(training_images()), 3)
    images, asked = fitting.images, Counter()
    get = type(images).__getitem__

    class Counting(type(images)):
        def __getitem__(self, name):
            asked[name] += 1
            return get(self, name)

    images.__class__ = Counting
    return ExampleMaker(images, AttentionLabeler(), partners=2, seed=0), images, asked


def test_examples(made):
    """Maps of the image's own CLS and of the pool's, of every class of an image."""
    maker, images, _ = made
    names = images.masked
    examples = maker.make(names)
    expected, masks = [], []
    for name in names:
        for number, mask in zip(images.classes[name], images[name].masks):
            others = [n for n in maker.pool[number] if n != name]
            expected.append([(name, name)] + [(other, name) for other in others])
            masks.append(mask)
            assert len(maker.pool[number]) == 2
            assert all(number in images.classes[n] for n in others)
    assert torch.equal(examples.masks, torch.stack(masks))
    assert examples.entry.tolist() == [
        i for i, pairs in enumerate(expected) for _ in pairs]
    assert examples.is_query.tolist() == [
        support != image for pairs in expected for support, image in pairs]
    flat = [pair for pairs in expected for pair in pairs]
    assert examples.maps.shape == (len(flat), HEADS, *GRID)
    for position, pair in enumerate(flat):
        support, image = (images[name].features for name in pair)
        for head in range(HEADS):
            cosine = F.cosine_similarity(
                support.cls_query[0, head, None], image.keys[0, head], dim=1)
            torch.testing.assert_close(
                examples.maps[position, head].flatten(), cosine)


def test_images_are_asked_for_once_in_each_role(made):
    """As a part of the pool, when the maker is built, and as one with masks."""
    maker, images, asked = made
    pool = {name for names in maker.pool.values() for name in names}
    assert asked == Counter(pool)
    maker.make(images.masked[:2])
    maker.make(images.masked[2:])
    assert asked == Counter(pool) + Counter(images.masked)


def test_the_pool_is_drawn_by_the_seed(make_fitting):
    """Among all images of a class: what makes a support needs no mask."""
    images = make_fitting(dict(training_images()), 3)[0].images

    def pool(seed, partners=2):
        return ExampleMaker(images, AttentionLabeler(), partners, seed).pool

    assert pool(0) == pool(0)
    assert len({str(pool(seed)) for seed in range(5)}) > 1
    everything = pool(0, partners=100)
    for number in (1, 2, 3):
        assert sorted(everything[number]) == sorted(images.images_of[number])


def test_targets():
    """The object's share of each patch's pixels that are not void, pixel by pixel."""
    masks = torch.randint(0, 3, (2, 8, 12))
    masks[masks == 2] = 255
    masks[0, :4, :4] = 255  # a patch of nothing else
    examples = Examples(
        torch.zeros(2, 1, 2, 3), torch.arange(2), torch.zeros(2, dtype=torch.bool),
        masks.to(torch.uint8))
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
