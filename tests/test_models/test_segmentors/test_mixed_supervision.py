"""Supervision 'mixed': an image's own mask where it carries one."""

import pytest
import torch

SIZE = 48


@pytest.fixture
def model(build_model):
    model = build_model()
    model.supervision = 'mixed'
    return model


def labels(model, inputs, samples):
    """Masks and targets of supports and queries under the present supervision."""
    query, support = model.extract_episodes(inputs)
    size = (SIZE, SIZE)
    return (model.support_masks(support, size, samples),
            model.query_masks(query, support, size, samples))


@torch.no_grad()
def test_each_image_has_its_own_labels(model, make_batch):
    """Support and query of an episode are judged one by one."""
    inputs, samples = make_batch(
        batch=4, way=1, shot=1, masks=True, presence=[[True]] * 4)
    model.supervision = 'image'
    made_support, made_query = labels(model, inputs, samples)
    model.supervision = 'pixel'
    true_support, true_query = labels(model, inputs, samples)
    assert (made_support != true_support).flatten(1).any(dim=1).all()
    assert (made_query != true_query).flatten(1).any(dim=1).all()
    model.supervision = 'mixed'
    del samples[1].support_masks, samples[2].gt_sem_seg
    del samples[3].support_masks, samples[3].gt_sem_seg
    support, query = labels(model, inputs, samples)
    for index in range(4):
        expected = made_support if index in (1, 3) else true_support
        assert torch.equal(support[index], expected[index])
        expected = made_query if index in (2, 3) else true_query
        assert torch.equal(query[index], expected[index])


@torch.no_grad()
def test_an_absent_class_has_no_pseudo_mask(model, make_batch):
    """A query without mask and without the class is all background."""
    inputs, samples = make_batch(
        batch=2, way=1, shot=1, masks=False, presence=[[False], [True]])
    _, query = labels(model, inputs, samples)
    assert not query[0].any() and query[1].any()


def test_trains_without_any_mask(model, make_batch):
    """Where no image of a batch carries one the losses are those of 'image'."""
    inputs, samples = make_batch(batch=2, way=1, shot=1, masks=False)
    mixed = model.loss(inputs, samples)
    model.supervision = 'image'
    image = model.loss(inputs, samples)
    assert {name: float(value) for name, value in mixed.items()} == {
        name: float(value) for name, value in image.items()}


def test_labeler_is_told_the_classes_of_targets(model, make_batch):
    """Not of supports: in testing, where theirs are made too, classes are others."""
    inputs, samples = make_batch(batch=2, way=1, shot=1, masks=False)
    told = []
    model.labeler.register_forward_pre_hook(lambda module, args: told.append(args[3:]))
    labels(model, inputs, samples)
    of_supports, of_queries = told
    assert of_supports == ()
    assert of_queries[0].tolist() == [int(s.class_ids[0]) for s in samples]


def test_needs_a_labeler(build_model):
    """As 'image' does; another word is refused."""
    model = build_model(labeler=None)
    with pytest.raises(ValueError, match="supervision 'mixed' needs a labeler"):
        model.supervision = 'mixed'
    with pytest.raises(ValueError, match="'pixel', 'image' or 'mixed'"):
        model.supervision = 'some'
