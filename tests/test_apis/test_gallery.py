"""The page opens from disk and works, whatever the names; driven in a real browser."""
from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from mmwsfs.apis.gallery import write_gallery

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

EVIL = '</script><script>window.bad=1</script><b onx="\'&amp;'
HARD = 'a#b%20 c?d&e "q" \'s\' <i> ü日.jpg'
EMPTY: dict = {}


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """Fails where the page asks for anything but files, or a script fails."""
    context = browser.new_context()
    opened = context.new_page()
    faults: list[str] = []
    opened.on('pageerror', lambda error: faults.append(str(error)))
    opened.on('request', lambda request: None if request.url.startswith('file:')
              else faults.append(request.url))
    yield opened
    context.close()
    assert not faults


def picture(path: Path, colour: tuple[int, int, int] = (200, 90, 30)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, 'wb') as file:
        Image.new('RGB', (40, 30), colour).save(file, 'JPEG')


def query(folder: Path, name: str, presence: dict[str, float],
          cutouts: dict[str, str] = EMPTY) -> dict:
    """An entry of predictions.json, with its pictures and its photograph."""
    picture(folder / 'vis' / name)
    picture(folder.parent / 'photos' / name)
    for path in cutouts.values():
        picture(folder / path)
    return dict(
        image=str(folder.parent / 'photos' / name), size=[40, 30],
        picture=f'vis/{name}', label_map='', cutouts=cutouts, presence=presence,
        present=[], areas=dict.fromkeys(presence, 0.25), boxes={})


def write(folder: Path, classes: list[str], queries: list[dict],
          negatives: dict[str, list] = EMPTY) -> Path:
    picture(folder / 'supports/1 #.jpg')
    content = dict(
        format=1, model='cst-photos', threshold=0.5, absent_pixels=False,
        edges=False, classes=classes, colours={name: [230, 60, 60] for name in classes},
        supports={name: [dict(image='s.jpg', picture='supports/1 #.jpg')]
                  for name in classes},
        negatives=negatives, predictions=queries)
    (folder / 'predictions.json').write_text(json.dumps(content), encoding='utf-8')
    return write_gallery(folder)


@pytest.fixture
def gallery(tmp_path: Path) -> Path:
    """Of three photographs and two classes."""
    out = tmp_path / 'out'
    return write(out, ['cat', 'dog'], [
        query(out, 'low.jpg', dict(cat=0.1, dog=0.2)),
        query(out, 'cat.jpg', dict(cat=0.9, dog=0.3), dict(cat='cutouts/cat.jpg')),
        query(out, 'dog.jpg', dict(cat=0.6, dog=0.7), dict(dog='cutouts/dog.jpg'))],
        dict(cat=[str(tmp_path / 'photos/low.jpg'), None]))


def names(page: Page) -> list[str]:
    return page.locator('#grid .file').all_text_contents()


def broken(page: Page) -> list[str]:
    """Addresses of pictures that did not load; scrolls to all of them before."""
    for image in page.locator('img').all():
        image.scroll_into_view_if_needed()
    page.wait_for_load_state('networkidle')
    return page.evaluate(
        "Promise.all([...document.images].map(i => i.decode().then(() => '', () =>"
        ' i.src))).then(all => all.filter(Boolean))')


def test_shows_queries_by_confidence_and_all_pictures(
        page: Page, gallery: Path) -> None:
    page.goto(gallery.as_uri())
    assert names(page) == ['cat.jpg', 'dog.jpg', 'low.jpg']
    assert 'cst-photos' in page.inner_text('#about')
    assert page.locator('#classes figure').count() == 4  # two supports, two negatives
    assert not broken(page)
    assert page.locator('img:not([alt]), img[alt=""]').count() == 0
    assert page.locator('#grid img:not([loading=lazy])').count() == 0


@pytest.mark.parametrize('way, state, expected', [
    ('cat', 'present', ['cat.jpg', 'dog.jpg']),
    ('dog', 'present', ['dog.jpg']),
    ('dog', 'absent', ['cat.jpg', 'low.jpg']),
    ('any', 'present', ['cat.jpg', 'dog.jpg']),
    ('any', 'absent', ['low.jpg'])])
def test_filters_by_class_and_presence(
        page: Page, gallery: Path, way: str, state: str, expected: list[str]) -> None:
    page.goto(gallery.as_uri())
    page.select_option('#way', label=way)
    page.select_option('#state', state)
    assert names(page) == expected
    assert page.inner_text('#count') == f'{len(expected)} of 3'


def test_the_threshold_marks_present_and_absent_anew(
        page: Page, gallery: Path) -> None:
    page.goto(gallery.as_uri())
    present = page.locator('#grid .row.present')
    assert present.first.inner_text().split() == ['cat', 'present', '0.90']
    assert present.count() == 3
    page.locator('#threshold').fill('0.65')
    assert present.count() == 2
    page.select_option('#state', 'absent')
    page.locator('#threshold').fill('0.8')
    assert names(page) == ['dog.jpg', 'low.jpg']


def test_switches_between_photograph_overlay_and_cut_out(
        page: Page, gallery: Path) -> None:
    page.goto(gallery.as_uri())
    for view, folder in (
            ('Photograph', '/photos/'), ('Cut-out', '/cutouts/'), ('Overlay', '/vis/')):
        page.locator('#views').get_by_text(view).click()
        assert folder in page.locator('#grid img').first.evaluate('i => i.src')
    page.locator('#views').get_by_text('Cut-out').click()
    assert page.locator('#grid li').last.text_content().startswith('nothing found')
    page.select_option('#way', label='dog')  # cat.jpg has no cut-out of a dog
    assert page.locator('#grid img').count() == 1


def test_shows_the_overlay_where_the_photograph_is_gone(
        page: Page, gallery: Path, tmp_path: Path) -> None:
    (tmp_path / 'photos/cat.jpg').unlink()
    page.goto(gallery.as_uri())
    page.locator('#views').get_by_text('Photograph').click()
    page.locator('#grid img[src="./vis/cat.jpg"]').wait_for()
    assert not broken(page)


def test_the_keyboard_is_enough(page: Page, gallery: Path) -> None:
    page.goto(gallery.as_uri())
    page.locator('#grid .open').first.focus()
    page.keyboard.press('ArrowRight')
    page.keyboard.press('Enter')
    file = page.locator('#file')
    assert file.text_content().startswith('2 / 3')
    page.keyboard.press('ArrowRight')
    assert file.text_content().startswith('3 / 3')
    page.keyboard.press('ArrowRight')
    assert file.text_content().startswith('1 / 3')
    page.keyboard.press('ArrowLeft')
    page.keyboard.press('Escape')
    assert page.locator('#large').is_hidden()
    focused = 'document.activeElement.getAttribute("aria-label")'
    page.wait_for_function(f'{focused} == "Enlarge low.jpg"')  # told after the dialog


def test_names_that_look_like_html_or_urls_are_harmless(
        page: Page, tmp_path: Path) -> None:
    out = tmp_path / 'o #1 100% ü'
    gallery = write(
        out, [EVIL], [query(out, HARD, {EVIL: 0.9}, {EVIL: f'cutouts/{HARD}'})])
    page.goto(gallery.as_uri())
    assert page.title() == page.inner_text('h1') == EVIL
    assert names(page) == [HARD]
    assert page.evaluate('window.bad') is None
    for view in ('Overlay', 'Photograph', 'Cut-out'):
        page.locator('#views').get_by_text(view).click()
        assert page.locator('#grid img').count() == 1
        assert not broken(page)
        assert '/vis/' not in page.locator('#grid img').evaluate(
            'i => i.src') or view == 'Overlay'


def test_a_thousand_photographs_are_read_as_they_come_into_view(
        page: Page, tmp_path: Path) -> None:
    out = tmp_path / 'out'
    entry = query(out, 'x.jpg', dict(cat=0.9))
    entries = [dict(entry, picture=f'vis/{n}.jpg') for n in range(1000)]
    read: list[str] = []
    page.on('request', lambda request: read.append(request.url))
    page.goto(write(out, ['cat'], entries).as_uri())
    page.wait_for_load_state('networkidle')
    assert page.locator('#grid li').count() == 1000
    assert len(read) < 300


@pytest.mark.parametrize('width', [360, 1280])
@pytest.mark.parametrize('scheme', ['light', 'dark'])
def test_fits_phones_and_follows_the_colour_scheme(
        page: Page, gallery: Path, width: int, scheme: str) -> None:
    page.set_viewport_size(dict(width=width, height=700))
    page.emulate_media(color_scheme=scheme)
    page.goto(gallery.as_uri())
    assert page.evaluate('document.documentElement.scrollWidth') <= width
    background = page.evaluate('getComputedStyle(document.body).backgroundColor')
    assert (background == 'rgb(20, 21, 23)') == (scheme == 'dark')


def test_names_the_file_that_is_not_as_it_should_be(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match='predictions.json'):
        write_gallery(tmp_path)
    (tmp_path / 'predictions.json').write_text('{')
    with pytest.raises(ValueError, match='predictions.json'):
        write_gallery(tmp_path)
    (tmp_path / 'predictions.json').write_text('{"classes": ["cat"]}')
    with pytest.raises(ValueError, match='predict again'):
        write_gallery(tmp_path)
