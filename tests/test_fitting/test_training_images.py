"""LabelledImages: features once, and labels pixel by pixel."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from mmwsfs.fitting import LabelledImages, training_images

GRID = (4, 4)


class Source:
    """Features of a model and labels of a labeler, and how often they are asked for."""

    def __init__(self, model) -> None:
        self.model = model
        self.reads = Counter()
        self.told = []

    @torch.no_grad()
    def extract(self, image):
        self.reads[image.key] += 1
        return self.model.extract_image(image)

    def label(self, features, size, number):
        self.told.append((size, number))
        generator = torch.Generator().manual_seed(number)
        return torch.rand(1, *size, generator=generator) > 0.5


@pytest.fixture
def source(build_model):
    return Source(build_model('image').eval())


def make(dataset, source, label=True, cached=False):
    return LabelledImages(
        dataset, source.extract, source.label if label else None, cached)


@pytest.mark.parametrize('masks', ['all', 'none', 0.3])
def test_lists(train_set, source, masks):
    """Classes by image, images by class, each once, and who carries masks."""
    dataset = train_set(masks)
    images = make(dataset, source)
    entries = [(entry['name'], entry['class_id']) for entry in dataset.data_list]
    assert len(entries) == 60
    assert {(name, number) for name, numbers in images.classes.items()
            for number in numbers} == set(entries)
    assert {(name, number) for number, names in images.images_of.items()
            for name in names} == set(entries)
    for number, names in images.images_of.items():
        in_order = [name for name, other in entries if other == number]
        assert names == list(dict.fromkeys(in_order))
    assert images.num_classes == 20
    assert len(images.masked) == dict(all=45, none=0).get(masks, 14)
    assert list(images.masked) == sorted(images.masked)
    assert not source.reads


def shares_of(mask):
    """Of every 8 x 8 patch the share of the pixels that are set, row by row."""
    return [
        sum(mask[8 * row + y][8 * column + x] for y in range(8) for x in range(8)) / 64
        for row in range(4) for column in range(4)]


@pytest.mark.parametrize('name', ['trn_06_0', 'trn_13_2'])
def test_an_image_with_a_mask(train_set, source, name):
    """Shares of its classes and of what is not void; masks with void."""
    dataset = train_set()
    image = make(dataset, source, label=False)[name]
    label_map = dataset.read_image(name)['gt_seg_map'].tolist()
    numbers = [entry['class_id'] for entry in dataset.data_list
               if entry['name'] == name]
    assert list(image.classes) == numbers and len(numbers) == 2 - int(name[-1] != '0')
    assert image.masks.dtype == torch.uint8
    for index, number in enumerate(numbers):
        expected = [[value == number for value in row] for row in label_map]
        assert image.shares[index].tolist() == pytest.approx(shares_of(expected))
        assert image.masks[index].tolist() == [
            [255 if value == 255 else int(value == number) for value in row]
            for row in label_map]
    valid = [[value != 255 for value in row] for row in label_map]
    assert image.valid.tolist() == pytest.approx(shares_of(valid))
    assert 0 < image.valid.min() < 1
    assert image.shares.amax(dim=1).min() > 0.1


def test_an_image_without_a_mask(train_set, source):
    """The labeler is told each class, at the patches' size; nothing is void."""
    images = make(train_set('none'), source)
    image = images['trn_06_0']
    assert source.told == [(GRID, number) for number in image.classes]
    assert len(image.classes) == 2
    for shares, number in zip(image.shares, image.classes):
        expected = source.label(None, GRID, number).flatten().float()
        assert torch.equal(shares, expected)
    assert image.masks is None and (image.valid == 1).all()


def test_some_carry_masks(train_set, source):
    """Only the others are labelled."""
    images = make(train_set(0.3), source)
    for name in images.classes:
        source.told.clear()
        image = images[name]
        assert (image.masks is not None) == (name in images.masked)
        assert bool(source.told) == (image.masks is None)


def test_features_are_extracted_once(train_set, source):
    """However often an image is asked for, by whom, and in what order."""
    images = make(train_set(), source)
    for _ in range(2):
        for name in list(images.classes)[:6]:
            features = images.features(name)
            assert torch.equal(images[name].features.tokens, features.tokens)
    assert len(source.reads) == 6 and set(source.reads.values()) == {1}


def test_a_cache_is_asked_instead(train_set, source):
    """Where the model caches features none are kept beside."""
    images = make(train_set(), source, cached=True)
    for _ in range(3):
        images.features('trn_06_1')
    assert set(source.reads.values()) == {3}


def test_memory_is_bounded(train_set, source, monkeypatch):
    """The first ones go first, and are extracted again."""
    images = make(train_set(), source)
    size = images.features('trn_06_1').nbytes
    monkeypatch.setattr(training_images, 'KEPT_BYTES', int(3.5 * size))
    names = ['trn_06_1', 'trn_06_2', 'trn_07_1', 'trn_07_2']
    for name in names:
        images.features(name)
    assert set(source.reads.values()) == {1}
    for name in names[1:]:
        images.features(name)
    assert set(source.reads.values()) == {1}
    images.features(names[0])
    assert sorted(source.reads.values()) == [1, 1, 1, 2]


def test_masks_that_the_pipeline_does_not_load(train_set, source, make_pipeline):
    """The error names the image and what to add."""
    images = make(train_set(0.5, pipeline=make_pipeline()), source)
    name = images.masked[0]
    with pytest.raises(
            ValueError, match=f"image '{name}' carries a mask, but.*LoadLabelMap"):
        images[name]


def test_no_mask_and_no_labeler(train_set, source):
    """The error names the image and the mend."""
    images = make(train_set('none'), source, label=False)
    with pytest.raises(
            ValueError, match="'trn_06_0' carries no mask.*set model.labeler"):
        images['trn_06_0']
