"""The page in a real browser: what a person does, and what a person then sees."""
from __future__ import annotations

import io
import json
import urllib.request
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mmwsfs.app import photographs

Upload = Callable[..., None]


@pytest.fixture
def planes(shared_data: Path) -> list[Path]:
    """Three photographs of aeroplanes."""
    images = shared_data / 'VOCdevkit/VOC2012/JPEGImages'
    return [images / f'{name}.jpg'
            for name in ('2007_000738', '2011_000276', '2011_001081')]


@pytest.fixture
def toys(tmp_path: Path) -> list[Path]:
    """Two pictures of a disc, for what does not depend on the answer."""
    paths = []
    for number, left in enumerate((30, 60)):
        picture = np.full((120, 160, 3), 200, np.uint8)
        picture[40:90, left:left + 50] = (200, 30, 30)
        paths.append(tmp_path / f'toy_{number}.png')
        Image.fromarray(picture).save(paths[-1])
    return paths


def upload(page: Any, gallery: str, *paths: Path) -> None:
    """Drop files on a gallery, and wait until they are shown."""
    page.set_input_files(f'{gallery} input[type=file]', list(paths))
    page.wait_for_selector(f'{gallery} .thumbnail-item')


def describe(page: Any, number: int, name: str, *paths: Path) -> None:
    """Fill in one class."""
    page.fill(f'#class-{number} textarea, #class-{number} input[type=text]', name)
    upload(page, f'#supports-{number}', *paths)


def find(page: Any) -> None:
    page.click('#find')
    page.wait_for_selector('#answers img', timeout=60_000)


def message(page: Any) -> str:
    """What the page complains about."""
    page.wait_for_selector('.toast-body')
    return page.inner_text('.toast-body')


def shown(page: Any, number: int) -> np.ndarray:
    """A picture of the answers as it is on the screen, RGB."""
    source = page.locator('#answers .thumbnail-item img').nth(number).get_attribute(
        'src')
    with urllib.request.urlopen(source) as answer:
        return np.asarray(Image.open(io.BytesIO(answer.read())).convert('RGB'))


def move(page: Any, slider: str, value: float) -> None:
    page.fill(f'{slider} input[type=number]', str(value))
    page.press(f'{slider} input[type=number]', 'Enter')
    page.wait_for_timeout(1500)


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return (one & other).sum() / (one | other).sum()


def test_upload_find_threshold_download(
        page: Any, planes: list[Path], shared_data: Path, tmp_path: Path,
        photo_model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """From photographs to masks on the object, and home with all of it."""
    describe(page, 1, 'plane', planes[0])
    upload(page, '#queries', *planes[1:])
    find(page)
    photo = np.asarray(Image.open(planes[1])).astype(int)
    truth = np.asarray(Image.open(
        shared_data / f'VOCdevkit/VOC2012/SegmentationClassAug/{planes[1].stem}.png'))
    coloured = np.abs(shown(page, 0) - photo).sum(-1) > 30
    assert iou(coloured, truth == 1) > 0.6
    assert 'present' in page.inner_text('#presence')
    assert page.locator('#looked .thumbnail-item').count() == 1

    # The threshold moves without the model.
    monkeypatch.setattr(photo_model.model, 'forward', None)
    monkeypatch.setattr(photo_model, 'predict', None)
    move(page, '#threshold', 0.95)
    assert page.inner_text('#presence').count('absent') == 2
    assert (np.abs(shown(page, 0) - photo).sum(-1) > 30).sum() == 0
    move(page, '#threshold', 0.5)
    assert page.inner_text('#presence').count('present') == 2

    with page.expect_download() as download:
        page.click('#save')
    download.value.save_as(tmp_path / 'found.zip')
    with zipfile.ZipFile(tmp_path / 'found.zip') as archive:
        said = json.loads(archive.read('predictions.json'))
        first = said['predictions'][0]
        assert first['image'] == planes[1].name and first['present'] == ['plane']
        assert 'plane' in archive.read('predictions.csv').decode()
        labels = np.asarray(Image.open(archive.open(first['label_map'])))
        assert iou(labels == 1, truth == 1) > 0.6
        assert Image.open(archive.open(first['picture'])).size == photo.shape[1::-1]
        assert Image.open(archive.open(first['cutouts']['plane'])).mode == 'RGBA'


def test_edges_are_asked_for(
        page: Any, toys: list[Path], photo_model: Any, tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch) -> None:
    """The box is off at first; ticked, the model is told, and the zip says so."""
    asked = []
    predict = photo_model.predict
    monkeypatch.setattr(photo_model, 'predict', lambda *args, **kwargs: (
        asked.append(kwargs['edges']), predict(*args, **kwargs))[1])
    describe(page, 1, 'red', toys[0])
    upload(page, '#queries', toys[1])
    find(page)
    page.check('#edges input')
    page.click('#find')
    for _ in range(100):
        if len(asked) == 2:
            break
        page.wait_for_timeout(100)
    assert asked == [False, True]
    page.wait_for_timeout(3000)  # until it is found
    with page.expect_download() as download:
        page.click('#save')
    download.value.save_as(tmp_path / 'found.zip')
    with zipfile.ZipFile(tmp_path / 'found.zip') as archive:
        assert json.loads(archive.read('predictions.json'))['edges'] is True


def test_drawing_counts_as_mask(page: Any, planes: list[Path]) -> None:
    """A stroke on a support becomes its mask, and is shown as what was looked at."""
    describe(page, 1, 'plane', planes[0])
    upload(page, '#queries', planes[1])
    page.click('#supports-1 .thumbnail-item')
    canvas = page.locator('#drawing canvas').first
    canvas.wait_for()
    page.wait_for_timeout(2000)  # it fits the photograph in
    page.click('text=Use the drawing')
    assert 'Nothing is drawn yet' in message(page)
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    x, y = box['x'] + box['width'] / 2, box['y'] + box['height'] / 2
    page.mouse.move(x - 40, y)
    page.mouse.down()
    page.mouse.move(x + 40, y, steps=8)
    page.mouse.up()
    page.wait_for_timeout(500)
    page.click('text=Use the drawing')
    page.wait_for_selector('#drawn img', timeout=30_000)
    find(page)
    assert 'plane (drawn)' in page.inner_text('#looked')
    page.click('text=Let the model guess')
    page.wait_for_selector('#drawn img', state='hidden')
    page.click('#find')
    page.wait_for_function(
        "!document.querySelector('#looked').innerText.includes('drawn')",
        timeout=60_000)


def test_what_is_missing_is_said(page: Any, toys: list[Path]) -> None:
    """No name, no support, no query, one name twice: a sentence, not a traceback."""
    for mend, words in (
            (lambda: None, 'Class 1 has no name'),
            (lambda: page.fill('#class-1 textarea, #class-1 input[type=text]', 'red'),
             "Class 'red' has no photograph"),
            (lambda: upload(page, '#supports-1', toys[0]),
             'There is no photograph to look in'),
            (lambda: (upload(page, '#queries', toys[1]),
                      page.click('text=Add a class'),
                      describe(page, 2, 'red', toys[1])),
             "Two classes are called 'red'")):
        mend()
        page.click('#find')
        assert words in message(page)
        page.click('.toast-close')
        page.wait_for_selector('.toast-body', state='detached')
    page.click('text=Remove the last class')
    page.wait_for_selector('#class-2', state='hidden')
    find(page)


def test_what_is_no_photograph_is_said(
        page: Any, toys: list[Path], tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch) -> None:
    """A text, a damaged and a huge photograph are named and left out."""
    text, damaged, huge = (
        tmp_path / name for name in ('text.png', 'damaged.png', 'huge.png'))
    text.write_text('no image')
    damaged.write_bytes(toys[0].read_bytes()[:200])
    Image.new('RGB', (300, 300)).save(huge)
    monkeypatch.setattr(photographs, 'MAX_MEGAPIXELS', 0.05)
    page.set_input_files('#queries input[type=file]', [text, damaged, huge, toys[0]])
    for words in ("'text.png' cannot be read", "'damaged.png' cannot be read",
                  "'huge.png' has 0 megapixels, but 0.05 is the most"):
        page.wait_for_function(
            f'[...document.querySelectorAll(".toast-body")].some('
            f'toast => toast.innerText.includes({json.dumps(words)}))')
    page.wait_for_function(
        "document.querySelectorAll('#queries .thumbnail-item').length == 1")


def test_browsers_do_not_see_each_other(
        page: Any, browser: Any, server: Any, toys: list[Path]) -> None:
    """What one person looked for is not on another one's page; it ends with the tab."""
    other = browser.new_page()
    other.goto(server.url)
    describe(other, 1, 'red', toys[0])
    upload(other, '#queries', toys[1])
    before = set(server.folder.glob('session-*/*.npy'))
    find(other)
    kept, = set(server.folder.glob('session-*/*.npy')) - before
    assert page.locator('.thumbnail-item').count() == 0
    page.click('#find')
    assert 'Class 1 has no name' in message(page)
    other.close()
    for _ in range(100):
        if not kept.exists():
            break
        page.wait_for_timeout(100)
    assert not kept.parent.exists()


def test_example_is_found(page: Any) -> None:
    """gradio's own photographs fill the page in; on a phone, too, nothing is cut."""
    page.set_viewport_size(dict(width=390, height=844))
    page.click('text=Example: Cheetahs, not lions')
    page.wait_for_function(
        "document.querySelectorAll('#queries .thumbnail-item').length == 3")
    page.wait_for_selector('#negatives-1 .thumbnail-item')
    find(page)
    assert page.locator('#answers .thumbnail-item').count() == 3
    assert page.evaluate('document.documentElement.scrollWidth') <= 390
