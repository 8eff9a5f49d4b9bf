"""Links of the Markdown pages, as GitHub and the built documentation follow them."""
from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PAGES = [REPOSITORY / 'README.md', *sorted((REPOSITORY / 'docs').rglob('*.md')),
         *sorted((REPOSITORY / 'configs').rglob('*.md'))]
PAGES = [page for page in PAGES if '_build' not in page.parts]
# A fence may stand in a list; what is in code is no link.
_CODE = re.compile(r'^ *```.*?^ *```|`[^`\n]+`', re.M | re.S)
_LINK = re.compile(r'\]\(\s*([^)\s]+)\s*\)')


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, by GitHub's rule."""
    text = re.sub(r'^ *```.*?^ *```', '', page.read_text(encoding='utf-8'),
                  flags=re.M | re.S)
    found: set[str] = set()
    for heading in re.findall(r'^#+ (.+)$', text, re.M):
        plain = re.sub(r'[^\w\- ]', '', heading.lower()).replace(' ', '-')
        anchor, number = plain, 0
        while anchor in found:
            number += 1
            anchor = f'{plain}-{number}'
        found.add(anchor)
    return found


def broken(page: Path) -> list[str]:
    """The relative links of a page that lead nowhere."""
    text = _CODE.sub('', page.read_text(encoding='utf-8'))
    wrong = []
    for link in _LINK.findall(text):
        if '://' in link:
            continue
        path, _, anchor = link.partition('#')
        target = page.parent / path if path else page
        if not target.exists() or anchor and anchor not in anchors(target):
            wrong.append(link)
    return wrong


@pytest.mark.parametrize(
    'page', PAGES, ids=lambda page: page.relative_to(REPOSITORY).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link names a file that is there and a heading within it."""
    assert not broken(page)


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    """The test above sees a missing file, a missing heading, and no code."""
    page = tmp_path / 'page.md'
    page.write_text(
        '# One `two`: three\n# One two three\n[a](page.md#one-two-three)\n'
        '[b](#one-two-three-1) `[c](no.md)`\n[d](#four) ![e](no.png)\n')
    assert broken(page) == ['#four', 'no.png']


def test_figure_is_the_script_s() -> None:
    """``docs/figures/model.svg`` was drawn by the script beside it."""
    folder = REPOSITORY / 'docs/figures'
    draw = runpy.run_path(str(folder / 'model.py'))['draw']
    assert draw() == (folder / 'model.svg').read_text(encoding='utf-8')
