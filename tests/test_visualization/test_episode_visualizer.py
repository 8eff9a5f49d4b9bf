"""EpisodeVisualizer: pictures of episodes."""
from __future__ import annotations

from pathlib import Path

import cv2
import mmcv
import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from PIL import Image, UnidentifiedImageError

from mmwsfs.datasets import LoadImageFromFile
from mmwsfs.structures import FewShotDataSample
from mmwsfs.visualization import EpisodeVisualizer, episode_visualizer
from mmwsfs.visualization.episode_visualizer import (
    VOID,
    WAY_COLOURS,
    overlay,
    read_rgb,
    titled,
)

SIDE = 200  # of a tile


@pytest.fixture
def visualizer() -> EpisodeVisualizer:
    return EpisodeVisualizer()


def noise(seed: int, height: int = SIDE, width: int = SIDE) -> np.ndarray:
    return np.random.default_rng(seed).integers(
        100, 200, (height, width, 3), dtype=np.uint8)


def square(label: int) -> np.ndarray:
    """A label map with one region, rows and columns 50..149."""
    label_map = np.zeros((SIDE, SIDE), np.uint8)
    label_map[50:150, 50:150] = label
    return label_map


def tile(picture: np.ndarray, index: int) -> np.ndarray:
    """The image of a tile, below its title."""
    return picture[-SIDE:, index * SIDE:(index + 1) * SIDE]


def test_shape(visualizer: EpisodeVisualizer) -> None:
    """One tile a support and for query, truth and prediction, side by side."""
    supports = [[noise(1), noise(2)], [noise(3), noise(4)]]
    picture = visualizer.draw_episode(noise(0), supports, ['ant', 'bee'])
    assert picture.dtype == np.uint8
    assert picture.shape[1:] == (5 * SIDE, 3) and SIDE < picture.shape[0] < SIDE + 40
    full = visualizer.draw_episode(
        noise(0), supports, ['ant', 'bee'], support_masks=np.ones((2, 2, 5, 5)),
        truth=square(1), prediction=square(2), scores=[0.5, 0.5])
    assert full.shape == (picture.shape[0], 7 * SIDE, 3)


def test_order_and_untouched_images(visualizer: EpisodeVisualizer) -> None:
    """Supports by way and shot, then the query; without masks all as they are."""
    supports = [[noise(1), noise(2)], [noise(3), noise(4)]]
    picture = visualizer.draw_episode(noise(0), supports, ['ant', 'bee'])
    for index, seed in enumerate((1, 2, 3, 4, 0)):
        assert np.array_equal(tile(picture, index), noise(seed))


def test_regions_are_painted(visualizer: EpisodeVisualizer) -> None:
    """Region and rest are told apart, in truth and prediction each by its own map."""
    empty = np.zeros((SIDE, SIDE), np.uint8)
    kwargs = dict(query=noise(0), supports=[[noise(1)]], class_names=['ant'])
    shown = visualizer.draw_episode(**kwargs, truth=square(1), prediction=empty)
    bare = visualizer.draw_episode(**kwargs, truth=empty, prediction=empty)
    region = square(1) > 0
    differs = (tile(shown, 2) != tile(bare, 2)).any(axis=2)
    assert differs[region].all()
    rest = ~region
    rest[47:153, 47:153] = False  # the outline is two pixels wide
    assert not differs[rest].any()
    for index in (0, 1, 3):
        assert np.array_equal(tile(shown, index), tile(bare, index))


def test_colours_of_ways_and_void() -> None:
    """Each way has a colour of its own, void is grey, background is darkened."""
    image = np.full((SIDE, SIDE, 3), 100, np.uint8)
    centres = {}
    for label in (1, 2, 5, VOID):
        painted = overlay(image, square(label))
        assert painted.shape == image.shape
        assert painted[10, 10].tolist() == [35, 35, 35]
        centres[label] = painted[100, 100].astype(int)
        colour = [128] * 3 if label == VOID else WAY_COLOURS[label - 1]
        assert np.abs(centres[label] - (80 + 0.2 * np.array(colour))).max() <= 1
        assert painted[50, 100].tolist() == list(colour)  # the outline
    assert len({tuple(centre) for centre in centres.values()}) == 4
    assert (image == 100).all()  # the caller's image is not painted on
    assert overlay(image, None) is image


def test_support_masks_in_the_ways_colours(visualizer: EpisodeVisualizer) -> None:
    """Whatever is not zero in a support mask is its way, in the way's colour."""
    image = np.full((SIDE, SIDE, 3), 100, np.uint8)
    masks = np.stack([[square(1)], [square(200)]])
    picture = visualizer.draw_episode(
        image, [[image], [image]], ['ant', 'bee'], support_masks=masks)
    for way in (1, 2):
        assert np.array_equal(
            tile(picture, way - 1), overlay(image, square(way)))
    assert np.array_equal(tile(picture, 2), image)


def test_masks_of_another_size() -> None:
    """Masks at the model's size are laid over images of the original size."""
    label_map = np.array([[0, 1], [0, 0]], bool)
    painted = overlay(noise(0, 60, 80), label_map)
    assert painted.shape == (60, 80, 3)
    dark = (0.35 * noise(0, 60, 80)).astype(np.uint8)
    assert np.array_equal(painted[34:], dark[34:])
    assert np.array_equal(painted[:, :36], dark[:, :36])
    assert (painted[3:26, 44:77] != dark[3:26, 44:77]).any(axis=2).all()


@pytest.mark.parametrize(('height', 'width'), [(30, 50), (400, 250), (200, 200)])
def test_any_image_fits_a_tile(height: int, width: int) -> None:
    """Large images are shrunk with their ratio kept, small ones centred."""
    tile = titled(np.zeros((height, width, 3), np.uint8), '', SIDE)
    dark = (tile < 128).all(axis=2)
    factor = min(1, SIDE / height, SIDE / width)
    rows, columns = dark.any(axis=1).sum(), dark.any(axis=0).sum()
    assert abs(rows - factor * height) <= 1 and abs(columns - factor * width) <= 1
    assert dark.sum() == rows * columns


def test_titles(visualizer: EpisodeVisualizer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Titles say which classes are there, and the probabilities of presence."""
    rows = []
    monkeypatch.setattr(
        episode_visualizer, 'row',
        lambda tiles: rows.append([title for title, _, _ in tiles]))
    for truth in (square(2), square(VOID)):
        visualizer.draw_episode(
            noise(0), [[noise(1)], [noise(2)]], ['ant', 'bee'], truth=truth,
            prediction=square(1), scores=[0.254, 1.0])
    assert rows[0] == ['support: ant', 'support: bee', 'query', 'truth: bee',
                       'prediction: p = 0.25, 1.00']
    assert rows[1][3] == 'truth: absent'


def test_long_titles_stay_in_their_tile() -> None:
    """A long title is cut; it neither fails nor widens the tile."""
    image = np.full((SIDE, SIDE, 3), 255, np.uint8)
    long, short = titled(image, '_' * 500, SIDE), titled(image, '_', SIDE)
    assert long.shape == short.shape
    assert (long < 255).sum() > 20 * (short < 255).sum()
    assert (long[:, -1] == 255).all()  # it ends before the tile does


def test_files_are_shown_as_the_model_sees_them(tmp_path: Path) -> None:
    """16 bits of grey are scaled, also where the model scales them."""
    path = tmp_path / 'grey.png'
    Image.fromarray(np.full((4, 5), 32896, np.uint16)).save(path)
    assert (read_rgb(str(path)) == 128).all()
    assert np.array_equal(
        read_rgb(str(path)), LoadImageFromFile(imdecode_backend='pillow')(
            dict(img_path=str(path)))['img'][..., ::-1])


@pytest.mark.parametrize('reader', ['pillow', 'cv2'])
def test_files_that_one_decoder_reads(tmp_path: Path, reader: str) -> None:
    """An icon only Pillow knows, a Radiance file only OpenCV."""
    pixels = np.full((16, 16, 3), (200, 100, 50), np.uint8)
    path = tmp_path / ('image.ico' if reader == 'pillow' else 'image.hdr')
    if reader == 'pillow':
        Image.fromarray(pixels).save(path)
    else:
        cv2.imwrite(str(path), pixels[..., ::-1].astype(np.float32) / 255)
    with pytest.raises((cv2.error, UnidentifiedImageError)):
        mmcv.imread(path, channel_order='rgb',
                    backend='cv2' if reader == 'pillow' else 'pillow')
    shown = read_rgb(str(path))
    assert shown.shape == pixels.shape and shown.dtype == np.uint8
    assert np.abs(shown - pixels.astype(int)).max() <= 3


@pytest.mark.parametrize('content', [b'', b'no image'])
def test_files_that_none_reads(tmp_path: Path, content: bytes) -> None:
    """One clear error, no assertion of a decoder's."""
    path = tmp_path / 'image.jpg'
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"image '.*image\.jpg' cannot be read: "):
        read_rgb(str(path))
    with pytest.raises(FileNotFoundError):
        read_rgb(str(tmp_path / 'none.jpg'))


def test_draw_sample(visualizer: EpisodeVisualizer, tmp_path: Path,
                     monkeypatch: pytest.MonkeyPatch) -> None:
    """A predicted episode: files as RGB, class names by absolute number."""
    for index, name in enumerate('qab'):
        pixels = np.full((8, 12, 3), (200, 40 * index, 10), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f'{name}.png')
    sample = FewShotDataSample(metainfo=dict(
        episode=6, query_path=str(tmp_path / 'q.png'), class_ids=[3, 1],
        support_paths=[[str(tmp_path / 'a.png')], [str(tmp_path / 'b.png')]]))
    sample.support_masks = torch.ones(2, 1, 4, 4, dtype=torch.uint8)
    sample.presence_scores = torch.tensor([0.25, 0.75])
    sample.gt_sem_seg = PixelData(data=torch.full((1, 8, 12), 2))
    sample.pred_sem_seg = PixelData(data=torch.full((1, 8, 12), 1))
    picture = visualizer.draw_sample(sample, ('ant', 'bee', 'cow'))
    assert picture.shape[1:] == (5 * SIDE, 3)

    monkeypatch.setattr(
        visualizer, 'draw_episode', lambda *args, **kwargs: (args, kwargs))
    (query, supports, names), kwargs = visualizer.draw_sample(
        sample, ('ant', 'bee', 'cow'))
    assert query.shape == (8, 12, 3) and query[0, 0].tolist() == [200, 0, 10]
    assert [[image[0, 0].tolist() for image in images] for images in supports] == [
        [[200, 40, 10]], [[200, 80, 10]]]
    assert names == ['cow', 'ant']
    assert kwargs['support_masks'].shape == (2, 1, 4, 4)
    assert (kwargs['truth'] == 2).all() and (kwargs['prediction'] == 1).all()
    assert kwargs['scores'] == [0.25, 0.75]
