"""A small CST with random weights, and random episodes for it."""

import pytest
import torch
from mmengine.structures import PixelData

from mmwsfs.models import FewShotSegmentor
from mmwsfs.structures import FewShotDataSample

SIZE = 48  # 6 x 6 patches


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@torch.no_grad()
def spread_logits(model, generator):
    """Rescale the heads' last layers: log odds of mean 0 and deviation 1.5.

    Else random heads would say 'present' with certainty for every pair.
    """
    query, support = (
        model.backbone.extract(torch.randn(8, 3, SIZE, SIZE, generator=generator))
        for _ in range(2))
    masks = torch.zeros(8, SIZE, SIZE)
    masks[:, 8:30, 8:30] = 1
    supports = FewShotSegmentor.embed_supports(model, support, masks > 0)
    cls_map, seg_map = model.token_maps(query, supports, range(8))
    for head, logits in (
            (model.cls_head, model.cls_head(cls_map)),
            (model.seg_head, model.seg_head(seg_map, (SIZE, SIZE)))):
        odds = logits[:, 1] - logits[:, 0]
        factor, last = 1.5 / odds.std(), head.layers[-1]
        last.weight.mul_(factor)
        last.bias.mul_(factor)
        last.bias[1] -= factor * odds.mean()


@pytest.fixture
def build_model():
    """Makes a segmentor; all weights random and spread enough to decide something."""

    def build(cls=FewShotSegmentor, frozen=True, **kwargs):
        model = cls(**{**dict(
            backbone=dict(
                type='DINOVisionTransformer',
                arch=dict(embed_dims=24, num_layers=2, num_heads=3,
                          feedforward_channels=48),
                img_size=32, patch_size=8, frozen=frozen),
            neck=dict(
                type='CorrelationTransformer', channels=(16, 16), kernels=(4, 3)),
            cls_head=dict(type='FewShotClsHead'),
            seg_head=dict(type='FewShotSegHead'),
            supervision='pixel',
            labeler=dict(type='AttentionLabeler', threshold=0.5)), **kwargs})
        generator = torch.Generator().manual_seed(5)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                scale = 0.3 if parameter.ndim < 2 else (
                    2 / parameter[0].numel())**0.5
                noise = torch.randn(parameter.shape, generator=generator)
                parameter.copy_(scale * noise)
                if parameter.ndim == 1 and name.endswith('weight'):
                    parameter.add_(1)
            # Keys differ enough for a threshold to part them.
            model.backbone.patch_embed.projection.weight.mul_(4)
        spread_logits(model.eval(), generator)
        return model

    return build


@pytest.fixture
def make_batch():
    """Makes (inputs, data samples) of B N-way K-shot episodes.

    ``masks`` adds query and support masks, with void in the query's. ``presence`` is
    B lists of N, all True by default. ``query_size`` is the first query's original
    size, the next one is 4 pixels higher; SIZE by default.
    """

    def make(batch=2, way=2, shot=2, masks=True, query_size=None, presence=None):
        inputs = dict(
            query=torch.randn(batch, 3, SIZE, SIZE),
            support=torch.randn(batch, way, shot, 3, SIZE, SIZE))
        samples = []
        for number in range(batch):
            size = query_size or (SIZE, SIZE)
            size = (size[0] + 4 * number, size[1]) if query_size else size
            sample = FewShotDataSample(metainfo=dict(
                episode=number, query_path=f'{number}.jpg',
                support_paths=[['s.jpg'] * shot] * way,
                class_ids=list(range(3, 3 + way)),
                ori_shape=size, img_shape=(SIZE, SIZE)))
            sample.gt_presence = torch.tensor(
                presence[number] if presence else [True] * way)
            if masks:
                label_map = torch.randint(0, way + 1, (1, *size)).to(torch.uint8)
                label_map[:, :3] = 255
                sample.gt_sem_seg = PixelData(data=label_map)
                support_masks = torch.zeros(way, shot, SIZE, SIZE, dtype=torch.uint8)
                for i in range(way):
                    for j in range(shot):
                        top = 4 + 6 * i + 5 * j
                        support_masks[i, j, top:top + 22, 8:30] = 1
                sample.support_masks = support_masks
            samples.append(sample)
        return inputs, samples

    return make


@pytest.fixture
def count_backbone():
    """Makes a list that grows by the batch size with each call of the backbone."""

    def count(model):
        sizes = []
        model.backbone.patch_embed.register_forward_hook(
            lambda module, args, output: sizes.append(len(args[0])))
        return sizes

    return count
