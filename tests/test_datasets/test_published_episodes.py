"""The published lists give the published episodes: section 10 of the method, re-stated.

The images are empty files: only their names matter to what is drawn.
"""
from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from deadline import deadline

from mmwsfs.datasets import Coco20iDataset, Episode, Pascal5iDataset
from mmwsfs.datasets.few_shot_dataset import FewShotDataset

KINDS = ('pascal', 'coco')
JPEG_FOLDER = dict(pascal='VOCdevkit/VOC2012/JPEGImages', coco='coco')
Restated = tuple[str, tuple[int, ...], tuple[tuple[str, ...], ...]]


# ------------------------------------------------------------- section 10, re-stated
@cache
def pascal_list(lists: Path, fold: int) -> list[tuple[str, int]]:
    """The entries of a val list, read without the package."""
    text = (lists / f'pascal5i/val/fold{fold}.txt').read_text()
    return [(line[:11], int(line[-2:])) for line in text.split()]


@cache
def coco_list(lists: Path, fold: int) -> dict[int, list[str]]:
    """Class from 1 -> image files of a val list, read without the package."""
    with gzip.open(lists / f'coco20i/val/fold{fold}.json.gz') as file:
        content = json.load(file)
    return {int(index) + 1: names for index, names in content.items()}


def rest_of_episode(
        rng: np.random.RandomState, query: str, query_class: int, novel: list[int],
        images_of: dict[int, list[str]], way: int, shot: int) -> Restated:
    """Classes and supports, after the query: the same for both datasets."""
    p = [0.5 if c == query_class else 0.5 / (len(novel) - 1) for c in novel]
    classes = rng.choice(novel, way, replace=False, p=p).tolist()
    supports = []
    for c in classes:
        found: list[str] = []
        while len(found) < shot:
            drawn = str(rng.choice(images_of[c], 1, replace=False)[0])
            if drawn != query and drawn not in found:
                found.append(drawn)
        supports.append(tuple(found))
    return query, tuple(classes), tuple(supports)


def pascal_episode(lists: Path, fold: int, j: int, way: int, shot: int) -> Restated:
    entries = pascal_list(lists, fold)
    novel = [5 * fold + 1, 5 * fold + 2, 5 * fold + 3, 5 * fold + 4, 5 * fold + 5]
    query, query_class = entries[j % len(entries)]
    images_of = {c: [name for name, other in entries if other == c] for c in novel}
    return rest_of_episode(np.random.RandomState(j), query, query_class, novel,
                           images_of, way, shot)


def coco_episode(lists: Path, fold: int, j: int, way: int, shot: int) -> Restated:
    images_of = coco_list(lists, fold)
    novel = [fold + 4 * v + 1 for v in range(20)]
    rng = np.random.RandomState(j)
    query_class = int(rng.choice(novel, 1, replace=False)[0])
    query = str(rng.choice(images_of[query_class], 1, replace=False)[0])
    return rest_of_episode(rng, query, query_class, novel, images_of, way, shot)


RESTATED = dict(pascal=pascal_episode, coco=coco_episode)


def as_stated(kind: str, episode: Episode) -> Restated:
    """An episode with the names that the lists have."""
    def name(image: str) -> str:
        return image if kind == 'pascal' else f'val2014/COCO_val2014_{image}.jpg'
    return (name(episode.query), episode.classes,
            tuple(tuple(map(name, names)) for names in episode.supports))


# ------------------------------------------------------------- the datasets
@pytest.fixture(scope='session')
def lists(shared_data: Path) -> Path:
    return shared_data / 'splits'


@pytest.fixture(scope='session')
def placeholders(lists: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Empty files for all images that the eight val lists name. Not to be changed."""
    root = tmp_path_factory.mktemp('placeholders')
    names = {f'{name}.jpg' for f in range(4) for name, _ in pascal_list(lists, f)}
    make_files(root / JPEG_FOLDER['pascal'], names)
    make_files(root / JPEG_FOLDER['coco'], {
        file for f in range(4) for files in coco_list(lists, f).values()
        for file in files})
    return root


def make_files(folder: Path, names: set[str]) -> None:
    for parent in {Path(name).parent for name in names}:
        (folder / parent).mkdir(parents=True)
    for name in names:
        os.close(os.open(f'{folder}/{name}', os.O_CREAT))


@pytest.fixture
def build(lists: Path) -> Callable[..., FewShotDataset]:
    """Makes the test dataset of a kind on the published lists, without masks."""
    def make(kind: str, root: Path, **kwargs) -> FewShotDataset:
        cls, name = {'pascal': (Pascal5iDataset, 'pascal5i'),
                     'coco': (Coco20iDataset, 'coco20i')}[kind]
        settings = dict(num_episodes=1000, masks='none', pipeline=[])
        return cls(data_root=str(root), lists=str(lists / name), split='val',
                   **{**settings, **kwargs})
    return make


@pytest.mark.parametrize('fold', range(4))
@pytest.mark.parametrize('kind', KINDS)
def test_published_episodes(
        kind: str, fold: int, build: Callable, placeholders: Path, lists: Path) -> None:
    """Each fold's 1000 episodes are drawn soon; the first and the last are published.

    The deadline only protects from hanging: see the check of too few images.
    """
    with deadline():
        dataset = build(kind, placeholders, fold=fold)
        assert len([dataset.draw(j) for j in range(len(dataset))]) == 1000
    for way, shot in ((1, 1), (2, 1), (1, 5), (2, 5)):
        # The numbered episodes are checked at the start; two are enough here.
        dataset = build(
            kind, placeholders, fold=fold, way=way, shot=shot, num_episodes=2)
        for j in (0, 1, 998, 999):
            assert as_stated(kind, dataset.draw(j)) == RESTATED[kind](
                lists, fold, j, way, shot), (way, shot, j)


@pytest.mark.parametrize('kind', KINDS)
def test_other_images_do_not_change_the_draw(
        kind: str, build: Callable, placeholders: Path, tmp_path: Path) -> None:
    """An image that no episode uses may be missing, one that an episode uses not."""
    settings = dict(fold=3, way=2, num_episodes=50)
    whole = build(kind, placeholders, **settings)
    episodes = [whole.draw(j) for j in range(50)]
    users: dict[str, int] = {}
    for j, episode in enumerate(episodes):
        for name in (episode.query, *sum(episode.supports, ())):
            users.setdefault(name, j)
    folder = tmp_path / JPEG_FOLDER[kind]
    make_files(folder, {f'{name}.jpg' for name in users})
    assert len(users) < len(whole.labels_of) / 2
    fewer = build(kind, tmp_path, **settings)
    assert [fewer.draw(j) for j in range(50)] == episodes

    name = episodes[7].supports[1][0]
    (folder / f'{name}.jpg').unlink()
    with pytest.raises(FileNotFoundError) as error:
        build(kind, tmp_path, **settings)
    for part in (f'1 of {len(users)} images', f'Episode {users[name]} needs image',
                 f'{name}.jpg', kind, 'restrict_to_existing'):
        assert part in str(error.value)


# ------------------------------------------------------------- docs/episodes.md
@pytest.fixture
def examples() -> list[str]:
    """The JSON blocks of the description of episode files."""
    text = (Path(__file__).parents[2] / 'docs/episodes.md').read_text()
    return re.findall(r'```json\n(.*?)```', text, re.DOTALL)


def test_described_file(examples: list[str], build: Callable, placeholders: Path,
                        lists: Path, tmp_path: Path) -> None:
    """The first example is what the dataset writes, to the letter."""
    dataset = build('pascal', placeholders, fold=0, way=2, num_episodes=3)
    dataset.export_episodes(tmp_path / 'episodes.json')
    assert (tmp_path / 'episodes.json').read_text() == examples[0]
    lines = (f'{name}__{number}\n' for name, number in pascal_list(lists, 0))
    assert json.loads(examples[0])['lists_sha256'] == hashlib.sha256(
        ''.join(lines).encode()).hexdigest()


def test_described_digest_of_coco(
        build: Callable, placeholders: Path, lists: Path, tmp_path: Path) -> None:
    """The digest of COCO's lists is the described one."""
    dataset = build('coco', placeholders, fold=3, num_episodes=1)
    dataset.export_episodes(tmp_path / 'episodes.json')
    lines = (f'{file[-16:-4]}__{number}\n'
             for number, files in sorted(coco_list(lists, 3).items()) for file in files)
    content = json.loads((tmp_path / 'episodes.json').read_text())
    assert content['lists_sha256'] == hashlib.sha256(
        ''.join(lines).encode()).hexdigest()


def test_described_foreign_file(
        examples: list[str], build: Callable, placeholders: Path, tmp_path: Path
        ) -> None:
    """The second example is replayed as it stands."""
    (tmp_path / 'other.json').write_text(examples[1])
    dataset = build(
        'pascal', placeholders, fold=0, way=2, episodes=str(tmp_path / 'other.json'))
    episode = dataset.draw(0)
    assert episode.query == '2007_000033' and episode.classes == (1, 4)
    for number, names in zip(episode.classes, episode.supports):
        assert number in dataset.labels_of[names[0]]
