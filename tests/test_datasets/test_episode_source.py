"""Where episodes come from: two sources that a dataset uses alike."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mmwsfs.datasets import Episode, EpisodeKey
from mmwsfs.datasets.entry_list import EntryList
from mmwsfs.datasets.episode_file import write_episodes
from mmwsfs.datasets.episode_source import DrawnEpisodes, ReplayedEpisodes

ENTRIES = [(f'{letter}{index}', number) for letter, number in (('a', 1), ('b', 3))
           for index in range(3)]
HEAD = dict(way=1, shot=1, classes={'1': 'ant', '3': 'cat'})


def drawn(split: str = 'val', entries: list = ENTRIES, **kwargs) -> DrawnEpisodes:
    """Test queries are asked for by their number, from the end of the list."""
    def draw_query(number: int, rng: np.random.RandomState) -> dict:
        return lists.entries[-1 - number % len(lists.entries)]

    lists = EntryList(entries, [1, 3], ('ant', 'bee', 'cat'), split, 'the test')
    settings = dict(way=1, shot=1, protocol='FS-CS')
    return DrawnEpisodes(
        lists, draw_query=draw_query, query_rule='the last first',
        **{**settings, **kwargs})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Two episodes."""
    write_episodes(tmp_path / 'episodes.json', HEAD, [
        Episode('a0', (('b1', ), ), (3, )), Episode('x', (('a0', ), ), (1, ))])
    return tmp_path / 'episodes.json'


def test_numbers_and_keys() -> None:
    """A number asks the dataset for its query, a key names the entry itself."""
    source = drawn()
    assert len(source) == 6 and len(drawn(num_episodes=40)) == 40
    assert [source.draw(number).query for number in range(3)] == ['b2', 'b1', 'b0']
    assert [source.draw(EpisodeKey(query, 5)).query for query in range(2)] == [
        'a0', 'a1']
    assert source.draw(4) == source.draw(EpisodeKey(1, 4))
    assert 'query, the last first; N classes' in source.rule


def test_present_and_absent() -> None:
    """With and without a class that the query shows, where there is one."""
    source = drawn('trn', [*ENTRIES, ('a0', 3)])
    for seed in range(5):
        assert source.draw(EpisodeKey(1, seed, True)).classes == (1, )
        assert source.draw(EpisodeKey(1, seed, False)).classes == (3, )
        assert source.draw(EpisodeKey(0, seed, False)).classes == (1, )  # shows both


def test_users() -> None:
    """In training all entries need their images, in testing the episodes do."""
    assert drawn('trn').users() == {
        name: f'entry {index}' for index, (name, _) in enumerate(ENTRIES)}
    source = drawn(num_episodes=1)
    episode = source.draw(0)
    assert source.users() == {
        name: 'episode 0' for name in (episode.query, *episode.supports[0])}


@pytest.mark.parametrize(('settings', 'message'), [
    (dict(way=3), r'way=3 is not in 1\.\.2'),
    (dict(shot=3), r"class 1 \('ant'\) has 3 images"),
    (dict(shot=0), 'shot=0: an episode needs'),
    (dict(num_episodes=0), 'num_episodes=0: give at least 1'),
    (dict(split='trn', entries=[(n, c) for n in 'abc' for c in (1, 3)]),
     "can only learn 'present'"),
])
def test_what_cannot_be_drawn(settings: dict, message: str) -> None:
    """Lists that hold too little are refused before a draw hangs."""
    with pytest.raises(ValueError, match=message):
        drawn(**settings)


def test_replayed(file: Path) -> None:
    """The file's episodes and no others."""
    source = ReplayedEpisodes(file, HEAD, str, lambda name: True)
    assert len(source) == 2 and source.draw(1).query == 'x'
    assert source.users() == {'a0': 'episode 0', 'b1': 'episode 0', 'x': 'episode 1'}
    assert source.rule == 'replayed from episodes.json'
    with pytest.raises(ValueError, match='dataset replays those of'):
        source.draw(EpisodeKey(0, 0))
    with pytest.raises(IndexError):
        source.draw(2)


def test_replayed_query_of_unknown_classes(file: Path) -> None:
    """Its presence would silently be 'absent'."""
    with pytest.raises(ValueError, match=(
            "episodes.json', episode 1: without masks the query 'x' has no class "
            "labels.*masks='all'")):
        ReplayedEpisodes(file, HEAD, str, {'a0', 'a1'}.__contains__)
