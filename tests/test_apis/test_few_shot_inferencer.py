"""FewShotInferencer: the segmentor's predictions for images of one's own."""
from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import mmcv
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine import registry as root
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from PIL import Image
from tiny_checkpoint import decisive_model

from mmwsfs.apis import FewShotInferencer
from mmwsfs.apis.few_shot_inferencer import ImagePipeline
from mmwsfs.datasets import demo_shapes_dataset
from mmwsfs.datasets.demo_shapes import make_demo_shapes
from mmwsfs.registry import DATASETS, INFERENCERS
from mmwsfs.visualization import EpisodeVisualizer, draw_overlay


@pytest.fixture
def build(tiny_config: Config,
          tiny_checkpoint: Path) -> Callable[..., FewShotInferencer]:
    """Makes the inferencer of ``tiny_config``, which pseudo-masks were made for."""
    return partial(FewShotInferencer, tiny_config, tiny_checkpoint, 'cpu')


@pytest.fixture
def supervise(tiny_config: Config, tiny_checkpoint: Path) -> Callable[[str], None]:
    """Makes ``tiny_config`` and its checkpoint of another supervision."""
    def change(supervision: str) -> None:
        tiny_config.model.supervision = supervision
        if supervision == 'mixed':
            tiny_config.model.labeler = dict(
                type='EnhancedLabeler', enhancer=dict(type='PseudoLabelEnhancer'))
            torch.save(
                dict(state_dict=decisive_model(tiny_config).state_dict()),
                tiny_checkpoint)
    return change


@pytest.fixture
def images(tiny_voc: Path) -> list[Path]:
    """Of three sizes."""
    return sorted((tiny_voc / 'VOCdevkit/VOC2012/JPEGImages').glob('val_*.jpg'))


@pytest.fixture
def ready(build, images: list[Path]) -> FewShotInferencer:
    """With three images of one class and one of another as supports."""
    inferencer = build()
    inferencer.set_supports({'cat': images[:3], 'dog': [images[4]]})
    return inferencer


def count_images(inferencer: FewShotInferencer) -> list[int]:
    """A list that grows by the number of images with each call of the backbone."""
    sizes: list[int] = []
    inferencer.model.backbone.patch_embed.register_forward_hook(
        lambda module, args, output: sizes.append(len(args[0])))
    return sizes


# ------------------------------------------------------------- the same as in testing
def source(name: str, shared_data: Path, tmp_path: Path,
           monkeypatch: pytest.MonkeyPatch) -> dict:
    """Settings of a dataset: real photographs, or the made images of the demo."""
    if name == 'photographs':
        return dict(type='Pascal5iDataset', data_root=str(shared_data),
                    lists='splits/pascal5i_subset', fold=1)
    monkeypatch.setattr(
        demo_shapes_dataset, 'make_demo_shapes',
        partial(make_demo_shapes, train_images=5, val_images=20, size=64))
    return dict(type='DemoShapesDataset', data_root=str(tmp_path / 'demo'),
                lists='splits/demo', fold=1)


@pytest.mark.parametrize('supervision', ['image', 'pixel', 'mixed'])
@pytest.mark.parametrize('way, shot', [(1, 1), (2, 1), (1, 3), (3, 2)])
@pytest.mark.parametrize('name', ['photographs', 'demo'])
@torch.no_grad()
def test_equals_the_segmentors_predict(
        tiny_config: Config, tiny_checkpoint: Path, supervise, make_pipeline,
        shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str,
        way: int, shot: int, supervision: str) -> None:
    """An episode through the dataset gives what its files give the inferencer, by the
    published rule."""
    supervise(supervision)
    pipeline = make_pipeline(True, supervision == 'pixel', size=64)
    tiny_config.test_dataloader.dataset = dict(
        **source(name, shared_data, tmp_path, monkeypatch), split='val', way=way,
        shot=shot, pipeline=pipeline)
    inferencer = FewShotInferencer(tiny_config, tiny_checkpoint, 'cpu')
    dataset = DATASETS.build(tiny_config.test_dataloader.dataset)
    labels, spread = set(), []
    for number in range(3):
        expected = inferencer.model.test_step(pseudo_collate([dataset[number]]))[0]
        names = [dataset.metainfo['classes'][i - 1] for i in expected.class_ids]
        masks = None
        if supervision == 'pixel':
            masks = {
                class_name: [
                    np.array(Image.open(
                        Path(path).parents[1]
                        / f'SegmentationClassAug/{Path(path).stem}.png')) == class_id
                    for path in paths]
                for class_name, class_id, paths in zip(
                    names, expected.class_ids, expected.support_paths)}
        inferencer.set_supports(dict(zip(names, expected.support_paths)), masks)
        found, = inferencer(expected.query_path, absent_pixels=True)
        assert list(found['presence']) == names
        scores = expected.presence_scores
        assert [*found['presence'].values()] == pytest.approx(
            scores.tolist(), rel=0, abs=1e-6)
        assert found['present'] == [n for n, s in zip(names, scores) if s > 0.5]
        assert found['probs'].dtype == np.float32
        np.testing.assert_allclose(
            found['probs'], expected.seg_probs.data.numpy(), rtol=0, atol=1e-6)
        with Image.open(expected.query_path) as image:
            assert found['label_map'].shape == image.size[::-1]
        assert found['label_map'].dtype == np.uint8
        label_map = expected.pred_sem_seg.data[0].numpy()
        # A probability within rounding of 0.5 may fall on either side.
        assert (found['label_map'] != label_map).mean() < 1e-4
        labels |= set(np.unique(label_map).tolist())
        spread += scores.tolist()
    assert labels == set(range(way + 1)) and max(spread) - min(spread) > 0.05


# ------------------------------------------------------------- supports
def naive(inferencer: FewShotInferencer, query: Path, supports: list[list[Path]],
          masks: dict[Path, Path] | None = None
          ) -> tuple[list[float], np.ndarray, np.ndarray]:
    """Scores, probabilities and label map, one pair of images at a time.

    ``masks`` are of those supports that have one, all others are labelled.
    """
    model = inferencer.model

    def features(path: Path):
        pixels = np.asarray(
            Image.open(path).resize((32, 32), Image.Resampling.BILINEAR), np.float32)
        mean, std = (np.array(x, np.float32) for x in (
            [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]))
        image = torch.from_numpy((pixels - mean) / std).permute(2, 0, 1)
        return model.backbone.extract(image[None])

    size = Image.open(query).size[::-1]
    scores, probs = [], []
    for paths in supports:
        present, maps = [], []
        for path in paths:
            support = features(path)
            if path in (masks or {}):
                pixels = Image.open(masks[path]).resize(
                    (32, 32), Image.Resampling.NEAREST)
                mask = torch.from_numpy(np.array(pixels) > 0)[None]
            else:
                mask = model.labeler(support, support, (32, 32))
            assert 0 < mask.float().mean() < 1
            cls_map, seg_map = model.neck(features(query), support, mask)
            present.append(model.cls_head(cls_map)[0].softmax(0)[1].item())
            logits = F.interpolate(
                model.seg_head(seg_map, (32, 32)), size, mode='bilinear',
                align_corners=True)
            maps.append(logits[0].softmax(0)[1].numpy())
        scores.append(sum(present) / len(paths))
        probs.append(sum(maps) / len(paths))
    probs = np.stack(probs)
    label_map = np.where(probs.max(0) >= 0.5, probs.argmax(0) + 1, 0)
    return scores, probs, label_map


@torch.no_grad()
def test_classes_of_different_numbers_of_shots(
        ready: FewShotInferencer, images: list[Path]) -> None:
    """Every class is averaged over its own shots."""
    labels = set()
    for query in images[8:12]:
        found, = ready(query, absent_pixels=True)
        scores, probs, label_map = naive(ready, query, [images[:3], [images[4]]])
        assert [*found['presence'].values()] == pytest.approx(scores, abs=1e-4)
        np.testing.assert_allclose(found['probs'], probs, rtol=0, atol=1e-4)
        assert (found['label_map'] != label_map).mean() < 2e-3
        labels |= set(np.unique(found['label_map']))
    assert labels == {0, 1, 2}


@pytest.mark.parametrize(('supervision', 'masked'), [
    ('pixel', 4), ('image', 0), ('image', 2), ('image', 4), ('mixed', 0), ('mixed', 2),
    ('mixed', 4)])
@torch.no_grad()
def test_models_of_every_supervision(
        build, supervise, images: list[Path], tmp_path: Path, supervision: str,
        masked: int) -> None:
    """A support's mask where it is given, else the labeler's: none, some and all."""
    supervise(supervision)
    supports = {'cat': images[:3], 'dog': [images[4]]}
    # The last ones, so that in one class some have a mask and some have none.
    masks = {}
    for path in [*images[:3], images[4]][4 - masked:]:
        masks[path] = tmp_path / f'{path.stem}.png'
        pixels = np.zeros(Image.open(path).size[::-1], np.uint8)
        pixels[5:20, 5:30] = 255
        Image.fromarray(pixels).save(masks[path])
    inferencer = build()
    inferencer.set_supports(
        supports, {name: [masks.get(path) for path in paths]
                   for name, paths in supports.items()} if masks else None)
    result, = inferencer(images[8], absent_pixels=True)
    scores, probs, label_map = naive(
        inferencer, images[8], [*supports.values()], masks)
    assert [*result['presence'].values()] == pytest.approx(scores, abs=1e-4)
    np.testing.assert_allclose(result['probs'], probs, rtol=0, atol=1e-4)
    assert (result['label_map'] != label_map).mean() < 2e-3


def test_the_order_of_the_classes_is_that_of_the_ways(
        ready: FewShotInferencer, images: list[Path]) -> None:
    """Naming the dog first makes it way 1, and changes nothing else."""
    first, = ready(images[8])
    ready.set_supports({'dog': [images[4]], 'cat': images[:3]})
    second, = ready(images[8])
    assert list(second['presence']) == ['dog', 'cat']
    assert second['presence'] == pytest.approx(first['presence'])
    np.testing.assert_allclose(second['probs'], first['probs'][::-1], atol=1e-6)
    swapped = np.array([0, 2, 1])[first['label_map']]
    assert (second['label_map'] != swapped).mean() < 2e-3


def test_every_image_goes_through_the_backbone_once(
        build, images: list[Path]) -> None:
    """Supports when they are set, queries by batches, and no support again."""
    inferencer = build()
    sizes = count_images(inferencer)
    inferencer.set_supports({'cat': images[:3], 'dog': [images[4]]})
    assert sum(sizes) == 4
    sizes.clear()
    inferencer(images[5:10], batch_size=2)
    assert sum(sizes) == 5
    inferencer(images[10])
    assert sum(sizes) == 6


def test_no_graph_is_kept(
        build, images: list[Path], tiny_config: Config) -> None:
    """Of a backbone that is not frozen either."""
    tiny_config.model.backbone.frozen = False
    inferencer = build()
    inferencer.set_supports({'cat': images[0]})
    supports = inferencer.supports.embedded
    assert not supports.tokens.tokens.requires_grad
    assert not supports.cls.requires_grad
    assert inferencer(images[8])


def test_masks_take_the_place_of_pseudo_masks(
        build, images: list[Path], tiny_voc: Path) -> None:
    """For those images that have one; by file or array, for one class or all."""
    masks = [tiny_voc / f'VOCdevkit/VOC2012/SegmentationClassAug/{path.stem}.png'
             for path in images[:5]]
    masks[0] = np.array(Image.open(masks[0])) == 1  # it shows two classes
    inferencer = build()
    supports = {'cat': images[:2], 'dog': images[4]}

    def probs(masks) -> np.ndarray:
        inferencer.set_supports(supports, masks)
        return inferencer(images[8])[0]['probs']

    pseudo = probs(None)
    assert np.array_equal(probs({'cat': [None, None]}), pseudo)
    one = probs({'cat': [None, masks[1]]})
    two = probs({'cat': masks[:2]})
    assert np.array_equal(one[1], pseudo[1]) and np.array_equal(two[1], pseudo[1])
    assert len({x[0].tobytes() for x in (pseudo, one, two)}) == 3
    all_masks = probs({'cat': masks[:2], 'dog': masks[4]})
    assert np.array_equal(all_masks[0], two[0])
    assert not np.array_equal(all_masks[1], pseudo[1])


def test_a_model_trained_with_masks_needs_them(
        build, images: list[Path], tiny_config: Config) -> None:
    """The class is named, and the image is not looked at."""
    tiny_config.model.supervision = 'pixel'
    inferencer = build()
    for masks in (None, {'cat': [images[0], None]}):
        with pytest.raises(ValueError, match="'cat' has support images without a mask"):
            inferencer.set_supports({'cat': images[:2]}, masks)


@pytest.mark.parametrize(('supports', 'masks', 'message'), [
    ({}, None, 'no supports'),
    ({'cat': []}, None, "class 'cat' has no support images"),
    ({f'c{i}': 'x.jpg' for i in range(255)}, None, '255 classes are too many'),
    ({'cat': 'x.jpg'}, {'cow': 'x.png'}, "masks for class 'cow'.*\\['cat'\\]"),
    ({'cat': ['x.jpg', 'y.jpg']}, {'cat': 'x.png'}, "'cat' has 2 .* but 1 masks"),
])
def test_bad_supports(build, supports: dict, masks: dict | None, message: str) -> None:
    """Found before any file is opened."""
    with pytest.raises(ValueError, match=message):
        build().set_supports(supports, masks)


@torch.no_grad()
@pytest.mark.parametrize('classes', [1, 2])
def test_negatives(build, images: list[Path], classes: int) -> None:
    """What they say of a query as a class of their own is held against the class."""
    inferencer = build()
    supports = dict([('cat', images[:2]), ('dog', images[4])][:classes])
    changed = 0
    for query in images[8:12]:
        inferencer.set_supports(supports)
        before, = inferencer(query)
        inferencer.set_supports({'a': images[5], 'b': images[6]})
        against, = inferencer(query)
        inferencer.set_supports(supports, negatives={'cat': images[5:7]})
        found, = inferencer(query)
        expected = before['presence']['cat']
        pixels = before['probs'][0]
        for name, probs in zip('ab', against['probs']):
            if against['presence'][name] > before['presence']['cat']:
                expected = min(expected, 1 - against['presence'][name])
            pixels = np.where(
                probs > before['probs'][0], np.minimum(pixels, 1 - probs), pixels)
        assert found['presence'] == {
            **before['presence'], 'cat': pytest.approx(expected, abs=1e-4)}
        np.testing.assert_allclose(found['probs'][0], pixels, rtol=0, atol=1e-4)
        changed += bool((found['probs'][0] != before['probs'][0]).any())
    assert changed


def test_negatives_of_no_class(build, images: list[Path]) -> None:
    """A class that is not asked for needs none."""
    with pytest.raises(ValueError, match=r"negatives for class 'cow'.*\['cat'\]"):
        build().set_supports({'cat': images[0]}, negatives={'cow': images[1]})


def test_supports_that_fail_leave_the_old_ones(
        ready: FewShotInferencer, images: list[Path]) -> None:
    """All are set, or none."""
    before, = ready(images[8])
    with pytest.raises(FileNotFoundError, match=r'support image .*none\.jpg'):
        ready.set_supports({'cow': [images[3], 'none.jpg']})
    after, = ready(images[8])
    assert after['presence'] == before['presence']


def test_no_supports_yet(build, images: list[Path]) -> None:
    """Said at once, not when the first prediction is asked for."""
    inferencer = build()
    with pytest.raises(RuntimeError, match='set_supports'):
        inferencer.predict(images[0])


# ------------------------------------------------------------- queries
def test_batch_size_changes_nothing(
        ready: FewShotInferencer, images: list[Path]) -> None:
    """Queries of different sizes, in their order."""
    one, three = (ready(images[5:10], batch_size=size) for size in (1, 3))
    assert [result['image'] for result in three] == [*map(str, images[5:10])]
    for x, y in zip(one, three):
        assert x['presence'] == pytest.approx(y['presence'], abs=1e-6)
        np.testing.assert_allclose(x['probs'], y['probs'], rtol=0, atol=1e-6)
    with pytest.raises(ValueError, match='batch_size=0'):
        ready(images, batch_size=0)


def test_arrays(ready: FewShotInferencer, images: list[Path]) -> None:
    """BGR arrays give what their files give, as queries and as supports."""
    from_files, = ready(images[8])
    read = partial(mmcv.imread, backend='pillow')
    ready.set_supports({
        'cat': [read(path) for path in images[:3]], 'dog': read(images[4])})
    from_arrays, = ready(read(images[8]))
    assert from_arrays['image'] is None
    assert from_arrays['presence'] == from_files['presence']
    assert np.array_equal(from_arrays['probs'], from_files['probs'])


def test_predictions_come_one_at_a_time(
        ready: FewShotInferencer, images: list[Path]) -> None:
    """The first is there before the second image is read; gradients stay as set."""
    results = ready.predict([images[5], 'none.jpg'])
    assert next(results)['image'] == str(images[5])
    assert torch.is_grad_enabled()
    with pytest.raises(FileNotFoundError, match=r"query image 'none\.jpg'"):
        next(results)
    assert ready([]) == []


def test_supports_may_change_while_predictions_come(
        ready: FewShotInferencer, images: list[Path]) -> None:
    """Those of the start hold to the end."""
    expected = ready(images[8:10])
    results = ready.predict(images[8:10])
    next(results)
    ready.set_supports({'cow': images[6]})
    assert next(results)['presence'] == expected[1]['presence']


# ------------------------------------------------------------- files
def test_a_prediction_that_is_no_number(
        ready: FewShotInferencer, images: list[Path], tmp_path: Path) -> None:
    """An error that names image and checkpoint, and no NaN in the JSON."""
    ready.weights = 'ruined.pth'
    results = ready.predict(images[:2], out_dir=tmp_path / 'out')
    next(results)
    with torch.no_grad():
        ready.model.cls_head.layers[-1].bias.fill_(float('nan'))
    with pytest.raises(ValueError, match=f"for {images[1]} is NaN or infinite: the "
                       "weights of 'ruined.pth' are of no use"):
        next(results)
    text = (tmp_path / 'out/predictions.json').read_text()
    assert 'NaN' not in text and len(json.loads(text)['predictions']) == 1


def test_files(build, images: list[Path], tmp_path: Path) -> None:
    """The folder says what was asked for, and has every label map."""
    inferencer = build()
    inferencer.set_supports(
        {'cat': images[:2], 'dog': mmcv.imread(images[4])},
        negatives={'dog': images[5]})
    out = tmp_path / 'deep/out'
    results = inferencer(
        [images[8], mmcv.imread(images[10])], out_dir=out, threshold=0.4,
        absent_pixels=True, palette=[(1, 2, 3), (4, 5, 6)])
    content = json.loads((out / 'predictions.json').read_text())
    assert content['classes'] == ['cat', 'dog']
    assert (content['threshold'], content['absent_pixels']) == (0.4, True)
    assert content['colours'] == {'cat': [1, 2, 3], 'dog': [4, 5, 6]}
    assert [entry['image'] for entry in content['supports']['cat']] == [
        *map(str, images[:2])]
    assert [entry['image'] for entry in content['supports']['dog']] == [None]
    assert content['negatives'] == {'dog': [str(images[5])]}
    assert len(content['predictions']) == 2
    for result, entry in zip(results, content['predictions']):
        for key in ('image', 'presence', 'present'):
            assert entry[key] == result[key]
        with Image.open(out / entry['label_map']) as label_map:
            assert np.array_equal(label_map, result['label_map'])


def test_what_was_predicted_before_an_error_is_kept(
        ready: FewShotInferencer, images: list[Path], tmp_path: Path) -> None:
    """One damaged photograph at the end of many does not cost the others."""
    (tmp_path / 'bad.jpg').write_text('no image')
    with pytest.raises(ValueError, match=r'bad\.jpg'):
        ready([images[5], tmp_path / 'bad.jpg'], out_dir=tmp_path / 'out')
    content = json.loads((tmp_path / 'out/predictions.json').read_text())
    assert [entry['image'] for entry in content['predictions']] == [str(images[5])]


@pytest.mark.parametrize('batch_size', [1, 2, 4])
def test_damaged_queries_can_be_left_out(
        ready: FewShotInferencer, images: list[Path], tmp_path: Path,
        batch_size: int) -> None:
    """Who asks for it gets each error, and the predictions of all other queries."""
    expected = ready(images[5:8])
    bad = [tmp_path / f'{number}.jpg' for number in range(3)]
    for path in bad[:2]:
        path.write_text('no image')
    errors: list[tuple[object, Exception]] = []
    queries = [bad[0], images[5], images[6], images[7], bad[1], bad[2]]
    results = list(ready.predict(
        queries, batch_size, on_error=lambda *failure: errors.append(failure)))
    assert [r['image'] for r in results] == [r['image'] for r in expected]
    for result, other in zip(results, expected):
        assert result['presence'] == pytest.approx(other['presence'], abs=1e-6)
    assert [query for query, _ in errors] == bad
    assert [type(error) for _, error in errors] == [
        ValueError, ValueError, FileNotFoundError]


def test_pil_images(build, images: list[Path]) -> None:
    """As supports, masks and queries, alone or in lists, as the files they are of."""
    mask = np.zeros(Image.open(images[0]).size[::-1], np.uint8)
    mask[5:20, 5:30] = 255
    pictures = [Image.open(path) for path in images[:6]]
    inferencer = build()
    inferencer.set_supports(
        {'cat': images[0], 'dog': images[1:3]}, {'cat': mask})
    expected = inferencer(images[5])
    inferencer.set_supports(
        {'cat': pictures[0], 'dog': pictures[1:3]}, {'cat': Image.fromarray(mask)})
    found = inferencer(pictures[5])
    assert found[0]['presence'] == expected[0]['presence']
    assert found[0]['image'] is None


def test_bytes_are_refused(ready: FewShotInferencer, images: list[Path]) -> None:
    """As a whole, by one sentence: not byte by byte."""
    content = images[0].read_bytes()
    with pytest.raises(ValueError, match='a query image must be a file, an array or a'):
        ready(content)
    with pytest.raises(ValueError, match='a support image must be a file, an array or'):
        ready.set_supports({'cat': content})
    with pytest.raises(ValueError, match=r"jpg' must be a file, an array or a PIL ima"):
        ready.set_supports({'cat': images[0]}, {'cat': content})


# ------------------------------------------------------------- as mmseg's inferencer
def test_rgb_arrays(ready: FewShotInferencer, images: list[Path]) -> None:
    """By name, for supports, negatives and queries: what their files give. Files and
    PIL images know their order and keep it."""
    negatives = {'dog': images[5]}
    ready.set_supports({'cat': images[:3], 'dog': images[4]}, None, negatives)
    expected, = ready(images[8])
    read = partial(mmcv.imread, backend='pillow', channel_order='rgb')
    ready.set_supports(
        {'cat': [read(images[0]), Image.open(images[1]), images[2]],
         'dog': read(images[4])},
        negatives={'dog': read(images[5])}, channel_order='rgb')
    for query in (read(images[8]), Image.open(images[8]), images[8]):
        found, = ready(query, channel_order='rgb')
        assert found['presence'] == expected['presence']
        assert np.array_equal(found['probs'], expected['probs'])
    other, = ready(read(images[8]))
    assert not np.array_equal(other['probs'], expected['probs'])


def test_pil_images_of_other_modes(
        ready: FewShotInferencer, images: list[Path]) -> None:
    """Grey and transparent ones are converted, as their files are."""
    with Image.open(images[8]) as image:
        grey, alpha = image.convert('L'), image.convert('RGBA')
    expected, = ready(grey.convert('RGB'))
    assert ready(grey)[0]['presence'] == expected['presence']
    assert ready(alpha)[0]['presence'] == ready(images[8])[0]['presence']


def test_overlays(ready: FewShotInferencer, images: list[Path]) -> None:
    """RGB, of the photograph's size, in the colours asked for; none unasked."""
    query = np.ascontiguousarray(mmcv.imread(images[8], backend='pillow'))
    found, = ready(
        query, return_vis=True, opacity=1, palette=[(1, 2, 3), (4, 5, 6)],
        absent_pixels=True)
    expected = draw_overlay(
        query[..., ::-1], found['label_map'], [(1, 2, 3), (4, 5, 6)], 1)
    assert found['label_map'].any() and np.array_equal(found['vis'], expected)
    default, = ready(query, return_vis=True)
    assert np.array_equal(
        default['vis'], draw_overlay(query[..., ::-1], default['label_map']))
    assert 'vis' not in ready(query)[0]


def test_show(ready: FewShotInferencer, images: list[Path],
              monkeypatch: pytest.MonkeyPatch) -> None:
    """Every overlay in a window, one after the other; the results are the same."""
    shown = []
    monkeypatch.setattr(
        EpisodeVisualizer, 'show', lambda self, *args: shown.append(args))
    expected = ready(images[8:10], return_vis=True)
    results = ready(images[8:10], show=True, wait_time=2)
    assert [args[1:] for args in shown] == [(str(path), 2) for path in images[8:10]]
    for (picture, *_), result in zip(shown, expected):
        assert np.array_equal(picture, result['vis'])
    assert [result.keys() for result in results] == [
        expected[0].keys() - {'vis'}] * 2


def test_progress(ready: FewShotInferencer, images: list[Path],
                  capsys: pytest.CaptureFixture) -> None:
    """A bar on demand, else not a word."""
    expected = ready(images[8:10])
    assert capsys.readouterr().out == ''
    found = ready(images[8:10], show_progress=True)
    assert 'predicting' in capsys.readouterr().out
    assert [x['presence'] for x in found] == [x['presence'] for x in expected]


@pytest.mark.parametrize(('settings', 'message'), [
    (dict(batch_size=0), 'batch_size=0'),
    (dict(threshold=50), 'threshold=50: give a probability'),
    (dict(opacity=-1), 'opacity=-1'),
    (dict(palette=[1, 2, 3]), 'a palette must be'),
    (dict(channel_order='gbr'), "channel_order='gbr': arrays are 'bgr'"),
])
def test_bad_settings(ready: FewShotInferencer, images: list[Path], settings: dict,
                      message: str, tmp_path: Path) -> None:
    """Found at once, before an image is read or a folder is made."""
    with pytest.raises(ValueError, match=message):
        ready.predict('none.jpg', out_dir=tmp_path / 'out', **settings)
    assert not (tmp_path / 'out').exists()
    with pytest.raises(ValueError, match="channel_order='RGB'"):
        ready.set_supports({'cat': images[0]}, channel_order='RGB')


# ------------------------------------------------------------- registry
def test_registry(tiny_config: Config, tiny_checkpoint: Path) -> None:
    """Found by name from mmwsfs's registry, and from MMEngine's by default scope."""
    settings = dict(
        type='FewShotInferencer', model=tiny_config, weights=tiny_checkpoint,
        device='cpu')
    for registry in (INFERENCERS, root.INFERENCERS):
        assert isinstance(registry.build(settings), FewShotInferencer)


def test_the_scope_of_the_caller(build, images: list[Path]) -> None:
    """In a program that works in mmseg's scope all types are found."""
    with root.DefaultScope.overwrite_default_scope('mmseg'):
        inferencer = build()
        inferencer.set_supports({'cat': images[0]})
        assert len(inferencer(images[5:7])) == 2
    assert isinstance(inferencer._query_pipeline, ImagePipeline)
