"""Supervision 'mixed': an image's own mask where it carries one."""

import pytest
import torch

SIZE = 48


@pytest.fixture
def models(build_model):
    """Of every supervision, with the same weights."""
    return {supervision: build_model(supervision=supervision)
            for supervision in ('pixel', 'image', 'mixed')}


def labels(model, inputs, samples):
    """Masks and targets of supports and queries under the model's supervision."""
    query, support, query_of = model.extract_episodes(inputs)
    size = (SIZE, SIZE)
    given = [sample.support_masks[0, 0] if 'support_masks' in sample else None
             for sample in samples]
    return (model.support_masks(support, size, given),
            model.query_masks(query[query_of], support, size, samples))


@torch.no_grad()
def test_each_image_has_its_own_labels(models, make_batch):
    """Support and query of an episode are judged one by one."""
    inputs, samples = make_batch(
        batch=4, way=1, shot=1, masks=True, presence=[[True]] * 4)
    made_support, made_query = labels(models['image'], inputs, samples)
    true_support, true_query = labels(models['pixel'], inputs, samples)
    assert (made_support != true_support).flatten(1).any(dim=1).all()
    assert (made_query != true_query).flatten(1).any(dim=1).all()
    del samples[1].support_masks, samples[2].gt_sem_seg
    del samples[3].support_masks, samples[3].gt_sem_seg
    support, query = labels(models['mixed'], inputs, samples)
    for index in range(4):
        expected = made_support if index in (1, 3) else true_support
        assert torch.equal(support[index], expected[index])
        expected = made_query if index in (2, 3) else true_query
        assert torch.equal(query[index], expected[index])


@torch.no_grad()
def test_an_absent_class_has_no_pseudo_mask(models, make_batch):
    """A query without mask and without the class is all background."""
    inputs, samples = make_batch(
        batch=2, way=1, shot=1, masks=False, presence=[[False], [True]])
    _, query = labels(models['mixed'], inputs, samples)
    assert not query[0].any() and query[1].any()


def test_trains_without_any_mask(models, make_batch):
    """Where no image of a batch carries one the losses are those of 'image'."""
    inputs, samples = make_batch(batch=2, way=1, shot=1, masks=False)
    mixed, image = (
        models[supervision].loss(inputs, samples) for supervision in ('mixed', 'image'))
    assert {name: float(value) for name, value in mixed.items()} == {
        name: float(value) for name, value in image.items()}


def test_labeler_is_told_the_classes_of_targets(models, make_batch):
    """Not of supports: in testing, where theirs are made too, classes are others."""
    inputs, samples = make_batch(batch=2, way=1, shot=1, masks=False)
    told = []
    models['mixed'].labeler.register_forward_pre_hook(
        lambda module, args: told.append(args[3:]))
    labels(models['mixed'], inputs, samples)
    of_supports, of_queries = told
    assert of_supports == ()
    assert of_queries[0].tolist() == [int(s.class_ids[0]) for s in samples]
