"""tools/model_converters/cst2mmwsfs.py: the converted model computes what CST does."""
from __future__ import annotations

import argparse
import os
import sys
import types
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import load_checkpoint
from original_cst import OriginalCST
from PIL import Image

from mmwsfs.models import FewShotSegmentor
from mmwsfs.registry import MODELS
from mmwsfs.structures import FewShotDataSample

REPOSITORY = Path(__file__).parents[2]
TOOL = 'tools/model_converters/cst2mmwsfs.py'
CONFIGS = [REPOSITORY / f'configs/wsfs/{name}.py' for name in (
    'vit-s_pascal5i_1shot', 'vit-s_pascal5i_1shot_pixel')]
SMALL_CONFIG = """
_base_ = '{config}'
model = dict(
    backbone=dict(
        _delete_=True, type='DINOVisionTransformer', patch_size=8, img_size=32,
        arch=dict(embed_dims=24, num_layers=2, num_heads=3, feedforward_channels=96)))
"""
SIZE = 48
TOLERANCE = 1e-4

Logits = tuple[torch.Tensor, torch.Tensor]


def small_cst() -> OriginalCST:
    return OriginalCST(width=24, depth=2, heads=3, img_size=32)


@pytest.fixture(autouse=True)
def single_thread(one_thread: None) -> None:
    """See ``one_thread``."""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The paper's config with a small backbone."""
    path = tmp_path / 'small.py'
    path.write_text(SMALL_CONFIG.format(config=CONFIGS[0]))
    return path


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Path]:
    """Writes a Lightning checkpoint of a state dict."""
    def write(state_dict: object, **more) -> Path:
        path = tmp_path / 'cst.ckpt'
        torch.save({
            'epoch': 7, 'global_step': 8000, 'pytorch-lightning_version': '1.9.5',
            'state_dict': state_dict, **more}, path)
        return path
    return write


@pytest.fixture
def convert(run_tool, config: Path, tmp_path: Path) -> Callable[..., Path]:
    """Runs the tool with the small config."""
    def run(src: Path, *arguments, dst: Path = tmp_path / 'out/converted.pth') -> Path:
        run_tool(TOOL, src, dst, '--config', config, *arguments)
        return dst
    return run


def load(config: Path, checkpoint: Path) -> FewShotSegmentor:
    """Our model with the converted weights, as ``tools/test.py`` loads them.

    It takes the masks that it is given, as CST does.
    """
    cfg = Config.fromfile(config)
    cfg.model.supervision = 'pixel'
    model = MODELS.build(cfg.model).eval()
    load_checkpoint(model, str(checkpoint), strict=True)
    return model


@torch.no_grad()
def our_logits(model: FewShotSegmentor, query: np.ndarray, support: np.ndarray,
               mask: np.ndarray) -> Logits:
    """(2,) and (2, H, W), from (H, W, 3) RGB images and a mask as a loader has them."""
    bgr = [torch.from_numpy(image[..., ::-1].copy()).permute(2, 0, 1)
           for image in (query, support)]
    sample = FewShotDataSample()
    sample.support_masks = torch.from_numpy(mask.astype(np.uint8))[None, None]
    data = model.data_preprocessor(dict(
        inputs=dict(query=[bgr[0]], support=[bgr[1][None, None]]),
        data_samples=[sample]))
    cls, seg = model(**data, mode='tensor')
    return cls[0, 0], seg[0, 0, 0]


@torch.no_grad()
def cst_logits(model: OriginalCST, query: np.ndarray, support: np.ndarray,
               mask: np.ndarray) -> Logits:
    """The same of the original, with torchvision's normalisation."""
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (
        (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    images = [
        (torch.tensor(image).permute(2, 0, 1)[None].double() / 255 - mean) / std
        for image in (query, support)]
    cls, seg = model(*images, torch.from_numpy(mask)[None].double())
    return cls[0], seg[0]


def largest_difference(first: Logits, second: Logits) -> float:
    return max(float((a - b).abs().max()) for a, b in zip(first, second))


def assert_same(ours: Logits, theirs: Logits) -> None:
    for a, b in zip(ours, theirs):
        assert a.shape == b.shape
        assert (a - b).abs().max() < TOLERANCE
        assert (b[0] - b[1]).abs().max() > 100 * TOLERANCE  # there is something to see


def random_episode(kind: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Query, support and a mask of the kind."""
    rng = np.random.default_rng(0)
    query, support = (
        np.asarray(Image.fromarray(rng.integers(0, 256, (6, 6, 3), np.uint8)).resize(
            (SIZE, SIZE), Image.Resampling.BILINEAR)) for _ in range(2))
    mask = np.zeros((SIZE, SIZE))
    mask[dict(part=np.s_[8:30, 12:40], all=np.s_[:], none=np.s_[:0])[kind]] = 1
    return query, support, mask


# ------------------------------------------------------------- the same model
@pytest.fixture(scope='module')
def full_size(tmp_path_factory: pytest.TempPathFactory) -> tuple[OriginalCST, Path]:
    """CST on ViT-S/8, random, and the folder of its checkpoint."""
    folder = tmp_path_factory.mktemp('cst')
    model = OriginalCST()
    torch.save(dict(
        state_dict=model.state_dict(),
        hyper_parameters=dict(args=argparse.Namespace(fold=0, lr=np.float64(1e-3)))),
        folder / 'cst.ckpt')
    return model.double(), folder


def photographs(shared_data: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Query, support and its mask, of one class, at 112x112 pixels."""
    voc = shared_data / 'VOCdevkit/VOC2012'
    lines = (shared_data / 'splits/pascal5i_subset/val/fold0.txt').read_text().split()
    name, number = lines[0].split('__')
    other = next(line.split('__')[0] for line in lines[1:] if line.endswith(number))
    images = [
        Image.open(voc / f'JPEGImages/{name}.jpg').convert('RGB').resize(
            (112, 112), Image.Resampling.BILINEAR) for name in (other, name)]
    mask = Image.open(voc / f'SegmentationClassAug/{name}.png').resize(
        (112, 112), Image.Resampling.NEAREST)
    mask = np.asarray(mask) == int(number)
    assert 0.02 < mask.mean() < 0.9
    return np.asarray(images[0]), np.asarray(images[1]), mask.astype(float)


@pytest.mark.parametrize('config', CONFIGS, ids=lambda path: path.stem)
def test_full_size_on_photographs(full_size, shared_data, run_tool, config) -> None:
    """ViT-S/8 by the papers' configs, with masked keys and without."""
    original, folder = full_size
    converted = folder / 'converted.pth'
    if not converted.exists():
        run_tool(TOOL, folder / 'cst.ckpt', converted)
    model = load(config, converted)
    query, support, mask = photographs(shared_data)
    logits = []
    for support_mask in (mask, np.ones_like(mask)):
        episode = query, support, support_mask
        logits.append(cst_logits(original, *episode))
        assert_same(our_logits(model, *episode), logits[-1])
    assert largest_difference(*logits) > 100 * TOLERANCE  # masked keys were not read


@pytest.mark.parametrize('kind', ['part', 'all', 'none'])
def test_small_model(convert, save, config, kind) -> None:
    """The same with another depth, at all kinds of masks."""
    original = small_cst()
    model = load(config, convert(save(original.state_dict())))
    episode = random_episode(kind)
    assert_same(
        our_logits(model, *episode), cst_logits(original.double(), *episode))


def test_logits_depend_on_every_tensor(convert, save, config) -> None:
    """One whose values took each other's places would be seen in the tests above."""
    model = load(config, convert(save(small_cst().state_dict())))
    episode = random_episode('part')
    before = our_logits(model, *episode)
    for name, tensor in model.state_dict().items():
        kept = tensor.clone()
        tensor.copy_(kept.flatten().roll(1).view_as(kept))
        change = largest_difference(our_logits(model, *episode), before)
        tensor.copy_(kept)
        assert change > 2 * TOLERANCE, name
    assert largest_difference(our_logits(model, *episode), before) == 0


# ------------------------------------------------------------- the file
def test_mmengine_form(convert, save, config) -> None:
    """Plain values alone: weights, and what is needed to build and name the model."""
    weights = small_cst().state_dict()
    converted = convert(save(weights))
    checkpoint = torch.load(converted, weights_only=True)
    assert checkpoint.keys() == {'meta', 'state_dict'}
    assert len(checkpoint['state_dict']) == len(weights)
    meta = checkpoint['meta']
    assert meta['source'] == 'cst.ckpt'
    assert len(meta['dataset_meta']['classes']) == 20
    assert meta.keys() >= {'mmwsfs_version', 'mmengine_version'}
    again = MODELS.build(Config.fromstring(meta['cfg'], '.py').model)
    again.load_state_dict(checkpoint['state_dict'])


def test_report(convert, save, capsys) -> None:
    """What was used, and what was left, by number and name."""
    weights = small_cst().state_dict()
    extra = {'backbone.head.weight': torch.ones(2, 2), 'criterion.w': torch.ones(2)}
    src = save({**weights, **extra}, optimizer_states=[])
    before = src.read_bytes()
    convert(src)
    lines = capsys.readouterr().out.splitlines()
    used = next(line for line in lines if 'parts used: ' in line)
    assert 'learner.corrtransformer (36)' in used and 'backbone.blocks (24)' in used
    counts = [int(text.split(')')[0]) for text in used.split('(')[1:]]
    assert sum(counts) == len(weights)
    assert '2 tensors left: backbone.head.weight, criterion.w' in lines
    assert any(line.startswith('4 entries left') and line.endswith(
        ': epoch, global_step, pytorch-lightning_version, optimizer_states')
        for line in lines)
    assert src.read_bytes() == before


def test_lightning_objects_are_left(convert, save, config, monkeypatch) -> None:
    """Hyper-parameters, numpy scalars and classes of a Lightning not installed."""
    weights = small_cst().state_dict()
    plain = torch.load(convert(save(weights)), weights_only=True)['state_dict']
    name = 'pytorch_lightning.callbacks.model_checkpoint'
    module = types.ModuleType(name)
    module.ModelCheckpoint = type('ModelCheckpoint', (), dict(__module__=name))
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, name, module)
        for parent in ('pytorch_lightning', 'pytorch_lightning.callbacks'):
            patch.setitem(sys.modules, parent, types.ModuleType(parent))
        src = save(
            weights,
            hyper_parameters=argparse.Namespace(logdir=Path('logs'), fold=2),
            callbacks={module.ModelCheckpoint: dict(
                best_model_score=torch.tensor(55.5), current=np.float64(55.5))})
    found = torch.load(convert(src), weights_only=True)['state_dict']
    assert found.keys() == plain.keys()
    assert all(torch.equal(found[key], plain[key]) for key in plain)


class Evil:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder, )


def test_malicious_file(convert, save, tmp_path) -> None:
    """It is refused by what it would call; nothing is run, nothing is written."""
    folder = tmp_path / 'made'
    src = save(small_cst().state_dict(), hyper_parameters=Evil(folder))
    with pytest.raises(SystemExit, match=rf'refused.*{os.mkdir.__module__}\.mkdir'):
        convert(src)
    assert not folder.exists() and not (tmp_path / 'out').exists()
    torch.load(src, weights_only=False)
    assert folder.exists()  # it would have


# ------------------------------------------------------------- the backbone
@pytest.fixture
def without_backbone(save) -> Path:
    """A release that leaves the backbone out."""
    return save({name: value for name, value in small_cst().state_dict().items()
                 if name.startswith('learner.')})


@pytest.mark.parametrize('prefix', ['', 'backbone.', 'module.backbone.'])
def test_backbone_of_another_file(
        without_backbone, convert, config, tmp_path, capsys, prefix) -> None:
    """DINO's file in place of the one left out gives the same model."""
    original = small_cst()
    backbone = tmp_path / 'dino.pth'
    torch.save({prefix + name: value for name, value in
                original.backbone.state_dict().items()}, backbone)
    model = load(config, convert(without_backbone, '--backbone', backbone))
    printed = capsys.readouterr().out
    assert 'no backbone weights' in printed and 'dino.pth' in printed
    episode = random_episode('part')
    assert_same(
        our_logits(model, *episode), cst_logits(original.double(), *episode))


def test_backbone_is_asked_for(without_backbone, convert, tmp_path) -> None:
    with pytest.raises(SystemExit, match=r'cst\.ckpt. has no backbone.*--backbone'):
        convert(without_backbone)
    with pytest.raises(SystemExit, match=r"absent\.pth' does not exist"):
        convert(without_backbone, '--backbone', tmp_path / 'absent.pth')
    assert not (tmp_path / 'out').exists()


def test_backbone_that_does_not_fit(without_backbone, convert, tmp_path) -> None:
    """The backbone's file is named, not the checkpoint."""
    backbone = tmp_path / 'dino.pth'
    weights = small_cst().backbone.state_dict()
    del weights['blocks.1.norm2.bias']
    torch.save(weights, backbone)
    with pytest.raises(SystemExit, match=r"dino\.pth' does not fit.*1 missing: "
                       r'backbone\.layers\.1\.ln2\.bias'):
        convert(without_backbone, '--backbone', backbone)
    backbone.write_bytes(b'')
    with pytest.raises(SystemExit, match=r"dino\.pth' is truncated"):
        convert(without_backbone, '--backbone', backbone)


def test_one_backbone(convert, save, tmp_path) -> None:
    """Which of two is meant is not guessed."""
    model = small_cst()
    torch.save(model.backbone.state_dict(), tmp_path / 'dino.pth')
    with pytest.raises(SystemExit, match='of its own: leave out --backbone'):
        convert(save(model.state_dict()), '--backbone', tmp_path / 'dino.pth')


# ------------------------------------------------------------- errors
NECK = 'learner.corrtransformer.1.attn.short_cut.2.weight'


@pytest.mark.parametrize(('change', 'expected'), [
    (lambda weights: weights.pop(NECK), [f'1 missing: {NECK}']),
    (lambda weights: weights.update({'learner.extra.bias': torch.ones(1)}),
     ['1 unknown: learner.extra.bias']),
    (lambda weights: weights.update({NECK: torch.ones(64)}),
     [f'1 of another shape: {NECK} (64,) instead of (128,)']),
    (lambda weights: weights.pop('backbone.norm.bias'),
     ['backbone', '1 missing: backbone.ln1.bias']),
    (lambda weights: weights.update({'backbone.pos_embed': torch.ones(1, 10, 24)}),
     ['1 of another shape: backbone.pos_embed (1, 10, 24) instead of (1, 17, 24)']),
    (lambda weights: weights.update({'backbone.blocks.0.ls1.gamma': torch.ones(24)}),
     ['1 unknown: backbone.layers.0.attn.gamma1.weight']),
    (lambda weights: [weights.pop(name) for name in list(weights)
                      if name.startswith('learner.')],
     ['60 missing: learner.corrtransformer.0.']),
    (lambda weights: weights.clear() or weights.update({'conv1.weight': torch.ones(1)}),
     ['is no CST', '60 missing: learner.corrtransformer.0.']),
])
def test_what_does_not_fit_is_named(convert, save, tmp_path, change, expected) -> None:
    """A tensor missing, unknown or of another shape; and no file is written."""
    weights = small_cst().state_dict()
    change(weights)
    with pytest.raises(SystemExit, match=r'cst\.ckpt') as error:
        convert(save(weights))
    for text in expected:
        assert text in str(error.value)
    assert not (tmp_path / 'out').exists()


def test_model_of_another_config(run_tool, save, tmp_path) -> None:
    """The small model is not one of ViT-S/8."""
    with pytest.raises(SystemExit, match=r'of another shape.*\(48, 6, 1, 1\) instead '
                       r'of \(48, 72, 1, 1\).*--config'):
        run_tool(TOOL, save(small_cst().state_dict()), tmp_path / 'converted.pth')


@pytest.mark.parametrize('content', [
    dict(model=dict(a=torch.ones(1))), dict(state_dict=dict(a=1)), [torch.ones(1)],
    dict(state_dict={1: torch.ones(1)}), dict(state_dict=argparse.Namespace(a=1))])
def test_file_without_state_dict(convert, tmp_path, content) -> None:
    src = tmp_path / 'cst.ckpt'
    torch.save(content, src)
    with pytest.raises(SystemExit, match=r"cst\.ckpt' holds no 'state_dict'"):
        convert(src)


def test_truncated_and_missing_files(convert, save, tmp_path) -> None:
    src = save(small_cst().state_dict())
    whole = src.read_bytes()
    src.write_bytes(whole[:len(whole) // 2])
    with pytest.raises(SystemExit, match=r'cst\.ckpt. is truncated'):
        convert(src)
    src.unlink()
    with pytest.raises(SystemExit, match=r'cst\.ckpt. does not exist'):
        convert(src)


def test_nothing_that_is_read_is_overwritten(
        convert, save, without_backbone, tmp_path) -> None:
    """Neither the checkpoint nor the backbone's file."""
    backbone = tmp_path / 'dino.pth'
    torch.save(small_cst().backbone.state_dict(), backbone)
    before = without_backbone.read_bytes(), backbone.read_bytes()
    for dst in (without_backbone, backbone):
        with pytest.raises(SystemExit, match='is the file to read'):
            convert(without_backbone, '--backbone', backbone, dst=dst)
    with pytest.raises(SystemExit, match='is a folder'):
        convert(without_backbone, '--backbone', backbone, dst=tmp_path)
    assert (without_backbone.read_bytes(), backbone.read_bytes()) == before
