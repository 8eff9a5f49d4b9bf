"""What photographs a folder, a pattern or a name stands for."""
from __future__ import annotations

from pathlib import Path

import pytest

from mmwsfs.utils.find_photographs import find_photographs


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ('p/b.jpg', 'p/a.PNG', 'p/notes.txt', 'p/._a.jpg', 'p/clip.mp4',
                 'p/trip/deep/c.webp', 'p/.cache/d.jpg', 'p/old/predictions.json',
                 'p/old/vis/b.jpg', 'p/out/vis/b.jpg', 'q/e[1].jpg', 'v/clip.mov'):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(('queries', 'expected'), [
    (['p'], 'p/a.PNG p/b.jpg p/trip/deep/c.webp'),  # no results, nothing hidden
    (['p/b.jpg', 'p'], 'p/b.jpg p/a.PNG p/trip/deep/c.webp'),  # each once
    (['q', 'p/trip'], 'q/e[1].jpg p/trip/deep/c.webp'),  # in the order given
    (['p/*'], 'p/a.PNG p/b.jpg p/clip.mp4 p/trip/deep/c.webp'),
    (['p/**/b.jpg'], 'p/b.jpg'),
    (['p/old/vis/*', 'p/out/**'], 'p/old/vis/b.jpg p/out/vis/b.jpg'),  # named
    (['p/*.jpg'], 'p/b.jpg'),
    (['p/**/*.webp'], 'p/trip/deep/c.webp'),
    (['q/e[1].jpg'], 'q/e[1].jpg'),  # a name, not a pattern
    (['p/notes.txt'], 'p/notes.txt'),  # its content decides, later
])
def test_found(folder: Path, queries: list[str], expected: str) -> None:
    """Files in the order of the queries, and by name."""
    found = find_photographs(queries, [folder / 'p/out'])
    assert [path.as_posix() for path in found] == expected.split()


@pytest.mark.parametrize(('query', 'error', 'message'), [
    ('none.jpg', FileNotFoundError, "'none.jpg' does not exist"),
    ('p/*.gif', ValueError, r"pattern 'p/\*.gif' matches no images"),
    ('p/*.txt', ValueError, 'matches no images'),
    ('v', ValueError, "folder 'v' has no images: name its videos, such as v/"),
    ('p/.cache/..', None, ''),
])
def test_nothing(folder: Path, query: str, error: type | None, message: str) -> None:
    """One sentence that names the query."""
    if error is None:
        assert find_photographs([query])
        return
    with pytest.raises(error, match=message):
        find_photographs([query])


def test_links_in_a_circle(folder: Path) -> None:
    """Come to an end."""
    (folder / 'q/again').symlink_to(folder / 'q')
    assert len(find_photographs(['q'])) == 1
