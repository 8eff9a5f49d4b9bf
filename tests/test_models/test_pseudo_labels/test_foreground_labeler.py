"""ForegroundLabeler: what it learns, and how it labels then."""

from contextlib import nullcontext

import pytest
import torch
from mmengine.config import Config

from mmwsfs.fitting import fit_before_training
from mmwsfs.models import AttentionLabeler, ClassProbe, ForegroundLabeler
from mmwsfs.registry import DATASETS, MODELS
from mmwsfs.structures import TrainingImage, ViTFeatures

GRID, WIDTH, HEADS = (4, 5), 6, 2
PLANTED = torch.tensor([[2., 0, -1], [0, 1, 1]])  # what foreground's keys have more of


def made_image(seed):
    """An image, a batch of one, and which of its patches are foreground."""
    generator = torch.Generator().manual_seed(seed)
    inside = torch.rand(20, generator=generator) < 0.3
    keys = torch.randn(1, HEADS, 20, 3, generator=generator)
    keys = keys + 2 * inside[:, None] * PLANTED[:, None]
    return ViTFeatures(
        torch.randn(1, 2, 21, WIDTH, generator=generator),
        torch.randn(1, HEADS, 3, generator=generator), keys, GRID), inside


def training_images(count=12, noise=0.3):
    """Of two classes; the labels of the first half are wrong at ``noise`` of the
    patches, the others are masks with void."""
    images = {}
    for number in range(count):
        generator = torch.Generator().manual_seed(100 + number)
        features, inside = made_image(number)
        wrong = torch.rand(20, generator=generator) < noise
        valid = torch.ones(20)
        masked = number >= count / 2
        if masked:
            valid[:3] = torch.tensor([0, 0.5, 0.25])
            shares = inside.float() * valid
        else:
            shares = (inside ^ wrong).float()
        images[f'{number}'] = TrainingImage(
            [number % 2 + 1], features, shares[None], valid,
            torch.zeros(1, 2, 2) if masked else None)
    return images


def fitted(make_fitting, images=None, **kwargs):
    labeler = ForegroundLabeler(embed_dims=WIDTH, **kwargs)
    fitting, reports = make_fitting(images or training_images(), 2)
    labeler.fit_to(fitting)
    return labeler, reports


def test_before_it_has_learned_it_is_an_attention_labeler():
    """With the same settings, to the last bit."""
    image, _ = made_image(0)
    for settings in ({}, dict(adaptive=0.2, affinity=None)):
        plain = AttentionLabeler(**{'adaptive': 0.5, 'affinity': 20., **settings})
        found = ForegroundLabeler(embed_dims=WIDTH, **settings)
        assert not found.fitted
        assert torch.equal(
            found(image, image, (16, 20)), plain(image, image, (16, 20)))


def test_the_direction_is_the_half_whitened_difference(make_fitting):
    """Patch by patch; scores have mean 0 and deviation 1 over the training patches."""
    labeler, reports = fitted(make_fitting)
    rows, targets, weights = [], [], []
    for image in training_images().values():
        for patch in range(20):
            rows.append(torch.cat([
                image.features.keys[0, head, patch].double()
                / image.features.keys[0, head, patch].double().norm()
                for head in range(HEADS)]))
            weights.append(float(image.valid[patch]))
            targets.append(
                float(image.shares[0, patch]) / max(weights[-1], 1e-6))
    x, y, w = torch.stack(rows), torch.tensor(targets), torch.tensor(weights)
    y, w = y.double(), w.double() / sum(weights)
    centred = x - w @ x
    values, vectors = torch.linalg.eigh((centred * w[:, None]).T @ centred)
    direction = vectors @ torch.diag(values**-0.5) @ vectors.T @ (
        centred.T @ (w * (y - w @ y)))
    scores = centred @ direction
    scores = scores / (w @ scores.square()).sqrt()
    found = torch.cat([
        labeler.scores(image.features, image.features).flatten()
        for image in training_images().values()])
    torch.testing.assert_close(found.double(), scores - 0.5, rtol=1e-4, atol=1e-4)
    share = f'{float(w @ y):.0%}'
    assert reports == [(
        'foreground: fitted to 12 images, of which 6 carry masks; '
        f'{share} of their patches are foreground', )]


def test_it_finds_what_wrong_labels_have_in_common(make_fitting):
    """On an image of its own, whatever the support; an attention map tells nothing."""
    labeler, _ = fitted(make_fitting)
    bare, right, plain = AttentionLabeler(adaptive=0.5, affinity=20.), [], []
    for seed in range(50, 60):
        image, inside = made_image(seed)
        other = made_image(seed + 1)[0].without_tokens()
        found = labeler(other, image.without_tokens(), GRID)
        assert found.dtype == torch.bool and found.shape == (1, *GRID)
        right.append((found.flatten() == inside).float().mean())
        plain.append((bare(image, image, GRID).flatten() == inside).float().mean())
    assert torch.stack(right).mean() > 0.8 > torch.stack(plain).mean() + 0.1


def test_soft_maps_and_their_threshold(make_fitting):
    """In 0..1, one half where the score is ``adaptive`` deviations above the mean."""
    low, _ = fitted(make_fitting, adaptive=0.)
    high, _ = fitted(make_fitting, adaptive=1.)
    image, _ = made_image(70)
    torch.testing.assert_close(
        low.scores(image, image) - 1, high.scores(image, image))
    soft = low.soften(low.scores(image, image), (16, 20))
    assert soft.shape == (1, 16, 20) and soft.min() >= 0 and soft.max() <= 1
    assert torch.equal(low.binarise(soft), soft > 0.5)
    many, few = (
        labeler(image, image, (16, 20)).sum() for labeler in (low, high))
    assert many > few > 0


def test_learned_again_and_loaded(make_fitting):
    """It learns from the bare maps each time; a checkpoint holds what it learned."""
    labeler, _ = fitted(make_fitting)
    first = labeler.plane.clone()
    labeler.fit_to(make_fitting(training_images(), 2)[0])
    assert torch.equal(labeler.plane, first)
    other = ForegroundLabeler(embed_dims=WIDTH)
    other.load_state_dict(labeler.state_dict())
    image, _ = made_image(80)
    assert torch.equal(
        other(image, image, (16, 20)), labeler(image, image, (16, 20)))


def test_a_probe_is_asked_where_classes_are_given(make_fitting):
    """Of classes that it knows."""
    labeler, _ = fitted(make_fitting)
    labeler.probe = ClassProbe(2, 2, layers=(0, 1), embed_dims=WIDTH)
    image, _ = made_image(90)
    bare = labeler.scores(image, image)
    assert torch.equal(labeler.scores(image, image, torch.tensor([1])), bare)
    labeler.probe.fit_to(make_fitting(training_images(), 2)[0])
    assert torch.equal(labeler.scores(image, image), bare)
    assert not torch.equal(labeler.scores(image, image, torch.tensor([1])), bare)


@pytest.mark.parametrize('share', (0., 1.))
def test_labels_must_cover_a_part(make_fitting, share):
    """The error says what they cover."""
    images = {
        name: TrainingImage(
            image.classes, image.features, torch.full_like(image.shares, share),
            torch.ones(20), None)
        for name, image in training_images().items()}
    with pytest.raises(ValueError, match=f'they cover {share:.0%}'):
        fitted(make_fitting, images)


def test_photographs(shared_data, monkeypatch, tmp_path):
    """The config, with a tiny backbone, learns from real photographs' own maps."""
    monkeypatch.setenv('MMWSFS_DATA_ROOT', str(shared_data))
    monkeypatch.setenv('MMWSFS_SPLITS', 'pascal5i_subset')
    config = Config.fromfile(
        'configs/wsfs/dinov2-vit-s_pascal5i_1shot_quick_plus.py')
    config.model.backbone.update(
        arch=dict(embed_dims=24, num_layers=2, num_heads=3, feedforward_channels=48),
        img_size=56, init_cfg=None)
    config.model.cache = None
    torch.manual_seed(0)
    model = MODELS.build(config.model).eval()
    dataset = DATASETS.build({
        **config.train_dataloader.dataset, 'img_size': 56, 'indices': 12})
    dataset.full_init()
    dataset.read_lazily()
    lines: list[str] = []
    fit_before_training(
        model, dataset, seed=0, folder=tmp_path, resume=False, precision=nullcontext,
        report=lambda line, *args: lines.append(line))
    assert lines[0].startswith('foreground: fitted to ')
    name = dataset.data_list[0]['name']
    image = model.extract_image(dataset.read_image(name)['img'])
    mask = model.labeler(image, image, (56, 56))
    assert 0 < mask.float().mean() < 1
    bare = ForegroundLabeler(embed_dims=24)(image, image, (56, 56))
    assert not torch.equal(mask, bare)
