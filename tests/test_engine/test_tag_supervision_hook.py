"""TagSupervisionHook: what it puts into a batch, and what it refuses."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.logging import MessageHub
from mmseg.datasets import BaseSegDataset
from torch import nn

from mmwsfs.engine import TagSupervisionHook
from mmwsfs.models.position_subspace import directions, project_out
from mmwsfs.registry import MODELS

CLASSES = ('background', 'train', 'tvmonitor', 'sheep')
TAGS = {'trn_19_1': 'train', 'trn_20_1': 'tvmonitor', 'trn_20_0': 'tvmonitor;train',
        'trn_19_0': 'train;sheep'}


class Segmentor(nn.Module):
    """As much of one as the hook knows."""

    def __init__(self, **settings) -> None:
        super().__init__()
        self.backbone = MODELS.build(dict(
            type='DINOVisionTransformer', img_size=32, patch_size=8,
            arch=dict(embed_dims=16, num_layers=2, num_heads=2,
                      feedforward_channels=32), **settings))
        self.data_preprocessor = MODELS.build(dict(
            type='mmseg.SegDataPreProcessor', mean=[120.] * 3, std=[60.] * 3,
            size_divisor=8))


@pytest.fixture
def world(tiny_voc: Path, tmp_path: Path, one_thread, caplog):
    """Makes a hook and a runner as the hook sees it."""
    images = tiny_voc / 'VOCdevkit/VOC2012/JPEGImages'

    def build(tags: dict = TAGS, img_dir: Path = images, classes=CLASSES,
              transforms: tuple = (), meta_keys=('img_path', 'tags'), shots: int = 5,
              load_tags: bool = True, **settings):
        torch.manual_seed(0)
        (tmp_path / 'tags.csv').write_text('image,labels\n' + ''.join(
            f'{name}.jpg,{labels}\n' for name, labels in tags.items()))
        (tmp_path / 'train.txt').write_text('\n'.join(TAGS) + '\n')
        load = [dict(type='mmseg.LoadImageFromFile')] + [dict(
            type='LoadTags', tag_file=str(tmp_path / 'tags.csv'),
            img_dir=str(img_dir))] * load_tags + list(transforms) + [
                dict(type='mmseg.Resize', scale=(32, 32), keep_ratio=False),
                dict(type='mmseg.PackSegInputs', meta_keys=meta_keys)]
        dataset = BaseSegDataset(
            ann_file=str(tmp_path / 'train.txt'), img_suffix='.jpg',
            metainfo=dict(classes=classes), data_prefix=dict(img_path=str(images)),
            pipeline=load)
        hook = TagSupervisionHook(
            dict(type='AttentionLabeler', adaptive=0.5), load, shots)
        runner = SimpleNamespace(
            model=Segmentor(**settings), message_hub=MessageHub.get_instance('tags'),
            train_dataloader=SimpleNamespace(dataset=dataset),
            logger=logging.getLogger('mmwsfs.test'))
        return hook, runner
    return build


def labels(hook, runner) -> list[torch.Tensor]:
    """Of all images, as one batch."""
    hook.before_train(runner)
    batch = pseudo_collate(list(runner.train_dataloader.dataset))
    hook.before_train_iter(runner, 0, batch)
    return [sample.gt_sem_seg.data for sample in batch['data_samples']]


def test_labels(world) -> None:
    """An image has background, its own tags and, of several tags, void."""
    hook, runner = world()
    maps = labels(hook, runner)
    for one, tags in zip(maps, TAGS.values()):
        own = {CLASSES.index(tag) for tag in tags.split(';')}
        found = set(one.unique().tolist())
        assert one.shape == (1, 32, 32) and one.dtype == torch.int64
        assert found <= own | {0} | ({255} if len(own) > 1 else set())
        assert 0 in found and len(found) > 1
    void = torch.stack(maps) == 255
    foreground = (torch.stack(maps) > 0) & ~void
    for name, value in (('void', void), ('foreground', foreground)):
        assert runner.message_hub.get_scalar(f'train/label_{name}').current(
        ) == pytest.approx(value.float().mean().item())


def test_a_single_tag_is_the_labelers_own_mask(world) -> None:
    """The image is its own support."""
    hook, runner = world()
    first = labels(hook, runner)[0][0]
    image = runner.train_dataloader.dataset[0]['inputs']
    features = runner.model.backbone.extract(
        image[None].float().sub(120).div(60))
    mask = MODELS.build(dict(type='AttentionLabeler', adaptive=0.5))(
        features, features, (32, 32))[0]
    assert torch.equal(first, mask.long() * CLASSES.index('train'))


def test_keys_without_their_place(world) -> None:
    """Of supports and of images, where the labeler says so."""
    hook, runner = world()
    hook.labeler_config.update(position_rank=2)
    backbone = runner.model.backbone
    nn.init.normal_(backbone.pos_embed)
    hook.before_train(runner)
    subspace = directions(backbone.extract(torch.zeros(1, 3, 32, 32)).keys[0], 2)
    image = runner.train_dataloader.dataset[0]['inputs']
    keys = backbone.extract(image[None].float().sub(120).div(60)).keys
    torch.testing.assert_close(
        hook._extract([image]).keys, project_out(keys, subspace))
    for support in hook._supports.values():
        assert (support.keys @ subspace.transpose(1, 2)).abs().max() < 1e-5
    assert (keys @ subspace.transpose(1, 2)).abs().max() > 1e-3


def test_supports(world, caplog) -> None:
    """Images with the tag alone; where there is none the log says so. As many as
    asked."""
    hook, runner = world(tags={**TAGS, 'trn_20_0': 'train'}, shots=1)
    with caplog.at_level(logging.WARNING):
        hook.before_train(runner)
    [warning] = caplog.messages
    assert "no image is tagged 'sheep' alone: images of 2 tags" in warning
    one = hook._supports[1].cls_query
    hook, runner = world(tags={**TAGS, 'trn_20_0': 'train'}, shots=2)
    hook.before_train(runner)
    assert set(hook._supports) == {1, 2, 3}
    assert not torch.allclose(one, hook._supports[1].cls_query)


def test_supports_are_the_same_every_time(world) -> None:
    """So a resumed run, and every rank, labels alike: nothing is drawn."""
    found = []
    for seed in (1, 2):
        hook, runner = world()
        torch.manual_seed(seed)
        hook.before_train(runner)
        found.append(hook._supports)
    assert found[0].keys() == found[1].keys()
    assert all(torch.equal(support.cls_query, found[1][number].cls_query)
               for number, support in found[0].items())


def test_without_a_background(world) -> None:
    """What no tag claims is void, since it has no label."""
    hook, runner = world(classes=CLASSES[1:])
    assert {0, 255} == set(labels(hook, runner)[0].unique().tolist())


@pytest.mark.parametrize('change, message', [
    (dict(frozen=False), 'DINOVisionTransformer of the model is not: set its backbone'),
    (dict(img_dir='/elsewhere'), "no tags for '.*from the folder '/elsewhere'"),
    (dict(load_tags=False), 'needs tags: put LoadTags into the pipeline'),
    (dict(meta_keys=('img_path', )), "carries no tags: .*'tags' into meta_keys"),
    (dict(tags={**TAGS, 'trn_19_1': 'trian'}), r"\['trian'\], which are no classes"),
    (dict(tags={**TAGS, 'trn_19_1': 'background'}), r"\['background'\], which are no"),
    (dict(tags={'trn_19_1': 'train'}), "no tags for 'trn_20_1.jpg'"),
], ids=['backbone', 'folder', 'transform', 'meta keys', 'class', 'background', 'image'])
def test_what_is_wrong_is_said(world, change: dict, message: str) -> None:
    """In one sentence, before the first step."""
    with pytest.raises(ValueError, match=message):
        labels(*world(**change))


def test_masks_that_are_there_are_not_overwritten(world) -> None:
    """A pipeline that opens masks is a mistake."""
    hook, runner = world()
    hook.before_train(runner)
    batch = pseudo_collate([runner.train_dataloader.dataset[0]])
    hook.before_train_iter(runner, 0, batch)
    with pytest.raises(ValueError, match='take LoadAnnotations out'):
        hook.before_train_iter(runner, 1, batch)


def test_a_backbone_of_its_own(world) -> None:
    """A model whose backbone trains is labelled by another one, which is frozen."""
    hook, runner = world(frozen=False)
    hook.backbone_config = dict(
        type='ViTAdapter', vit=dict(
            type='mmpretrain.VisionTransformer', img_size=32, patch_size=8, arch=dict(
                embed_dims=16, num_layers=2, num_heads=2, feedforward_channels=32)))
    assert len(labels(hook, runner)) == 4
    assert hook._backbone is not runner.model.backbone
