"""The stage before training: who learns, in what order, from what, for all ranks."""

from __future__ import annotations

from collections import Counter
from contextlib import nullcontext

import pytest
import torch

from mmwsfs.fitting import fit_before_training, fittable_parts, stage
from mmwsfs.models import (
    ClassProbe,
    DiscriminantMetric,
    EnhancedLabeler,
    discriminant,
)
from mmwsfs.models.pseudo_labels import class_probe
from mmwsfs.models.token_metrics import discriminant_metric

MASKS = dict(image='none', pixel='all', mixed=0.5)  # supervision -> masks


def fit(model, dataset, folder, **kwargs):
    """Let the model learn; returns the log."""
    lines = []
    settings = dict(
        seed=0, folder=folder, resume=False, precision=nullcontext,
        report=lambda line, *args: lines.append(line))
    fit_before_training(model, dataset, **{**settings, **kwargs})
    return lines


def labelled(model, dataset):
    """Of every image its tokens, by class the shares of patches, and what is not void.

    By masks pixel by pixel, else by the labeler as it is now.
    """
    for name in sorted({entry['name'] for entry in dataset.data_list}):
        image = dataset.read_image(name)
        features = model.extract_image(image['img'])
        numbers = dict.fromkeys(
            entry['class_id'] for entry in dataset.data_list if entry['name'] == name)
        valid, shares = torch.ones(16), {}
        for number in numbers:
            if dataset.has_mask(name):
                valid, share = (
                    torch.from_numpy(mask).double().view(4, 8, 4, 8).mean(
                        dim=(1, 3)).flatten()
                    for mask in (image['gt_seg_map'] != 255,
                                 image['gt_seg_map'] == number))
            else:
                share = model.labeler(
                    features, features, (4, 4), torch.tensor([number])).flatten()
            shares[number] = share.double()
        yield features.tokens[0].double(), shares, valid, dataset.has_mask(name)


def slow_metric(images, layer):
    """Matrix and offsets, object by object and patch by patch."""
    objects: dict[int, list] = {}
    for tokens, shares, valid, _ in images:
        left = (valid - sum(shares.values())).clamp_min(0)
        for number, share in {**shares, 0: left}.items():
            if share.sum() > 0:
                objects.setdefault(number, []).append(
                    (tokens[layer, 1:], share / share.sum()))
    means = {number: sum(weights @ x for x, weights in shown) / len(shown)
             for number, shown in objects.items()}
    within, count = torch.zeros(16, 16, dtype=torch.double), 0
    for number, shown in objects.items():
        for x, weights in shown if number else ():
            count += 1
            for patch, weight in zip(x, weights):
                difference = patch - means[number]
                within += weight * torch.outer(difference, difference)
    within /= count
    within += discriminant_metric.RIDGE * within.trace() / 16 * torch.eye(16)
    values, vectors = torch.linalg.eigh(within)
    whiten = vectors @ torch.diag(values**-0.5) @ vectors.T
    centre = sum(means.values()) / len(means)
    directions = torch.stack([(mean - centre) @ whiten for mean in means.values()])
    span = torch.linalg.pinv(directions, rtol=1e-9) @ directions
    matrix = whiten @ (torch.eye(16) + discriminant.EMPHASIS * span)
    cls, patches = (
        sum(part) / len(images) for part in zip(*(
            (tokens[layer, 0], tokens[layer, 1:].mean(dim=0))
            for tokens, *_ in images)))
    return matrix, cls @ matrix, patches @ matrix


def slow_probe(images):
    """(20, 32) planes: least squares with an intercept that is not penalised."""
    rows, targets = [], []
    for tokens, shares, valid, masked in images:
        for patch in range(16) if masked else ():
            if valid[patch] == 0:
                continue
            x = torch.cat([token / token.norm() for token in tokens[:, 1 + patch]])
            y = torch.zeros(20, dtype=torch.double)
            for number, share in shares.items():
                y[number - 1] = share[patch] / valid[patch]
            rows.append(torch.cat([x, torch.ones(1)]) * valid[patch].sqrt())
            targets.append(y * valid[patch].sqrt())
    penalty = torch.eye(33, dtype=torch.double) * class_probe.RIDGE**0.5
    penalty[-1] = 0
    return torch.linalg.lstsq(
        torch.cat([torch.stack(rows), penalty]),
        torch.cat([torch.stack(targets), torch.zeros(33, 20)])).solution[:-1].T


@pytest.mark.parametrize('supervision', ['image', 'mixed', 'pixel'])
def test_what_is_learned(build_model, train_set, tmp_path, supervision):
    """The metric from all images, the probe from those with masks, by slow loops.

    Masks where there are some; else pseudo-masks, by the enhancer and the probe once
    these have learned.
    """
    model, dataset = build_model(supervision), train_set(MASKS[supervision])
    lines = fit(model, dataset, tmp_path)
    with torch.no_grad():
        images = list(labelled(model, dataset))
    masked = sum(image[-1] for image in images)
    assert masked == dict(image=0, pixel=45).get(supervision, 22)
    assert f'in 45 images, of which {masked} carry masks' in lines[-1]
    for layer in range(2):
        matrix, cls, patches = slow_metric(images, layer)
        for found, expected in (
                (model.metric.matrix, matrix), (model.metric.cls_offset, cls[None]),
                (model.metric.patch_offset, patches[None])):
            torch.testing.assert_close(
                found[layer].double(), expected, rtol=1e-3, atol=1e-3)
    if supervision == 'mixed':
        torch.testing.assert_close(
            model.labeler.probe.planes.double(), slow_probe(images),
            rtol=1e-3, atol=1e-5)
        shown = {number for image in images if image[-1] for number in image[1]}
        known = model.labeler.probe.known
        assert {i + 1 for i in range(20) if known[i]} == shown


def test_parts_and_their_order(build_model):
    """What labels comes first, and a part before those within it."""
    parts = fittable_parts(build_model('mixed'))
    assert list(parts) == ['labeler', 'labeler.probe', 'metric']
    assert [type(part) for part in parts.values()] == [
        EnhancedLabeler, ClassProbe, DiscriminantMetric]
    assert list(fittable_parts(build_model('image'))) == ['metric']
    assert not fittable_parts(build_model('image', metric=None))


def test_each_learns_once_in_order(build_model, train_set, tmp_path, monkeypatch):
    """From one source of images."""
    calls = []
    for kind in (DiscriminantMetric, ClassProbe, EnhancedLabeler):
        monkeypatch.setattr(
            kind, 'fit_to',
            lambda self, fitting: calls.append((type(self).__name__, fitting)))
    fit(build_model('mixed'), train_set(0.5), tmp_path, resume=True, seed=7)
    assert [name for name, _ in calls] == [
        'EnhancedLabeler', 'ClassProbe', 'DiscriminantMetric']
    fitting, = {id(fitting): fitting for _, fitting in calls}.values()
    assert (fitting.seed, fitting.folder, fitting.resume) == (7, tmp_path, True)
    assert len(fitting.images.masked) == 22


@pytest.mark.parametrize('cache', [None, dict(ram_gb=0.01)])
@pytest.mark.parametrize('supervision', ['image', 'mixed', 'pixel'])
def test_every_image_goes_through_the_backbone_once(
        build_model, train_set, tmp_path, supervision, cache):
    """For all parts together, with a feature cache or without."""
    model = build_model(supervision, cache=cache)
    if cache:
        model.cache.bind(model.backbone)
    images = Counter()
    model.backbone.patch_embed.register_forward_hook(
        lambda module, args, output: images.update(
            image.double().sum().item() for image in args[0]))
    fit(model, train_set(MASKS[supervision]), tmp_path)
    assert len(images) == 45 and set(images.values()) == {1}


def fitting_key(model, dataset, folder, monkeypatch, **kwargs):
    """That which the parts are given."""
    keys = []
    monkeypatch.setattr(
        DiscriminantMetric, 'fit_to', lambda self, fitting: keys.append(fitting.key))
    fit(model, dataset, folder, **kwargs)
    return keys[0]


def test_the_key_is_of_all_that_matters(
        build_model, train_set, tmp_path, monkeypatch):
    """The backbone's weights, the images, their masks and the seed; nothing else."""
    def key(masks='all', weight=0., seed=0, model=None, **kwargs):
        model = model or build_model('pixel')
        model.backbone.cls_token.data[0, 0, 0] += weight
        return fitting_key(
            model, train_set(masks, **kwargs), tmp_path, monkeypatch, seed=seed)

    first = key()
    assert key() == first
    head = build_model('pixel')
    head.cls_head.layers[0].weight.data.zero_()
    assert key(model=head) == first
    others = [key(weight=1.), key(seed=1), key(masks=0.5),
              key(masks=0.5, mask_seed=1), key(fold=1)]
    assert len({first, *others}) == 6


def test_all_ranks_get_what_one_learned(
        build_model, train_set, tmp_path, monkeypatch):
    """The main process alone learns; every parameter and buffer is handed on."""
    dataset = train_set(0.5)
    sent = []
    monkeypatch.setattr(
        stage, 'broadcast', lambda tensor: sent.append(tensor.clone()))
    first = build_model('mixed')
    fit(first, dataset, tmp_path)
    monkeypatch.setattr(stage, 'is_main_process', lambda: False)
    monkeypatch.setattr(
        stage, 'broadcast', lambda tensor: tensor.copy_(sent.pop(0)))
    second = build_model('mixed')
    untouched = second.labeler.enhancer.layers[0].weight.clone()
    assert fit(second, dataset, tmp_path) == []
    assert not sent
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name
    assert not torch.equal(untouched, second.labeler.enhancer.layers[0].weight)


def test_images_without_masks_or_labeler(build_model, train_set, tmp_path):
    """The error names the image and the mend."""
    with pytest.raises(
            ValueError, match="trn_06_0' carries no mask.*set model.labeler"):
        fit(build_model('pixel'), train_set('none'), tmp_path)
    with pytest.raises(ValueError, match='no training image carries a mask'):
        fit(build_model('mixed'), train_set('none'), tmp_path)


def test_precision_is_the_runs(build_model, train_set, tmp_path):
    """Features and pseudo-masks are computed within it."""
    entered = []

    class Precision:
        def __enter__(self):
            entered.append(1)

        def __exit__(self, *args):
            pass

    fit(build_model('image'), train_set('none'), tmp_path, precision=Precision)
    assert len(entered) == 45 + 60  # images, and their labels
