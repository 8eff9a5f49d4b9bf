"""Every backbone that a config names, under every part that follows its sizes.

At its real sizes with made features; and once for each architecture as a whole, from a
file of its official names, on photographs.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.runner import load_checkpoint
from mmengine.structures import PixelData
from torch import Tensor, nn
from vit_reference import official, tensors

from mmwsfs.engine.runner import TrainingRunner
from mmwsfs.fitting import fittable_parts
from mmwsfs.models import DINOVisionTransformer, FewShotSegmentor
from mmwsfs.models.backbones.dinov3_vit import ARCHS
from mmwsfs.models.evidence import whole_image_prior
from mmwsfs.registry import DATASETS, MODELS
from mmwsfs.structures import FewShotDataSample, TrainingImage, ViTFeatures

CONFIGS = Path(__file__).parents[3] / 'configs/wsfs'
PLUS = 'dinov2-vit-s_pascal5i_1shot_quick_plus_mixed10.py'
EMAT = 'emat_dinov2-vit-s_pascal5i_1shot.py'


class Sizes(NamedTuple):
    num_layers: int
    num_heads: int
    embed_dims: int


def sizes_of(backbone: dict) -> Sizes:
    """Of a config's backbone, by the name of its architecture."""
    if backbone['type'] == 'DINOv3VisionTransformer':
        width, depth, heads, *_ = ARCHS[backbone['arch']]
        return Sizes(depth, heads, width)
    zoo = DINOVisionTransformer.arch_zoo[backbone['arch']]
    return Sizes(*(zoo[name] for name in Sizes._fields))


def released() -> dict[str, Sizes]:
    """Name -> sizes, where several backbones have the same the first name."""
    found = {}
    for path in sorted(CONFIGS.glob('*_pascal5i_1shot.py')):
        sizes = sizes_of(Config.fromfile(path).model.backbone)
        found.setdefault(sizes, path.stem.removesuffix('_pascal5i_1shot'))
    for arch in ARCHS:  # also those that a config reaches by settings
        sizes = sizes_of(dict(type='DINOv3VisionTransformer', arch=arch))
        found.setdefault(sizes, f'dinov3-{arch}')
    return {name: sizes for sizes, name in found.items()}


# ---------------------------------------------------------------- made features
SIDE = 6  # patches of an image in a row, of one pixel each
SQUARE = (slice(1, 4), slice(2, 5))  # of the object
CLASSES, NEW = 10, (11, 12)  # of training; of the test


class MadeBackbone(nn.Module):
    """Features whose parts are known, of images of one pixel a patch.

    An image's first channel is the number of each patch's class, 0 for the background;
    its second seeds the noise.
    """

    frozen = True

    def __init__(self, num_layers: int, num_heads: int, embed_dims: int) -> None:
        super().__init__()
        self.num_layers, self.num_heads, self.embed_dims = (
            num_layers, num_heads, embed_dims)
        generator = torch.Generator().manual_seed(0)
        self.classes = nn.Parameter(torch.randn(
            max(NEW) + 1, num_layers, embed_dims, generator=generator))
        # Keys of the background and, like CLS's query, of objects.
        self.key = nn.Parameter(torch.randn(
            2, num_heads, embed_dims // num_heads, generator=generator))
        self.requires_grad_(False)

    def features(self, image: Tensor) -> ViTFeatures:
        generator = torch.Generator().manual_seed(int(image[1, 0, 0]))
        numbers = image[0].long().flatten()
        tokens = torch.cat([self.classes[[int(numbers.max())]], self.classes[numbers]])
        tokens = 1 + tokens + 0.7 * torch.randn(tokens.shape, generator=generator)
        keys = self.key[(numbers > 0).long()]
        keys = keys + 0.5 * torch.randn(keys.shape, generator=generator)
        return ViTFeatures(
            tokens.transpose(0, 1)[None], self.key[[1]], keys.transpose(0, 1)[None],
            (SIDE, SIDE))

    def extract(self, images: Tensor) -> ViTFeatures:
        return ViTFeatures.cat([self.features(image) for image in images])


def made_image(number: int, seed: int) -> Tensor:
    """Of one object, (3, SIDE, SIDE)."""
    image = torch.zeros(3, SIDE, SIDE)
    image[0][SQUARE] = number
    image[1] = seed
    return image


def made_episodes(pairs: list[tuple[int, int]], seed: int
                  ) -> tuple[dict[str, Tensor], list[FewShotDataSample]]:
    """1-way 1-shot, of pairs of the query's and the support's class."""
    inputs = dict(
        query=torch.stack([
            made_image(own, seed + 2 * n) for n, (own, _) in enumerate(pairs)]),
        support=torch.stack([
            made_image(asked, seed + 2 * n + 1)
            for n, (_, asked) in enumerate(pairs)])[:, None, None])
    samples = []
    for own, asked in pairs:
        sample = FewShotDataSample(
            metainfo=dict(class_ids=[asked], ori_shape=(SIDE, SIDE)))
        sample.gt_presence = torch.tensor([own == asked])
        sample.gt_sem_seg = PixelData(data=made_image(1, 0)[:1] * (own == asked))
        samples.append(sample)
    return inputs, samples


def build(config: str, backbone: dict, **parts: dict) -> FewShotSegmentor:
    """The model of a config upon another backbone."""
    return MODELS.build(dict(
        Config.fromfile(CONFIGS / config).model, backbone=backbone, cache=None,
        data_preprocessor=None, **parts))


@pytest.fixture
def fit(make_fitting: Callable, monkeypatch: pytest.MonkeyPatch
        ) -> Callable[[FewShotSegmentor], None]:
    """Lets all parts of a model learn, from fewer images and patches than numbers in a
    token, in half precision, as a cache keeps them."""
    monkeypatch.setattr(whole_image_prior, 'GROUPS', 2)
    monkeypatch.setattr(whole_image_prior, 'PAIRS', 40)

    def run(model: FewShotSegmentor) -> None:
        images = {}
        for seed in range(3 * CLASSES):
            image = made_image(1 + seed % CLASSES, seed)
            mask = (image[:1] > 0).to(torch.uint8)
            images[f'{seed:02d}'] = TrainingImage(
                [1 + seed % CLASSES],
                model.backbone.extract(image[None]).map(Tensor.half),
                mask.flatten(1).float(), torch.ones(SIDE * SIDE),
                mask if seed % 3 else None)
        fitting, _ = make_fitting(images, CLASSES)
        for part in fittable_parts(model).values():
            part.fit_to(fitting)
    return run


@pytest.mark.parametrize('cut', ('heads of 4 numbers', 'one block'))
@pytest.mark.parametrize('sizes', [
    pytest.param(sizes, id=name) for name, sizes in released().items()])
def test_parts_follow_the_backbone(
        sizes: Sizes, cut: str, fit: Callable[[FewShotSegmentor], None]) -> None:
    """All parts of the improved recipe are built, learn and do what they are for, and
    both necks learn and predict: at the real depth with heads of a few numbers, and at
    the real width with one block."""
    torch.manual_seed(0)
    if cut == 'one block':
        sizes = sizes._replace(num_layers=1)
    else:
        sizes = sizes._replace(embed_dims=4 * sizes.num_heads)
    backbone = dict(type=MadeBackbone, **sizes._asdict())
    model = build(PLUS, backbone, calibration=dict(type='PresenceCalibration'))
    fit(model)
    layers, _, width = sizes
    assert model.metric.matrix.shape == (layers, width, width)
    assert model.prior.matrix.shape == (layers - layers // 2, width, width)
    assert model.labeler.plane.shape == (width, )
    assert all(value.isfinite().all() for value in model.state_dict().values())

    # Of classes that nothing has learned of.
    query, first, second = (
        model.backbone.extract(made_image(number, 100 + n)[None])
        for n, number in enumerate((NEW[0], *NEW)))
    mask, = model.labeler(query, query, (SIDE, SIDE))
    assert torch.equal(mask, made_image(1, 0)[0] > 0)
    cls = torch.cat([first.tokens, second.tokens])[:, :, 0]
    told = model.prior(query.tokens[[0, 0], :, 0], cls, [1, 1])[:, 1]
    assert told[0] > 0 > told[1]
    margins = []
    for change in (lambda features: features, model.metric):
        own, same, other = (
            change(features).tokens[0, :, 1:].mean(dim=1)
            for features in (query, first, second))
        margins.append((
            torch.cosine_similarity(own, same, dim=-1)
            - torch.cosine_similarity(own, other, dim=-1)).mean())
    assert margins[1] > margins[0]

    plus = Config.fromfile(CONFIGS / PLUS).model
    emat = build(EMAT, backbone, calibration=dict(type='PresenceCalibration'), **{
        name: plus[name] for name in ('labeler', 'metric', 'prototypes', 'prior')})
    for name in ('labeler', 'metric', 'prior'):
        getattr(emat, name).load_state_dict(getattr(model, name).state_dict())
    episodes = made_episodes([(11, 11), (11, 12), (12, 12), (12, 11)], seed=200)
    for one in (model, emat):
        assert one.neck.blocks[0].qkv.in_channels == layers * sizes.num_heads
        losses = one.train().loss(*episodes)
        sum(losses.values()).backward()
        for name, weight in one.named_parameters():
            if weight.requires_grad:
                assert weight.grad.isfinite().all() and weight.grad.any(), name
        one.eval()
        with torch.no_grad():
            logits = one(*episodes, mode='tensor')[0][:, 0].diff(dim=-1)[:, 0]
            presence = torch.cat([sample.gt_presence for sample in episodes[1]])
            one.calibration.fit(logits, presence)
            scores = [sample.presence_scores.item()
                      for sample in one.predict(*episodes)]
        assert [score > 0.5 for score in scores] == presence.tolist()


# ---------------------------------------------------------------- on photographs
def dinov3_file(arch: str, depth: int) -> dict[str, Tensor]:
    """Random weights under the names of DINOv3's release."""
    width, _, _, hidden, swiglu = ARCHS[arch]
    table = official(width, hidden, depth, 16, 0, layer_scale=True, registers=4)
    shapes = {name: shape for name, (_, shape) in table.items() if name != 'pos_embed'}
    shapes['storage_tokens'] = shapes.pop('register_tokens')
    for n in range(depth):
        shapes[f'blocks.{n}.attn.qkv.bias_mask'] = (3 * width, )
        for kind, shape in (('weight', (hidden, width)), ('bias', (hidden, ))):
            if swiglu:
                last = shapes.pop(f'blocks.{n}.mlp.fc2.{kind}')
                shapes.pop(f'blocks.{n}.mlp.fc1.{kind}')
                shapes.update({
                    f'blocks.{n}.mlp.w1.{kind}': shape,
                    f'blocks.{n}.mlp.w2.{kind}': shape,
                    f'blocks.{n}.mlp.w3.{kind}': last})
    weights = tensors({name: (None, shape) for name, shape in shapes.items()})
    for name in shapes:
        if name.endswith('bias_mask'):
            weights[name] = torch.ones(3, width)
            weights[name][1] = 0
            weights[name] = weights[name].flatten()
    return weights


DEPTH = 3
FAMILIES = {
    'dino': (
        dict(type='DINOVisionTransformer', patch_size=16, img_size=64),
        'deit-small', lambda: tensors(official(384, 1536, DEPTH, 16, 4 * 4))),
    'dinov2-reg': (
        dict(type='DINOVisionTransformer', patch_size=14, img_size=56, num_registers=4,
             layer_scale_init_value=1.0),
        'dinov2-small', lambda: tensors(official(
            384, 1536, DEPTH, 14, 4 * 4, layer_scale=True, registers=4))),
    'dinov3': (
        dict(type='DINOv3VisionTransformer'),
        'small', lambda: dinov3_file('small', DEPTH)),
    'dinov3-swiglu': (
        dict(type='DINOv3VisionTransformer'),
        'small+', lambda: dinov3_file('small+', DEPTH)),
}


def few_lists(shared_data: Path, root: Path) -> None:
    """A data root of a few real photographs of every class, two for each."""
    (root / 'VOCdevkit').symlink_to(shared_data / 'VOCdevkit')
    for split in ('trn', 'val'):
        folder = root / 'splits/few' / split
        folder.mkdir(parents=True)
        for fold in range(4):
            lines = (shared_data / 'splits/pascal5i_subset' / split
                     / f'fold{fold}.txt').read_text().split()
            numbers = sorted({line[-2:] for line in lines})
            (folder / f'fold{fold}.txt').write_text('\n'.join(
                line for number in numbers
                for line in [one for one in lines if one[-2:] == number][:2]))


@pytest.mark.parametrize('family', FAMILIES)
def test_a_run_on_photographs(
        family: str, shared_data: Path, tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch) -> None:
    """From an official file: all parts learn, a step is taken, and the checkpoint
    predicts in another model as in this one."""
    few_lists(shared_data, tmp_path)
    for name, value in (('DATA_ROOT', tmp_path), ('SPLITS', 'few'), ('FOLD', 1)):
        monkeypatch.setenv(f'MMWSFS_{name}', str(value))
    monkeypatch.setattr(whole_image_prior, 'PAIRS', 20)
    backbone, arch, weights = FAMILIES[family]
    torch.save(weights(), tmp_path / 'official.pth')
    if backbone['type'] == 'DINOv3VisionTransformer':
        width, _, heads, hidden, swiglu = ARCHS[arch]
        sizes = dict(embed_dims=width, num_layers=DEPTH, num_heads=heads,
                     feedforward_channels=hidden, swiglu=swiglu)
    else:
        sizes = dict(DINOVisionTransformer.arch_zoo[arch], num_layers=DEPTH)
    cfg = Config.fromfile(CONFIGS / PLUS)
    cfg.model.backbone = dict(
        backbone, arch=sizes, init_cfg=dict(
            type='Pretrained', checkpoint=str(tmp_path / 'official.pth')))
    side = 4 * backbone.get('patch_size', 16)
    cfg.merge_from_dict(dict(
        work_dir=str(tmp_path / 'work'), log_level='WARNING', custom_hooks=[],
        val_dataloader=None, val_cfg=None, val_evaluator=None,
        train_cfg=dict(max_iters=1, val_interval=1),
        default_hooks=dict(checkpoint=dict(interval=1)),
        train_dataloader=dict(batch_size=2, num_workers=0, persistent_workers=False,
                              dataset=dict(img_size=side)),
        test_dataloader=dict(num_workers=0, persistent_workers=False,
                             dataset=dict(img_size=side, num_episodes=2))))
    runner = TrainingRunner.from_cfg(cfg)
    runner.train()
    model = runner.model
    assert model.labeler.fitted and model.labeler.probe.known.sum() == 15
    assert not torch.equal(model.metric.matrix[0], torch.eye(384))
    assert model.prior.weights.any()
    assert model.neck.moments.num_pairs == 2

    other = MODELS.build(cfg.model)
    load_checkpoint(other, str(tmp_path / 'work/iter_1.pth'), strict=True)
    episode = pseudo_collate([DATASETS.build(cfg.test_dataloader.dataset)[0]])
    with torch.no_grad():
        found, again = (
            one.eval().test_step(episode)[0].clone() for one in (model, other))
    assert torch.equal(found.seg_probs.data, again.seg_probs.data)
    assert torch.equal(found.presence_scores, again.presence_scores)
    assert found.seg_probs.data.isfinite().all()
