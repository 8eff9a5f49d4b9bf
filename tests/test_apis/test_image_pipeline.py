"""ImagePipeline: one image, transformed as a dataset's episodes have it."""
from __future__ import annotations

from pathlib import Path

import mmcv
import numpy as np
import pytest
import torch
from PIL import Image

from mmwsfs.apis.image_pipeline import ImagePipeline
from mmwsfs.datasets import LoadObjectMask

SIZE = (45, 60)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / 'image.jpg'
    pixels = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def build(make_pipeline):
    """Makes the pipeline of a role, from one that loads masks."""
    def make(role: str, **kwargs) -> ImagePipeline:
        return ImagePipeline(make_pipeline(True, True, **kwargs), role)
    return make


def region() -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    mask[10:30, 20:45] = True
    return mask


def test_equals_the_dataset(tiny_dataset, make_pipeline, build) -> None:
    """Query, supports and support masks of an episode, bit for bit."""
    dataset = tiny_dataset(way=2, shot=2, pipeline=make_pipeline(True, True))
    query, support = build('query'), build('support')
    for number in range(4):
        item = dataset[number]
        sample = item['data_samples']
        found = query(sample.query_path)
        assert torch.equal(found.pixels, item['inputs']['query'])
        assert found.original.shape[:2] == sample.ori_shape
        assert found.path == sample.query_path and found.mask is None
        for way, class_id in enumerate(sample.class_ids):
            for shot, path in enumerate(sample.support_paths[way]):
                path = Path(path)
                label_map = np.array(Image.open(
                    path.parents[1] / f'SegmentationClassAug/{path.stem}.png'))
                found = support(path, label_map == class_id)
                assert torch.equal(found.pixels, item['inputs']['support'][way, shot])
                assert torch.equal(found.mask, sample.support_masks[way, shot] == 1)


@pytest.mark.parametrize(
    'load', ['LoadLabelMap', 'LoadCocoLabelMap', 'LoadObjectMask'])
def test_transforms_that_load_masks_are_left_out(
        make_pipeline, image: Path, load: str) -> None:
    """An image of one's own has no annotations."""
    pipeline = make_pipeline(True, True)
    for role in ('query', 'support'):
        for transform in pipeline[0][role]:
            if transform['type'] == 'LoadLabelMap':
                transform['type'] = load
        assert ImagePipeline(pipeline, role)(image).pixels.shape == (3, 32, 32)


def test_other_transforms_and_roles(make_pipeline, image: Path) -> None:
    """Whatever the config has is applied, to its role alone, named in any way."""
    pipeline = make_pipeline()
    pipeline[0]['type'] = 'mmwsfs.EpisodeTransform'
    pipeline[0]['query'] = [
        dict(type='mmcv.LoadImageFromFile', imdecode_backend='pillow'),
        dict(type='mmseg.Resize', scale=(24, 16), backend='pillow')]
    found = ImagePipeline(pipeline, 'query')(image).pixels
    expected = np.asarray(
        Image.open(image).resize((24, 16), Image.Resampling.BILINEAR))
    assert np.array_equal(found.flip(0).permute(1, 2, 0).numpy(), expected)
    assert ImagePipeline(pipeline, 'support')(image).pixels.shape == (3, 32, 32)


def test_array_equals_file(build, image: Path) -> None:
    """An array is BGR, as mmcv reads it."""
    array = mmcv.imread(image, backend='pillow')
    from_file, from_array = build('query')(image), build('query')(array)
    assert torch.equal(from_file.pixels, from_array.pixels)
    assert np.array_equal(from_file.original, from_array.original)
    assert from_array.path is None and from_file.path == str(image)


def write(path: Path, array: np.ndarray, mode: str) -> Path:
    """A mask file of one of Pillow's modes."""
    picture = Image.fromarray(array.astype(np.uint8))
    if mode == 'P':
        picture.putpalette([0, 0, 0, 200, 100, 50] * 128)
    else:
        picture = picture.convert(mode)
    picture.save(path)
    return path


@pytest.mark.parametrize('form', [
    'bool', 'integers', 'white', 'class', 'palette', 'one bit'])
def test_forms_of_a_mask(build, image: Path, tmp_path: Path, form: str) -> None:
    """All of them mean the same object."""
    mask, path = region(), tmp_path / 'mask.png'
    found = build('support', size=64)(image, {
        'bool': lambda: mask,
        'integers': lambda: mask.astype(np.int64) * 300,
        'white': lambda: write(path, mask * 255, 'L'),
        'class': lambda: write(path, mask * 7, 'L'),
        'palette': lambda: str(write(path, mask * 15, 'P')),
        'one bit': lambda: write(path, mask * 255, '1'),
    }[form]()).mask
    expected = Image.fromarray(mask.astype(np.uint8)).resize(
        (64, 64), Image.Resampling.NEAREST)
    assert found.dtype == torch.bool and 0 < found.float().mean() < 1
    assert np.array_equal(found.numpy(), np.asarray(expected) == 1)


def test_void_beside_the_object_is_no_object(build, image: Path) -> None:
    """As in VOC's masks, where an outline of 255 surrounds it."""
    mask = region() * 15
    mask[:10] = 255
    found = build('support')(image, mask).mask
    assert torch.equal(found, build('support')(image, region()).mask)


@pytest.mark.parametrize(('mask', 'message'), [
    (np.zeros(SIZE, bool), r"image\.jpg' marks nothing: mark the pixels"),
    (np.arange(45 * 60).reshape(SIZE) % 3, r"image\.jpg.*one value .* has 2, 1\.\.2:"),
    (np.ones((60, 45), bool), r'is \(60, 45\), but its image \(45, 60\)'),
    (np.arange(45 * 60 * 3).reshape(*SIZE, 3) % 2, r'one channel.*\(45, 60, 3\) int'),
    (np.ones((*SIZE, 4), np.uint8), r'one channel.*\(45, 60, 4\) uint8.*transparency'),
    (np.ones(SIZE), 'one channel.*float64'),
])
def test_bad_mask_arrays(build, image: Path, mask: np.ndarray, message: str) -> None:
    """One error that names the image and what is wrong with its mask."""
    with pytest.raises(ValueError, match=message):
        build('support')(image, mask)


# Two halves, white and grey.
SOFT = np.where(region(), np.where(np.arange(60) < 35, 255, 128), 0).astype(np.uint8)


@pytest.mark.parametrize('threshold', [None, 1, 200])
@pytest.mark.parametrize('form', [
    'L', 'P', '1', 'RGB', 'RGBA', 'LA', 'soft', 'soft RGB', 'many', 'uint16', 'empty',
    'coloured', 'transparent', 'edge'])
def test_the_judgement_of_training(
        make_pipeline, image: Path, tmp_path: Path, form: str, threshold: int | None,
) -> None:
    """As a file, an array or a PIL image a mask is what LoadObjectMask takes it for."""
    white, edge = np.uint8(region() * 255), np.uint8(region() * 255)
    edge[10, 20:25] = 90
    picture = {
        'soft': lambda: Image.fromarray(SOFT),
        'soft RGB': lambda: Image.fromarray(SOFT).convert('RGB'),
        'many': lambda: Image.fromarray(np.uint8(np.arange(45 * 60).reshape(SIZE) % 9)),
        'uint16': lambda: Image.fromarray(np.uint16(region() * 65535)),
        'empty': lambda: Image.fromarray(white * 0),
        'coloured': lambda: Image.fromarray(np.dstack([white, white, white * 0])),
        'transparent': lambda: Image.fromarray(np.dstack([white] * 4)),
        'edge': lambda: Image.fromarray(edge),
    }.get(form, lambda: Image.fromarray(white).convert(form))()
    path = tmp_path / 'mask.png'
    picture.save(path)
    loader = dict(type='LoadObjectMask', threshold=threshold)
    pipeline = make_pipeline(False, True)
    pipeline[0]['support'] = [
        loader if step['type'] == 'LoadLabelMap' else step
        for step in pipeline[0]['support']]
    support = ImagePipeline(pipeline, 'support')
    given = [path, picture] + [np.asarray(picture)] * (form != 'uint16')
    try:
        expected = LoadObjectMask(threshold)(dict(
            seg_map_path=str(path), seg_fields=[], classes=['ant'], object_class=1))
    except ValueError as error:
        reason = str(error).split("'ant' ")[1]
        for mask in given:
            with pytest.raises(ValueError) as refused:
                support(image, mask)
            assert str(refused.value).endswith(f"image.jpg' {reason}")
    else:
        expected = support(image, expected['gt_seg_map'] == 1).mask
        for mask in given:
            assert torch.equal(support(image, mask).mask, expected)


def test_16_bits(make_pipeline, image: Path) -> None:
    """Images: scaled in files and in memory. Masks: refused, by what they are."""
    query = ImagePipeline(make_pipeline(), 'query')
    grey = np.linspace(0, 65535, 45 * 60).astype(np.uint16).reshape(SIZE)
    Image.fromarray(grey).save(image.with_suffix('.png'))
    for given in (image.with_suffix('.png'), Image.fromarray(grey)):
        found = query(given).original
        assert np.array_equal(found, np.dstack([np.uint8((grey / 257).round())] * 3))


def test_pil_image_equals_file(build, image: Path) -> None:
    """Turned and brought to BGR as a file is."""
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(image) as picture:
        picture.save(image, quality=90, exif=exif)
    with Image.open(image) as picture:
        found = build('query')(picture)
    expected = build('query')(image)
    assert found.path is None and found.original.shape == (60, 45, 3)
    assert np.array_equal(found.original, expected.original)
    assert torch.equal(found.pixels, expected.pixels)


@pytest.mark.parametrize('given', [b'bytes', 3, None, torch.zeros(3, 4, 4)])
def test_what_is_no_image(build, image: Path, given: object) -> None:
    """One sentence, of an image as of a mask."""
    name = type(given).__name__
    with pytest.raises(ValueError, match=(
            f'a query image must be a file, an array or a PIL image, but is {name}')):
        build('query')(given)
    if given is not None:
        with pytest.raises(ValueError, match=(
                f"image.jpg' must be a file, an array or a PIL image, but is {name}")):
            build('support')(image, given)


def test_bad_mask_files(build, image: Path, tmp_path: Path) -> None:
    """A missing one, one that is no image, and a coloured one."""
    support = build('support')
    with pytest.raises(FileNotFoundError, match=r"mask '.*none\.png' does not exist"):
        support(image, tmp_path / 'none.png')
    (tmp_path / 'text.png').write_text('no image')
    with pytest.raises(ValueError, match=r"mask '.*text\.png' cannot be read"):
        support(image, tmp_path / 'text.png')
    with pytest.raises(ValueError, match=r"mask '.*image\.jpg' of image '.*channel"):
        support(image, image)


def test_bad_images(build, image: Path, tmp_path: Path) -> None:
    """The file, or the array's shape, is in the message, and the image's role."""
    query = build('query')
    with pytest.raises(FileNotFoundError, match=r"query image '.*none\.jpg' does not"):
        query(tmp_path / 'none.jpg')
    image.write_bytes(image.read_bytes()[:700])
    with pytest.raises(ValueError, match=r"query image '.*image\.jpg' cannot be read"):
        query(image)
    with pytest.raises(ValueError, match='cannot be read'):
        query(tmp_path)
    for array in (np.zeros(SIZE, np.uint8), np.zeros((*SIZE, 3)),
                  np.zeros((*SIZE, 4), np.uint8)):
        with pytest.raises(ValueError, match=r'support image must be \(H, W, 3\)'):
            build('support')(array)


@pytest.mark.parametrize('pipeline', [
    [dict(type='PackEpisodeInputs')],
    [dict(type='EpisodeTransform', query=[], support=[])],
    [dict(type='EpisodeTransform', query=[dict(type='Resize', scale=(8, 8))],
          support=[])],
])
def test_pipelines_of_another_kind(pipeline: list[dict]) -> None:
    """The message says what is expected where."""
    with pytest.raises(ValueError, match="EpisodeTransform whose 'query'.*LoadImage"):
        ImagePipeline(pipeline, 'query')
