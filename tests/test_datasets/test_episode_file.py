"""Episode files: written, replayed, and refused where they do not fit."""
from __future__ import annotations

import json
import os
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from mmwsfs.datasets import Episode, EpisodeKey
from mmwsfs.datasets.episode_file import FORMAT, VERSION, read_episodes, write_episodes
from mmwsfs.datasets.few_shot_dataset import FewShotDataset

Build = Callable[..., FewShotDataset]
HEAD = dict(
    dataset='Some', protocol='FS-CS', fold=1, way=2, shot=1,
    classes={'3': 'cat', '7': 'dog', '9': 'elk'}, lists_sha256='00ff')
EPISODES = [Episode('a', (('b', ), ('c', )), (3, 9)),
            Episode('b', (('a', ), ('a', )), (7, 3))]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file of two episodes."""
    write_episodes(tmp_path / 'episodes.json', HEAD, EPISODES)
    return tmp_path / 'episodes.json'


def stem(path: str) -> str:
    return Path(path).stem


def spoil(file: Path, **changes) -> None:
    """Change fields of episode 1."""
    content = json.loads(file.read_text())
    content['episodes'][1].update(changes)
    file.write_text(json.dumps(content))


def spoil_head(file: Path, key: str, value: object) -> None:
    """Change a key of the file."""
    file.write_text(json.dumps({**json.loads(file.read_text()), key: value}))


def message(file: Path) -> str:
    with pytest.raises(ValueError) as error:
        read_episodes(file, HEAD, stem)
    assert str(error.value).startswith(f"episode file '{file}'")
    return str(error.value)


# ------------------------------------------------------------- the file
def test_written_and_read(file: Path) -> None:
    """What was written is read again."""
    assert read_episodes(file, HEAD, stem) == EPISODES


def test_readable(file: Path) -> None:
    """Plain JSON with a head of named values and one line an episode."""
    content = json.loads(file.read_text())
    assert content.pop('episodes') == [
        dict(query='a', classes=[3, 9], supports=[['b'], ['c']]),
        dict(query='b', classes=[7, 3], supports=[['a'], ['a']])]
    assert content == dict(HEAD, format=FORMAT, version=VERSION)
    lines = [line.strip().rstrip(',') for line in file.read_text().splitlines()]
    assert json.loads(lines[-4])['query'] == 'a'
    assert json.loads(lines[-3])['query'] == 'b'
    assert lines[-2:] == [']', '}']


def test_the_folder_is_made(tmp_path: Path) -> None:
    """Exporting into a new folder does not fail at the end of a run."""
    write_episodes(tmp_path / 'a/b/episodes.json', HEAD, EPISODES)
    assert read_episodes(tmp_path / 'a/b/episodes.json', HEAD, stem) == EPISODES


def test_written_whole_or_not_at_all(
        file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interrupted write leaves the old file; the new one is never seen in part."""
    before = file.read_text()
    seen = []

    def stop(part: Path, path: Path) -> None:
        seen.append((Path(part).read_text(), Path(path).read_text()))
        raise KeyboardInterrupt

    monkeypatch.setattr(os, 'replace', stop)
    with pytest.raises(KeyboardInterrupt):
        write_episodes(file, HEAD, EPISODES[:1])
    (part, whole), = seen
    assert len(json.loads(part)['episodes']) == 1
    assert whole == file.read_text() == before
    monkeypatch.undo()
    write_episodes(file, HEAD, EPISODES[:1])
    assert read_episodes(file, HEAD, stem) == EPISODES[:1]
    assert list(file.parent.iterdir()) == [file]


def test_file_of_another_program(tmp_path: Path) -> None:
    """Episodes alone will do, with class names and image paths."""
    path = tmp_path / 'other.json'
    path.write_text(json.dumps(dict(comment='drawn by hand', episodes=[dict(
        query='JPEGImages/q.jpg', classes=['dog', 'cat'], note='good',
        supports=[['JPEGImages/d.jpg'], ['/abs/c.png']])])))
    assert read_episodes(path, HEAD, stem) == [Episode('q', (('d', ), ('c', )), (7, 3))]


# ------------------------------------------------------------- damaged files
def test_missing_file(tmp_path: Path) -> None:
    """The error names the file."""
    with pytest.raises(FileNotFoundError, match="file '.*no.json' does not exist"):
        read_episodes(tmp_path / 'no.json', HEAD, stem)


@pytest.mark.parametrize('share', [0, 0.3, 0.7, 0.99])
def test_truncated_file(file: Path, share: float) -> None:
    """A part is never taken for the whole."""
    whole = file.read_bytes()
    file.write_bytes(whole[:int(share * len(whole))])
    assert 'is truncated or no JSON' in message(file)


@pytest.mark.parametrize('encoding', ['utf-8-sig', 'utf-16'])
def test_text_of_other_programs(file: Path, encoding: str) -> None:
    """A byte-order mark, and UTF-16, change nothing."""
    expected = read_episodes(file, HEAD, stem)
    file.write_bytes(file.read_text().encode(encoding))
    assert read_episodes(file, HEAD, stem) == expected


def test_names_in_one_form(tmp_path: Path) -> None:
    """Images and classes match those of the data set however they are composed."""
    nfd = unicodedata.normalize('NFD', 'größer')
    path = tmp_path / 'episodes.json'
    path.write_text(json.dumps(dict(episodes=[dict(
        query=f'{nfd}.jpg', classes=[nfd, 'cat'], supports=[['d.jpg'], ['c.jpg']])])))
    head = dict(HEAD, classes={'7': 'größer', '3': 'cat'})
    assert read_episodes(path, head, stem) == [
        Episode('größer', (('d', ), ('c', )), (7, 3))]


def test_no_text(file: Path) -> None:
    """Nor is anything else."""
    file.write_bytes(b'\x80\x04\x95\xff')
    assert f"episode file '{file}' is no UTF-8 text" in message(file)


@pytest.mark.parametrize('content', [
    [], 'episodes', None, {}, dict(episodes={}), dict(episodes=None),
    dict(episodes=[]), dict(HEAD)])
def test_no_episodes(file: Path, content: object) -> None:
    """JSON without episodes says what is asked for."""
    file.write_text(json.dumps(content))
    assert "must be a JSON object with a list 'episodes' of at least one" in message(
        file)


# ------------------------------------------------------------- files of other data
@pytest.mark.parametrize(('key', 'value', 'mend'), [
    ('format', 'something', 'written for another dataset or program'),
    ('dataset', 'Other', 'written for another dataset'),
    ('classes', {'3': 'cat'}, 'written for another dataset'),
    ('lists_sha256', 'abcd', 'written for other lists'),
    ('protocol', 'FS-S', '--protocol'),
    ('fold', 2, '--fold'),
    ('fold', None, '--fold'),
    ('way', 1, '--way'),
    ('shot', 5, '--shot'),
])
def test_file_for_other_data(file: Path, key: str, value: object, mend: str) -> None:
    """The error shows both values and how to make them agree."""
    spoil_head(file, key, value)
    text = message(file)
    own = dict(HEAD, format=FORMAT)[key]
    assert f'has {key} {value!r}, but this dataset {own!r}' in text
    assert mend in text


def test_version_from_the_future(file: Path) -> None:
    """A later format is refused as such, whatever else it holds."""
    file.write_text(json.dumps(dict(
        format=FORMAT, version=VERSION + 1, chapters=[], way='any')))
    text = message(file)
    assert f'has version {VERSION + 1}, but this dataset {VERSION}' in text
    assert 'the release of mmwsfs that wrote it' in text


# ------------------------------------------------------------- malformed episodes
@pytest.mark.parametrize('change', [
    dict(query=None), dict(query=7), dict(query=['b']), dict(classes=7),
    dict(classes='dog'), dict(classes=[7, None]), dict(classes=[7.0, 3]),
    dict(classes=[True, 3]), dict(classes={'7': 3}), dict(supports='a'),
    dict(supports=['a', 'a']), dict(supports=[['a'], [1]]),
    dict(supports=[['a'], None]),
])
def test_malformed_episode(file: Path, change: dict) -> None:
    """The error names the episode and its form."""
    spoil(file, **change)
    assert "episode 1 is malformed: it must have 'query', an image; 'class" in message(
        file)


@pytest.mark.parametrize('key', ['query', 'classes', 'supports'])
def test_incomplete_episode(file: Path, key: str) -> None:
    """So does that of an episode without a field, or that is no object."""
    content = json.loads(file.read_text())
    del content['episodes'][1][key]
    file.write_text(json.dumps(content))
    assert 'episode 1 is malformed' in message(file)
    spoil_head(file, 'episodes', [[]])
    assert 'episode 0 is malformed' in message(file)


@pytest.mark.parametrize('classes', [[7, 4], ['dog', 'cow'], ['7', 3], [0, 3]])
def test_class_of_another_fold(file: Path, classes: list) -> None:
    """Base classes and unknown ones are refused, with the choice."""
    spoil(file, classes=classes)
    bad = next(c for c in classes if c not in (7, 3, 'dog'))
    assert (f'episode 1 has classes [{bad!r}], which this split does not hold: it has '
            "{'3': 'cat'") in message(file)


@pytest.mark.parametrize('change', [
    dict(classes=[7]), dict(classes=[7, 3, 9]), dict(supports=[['a']]),
    dict(supports=[['a'], ['a', 'c']]), dict(supports=[['a'], []]),
    dict(classes=[7], supports=[['a']]),
    dict(supports=[['a', 'c'], ['a', 'c']]), dict(classes=[], supports=[])])
def test_other_way_or_shot(file: Path, change: dict) -> None:
    """Every episode has to be N-way K-shot."""
    spoil(file, **change)
    text = message(file)
    assert 'episode 1 is not 2-way 1-shot' in text and 'set way and shot' in text


@pytest.mark.parametrize(('change', 'expected'), [
    (dict(classes=[7, 'dog']), "a class twice: [7, 'dog']"),
    (dict(supports=[['a'], ['x/b.jpg']]), "its query 'b' among the supports"),
])
def test_repetitions(file: Path, change: dict, expected: str) -> None:
    """Repeated classes and the query as a support are no episode."""
    spoil(file, **change)
    assert f'episode 1 has {expected}' in message(file)


def test_repeated_support(file: Path) -> None:
    """An image counts once a way, under whatever path."""
    spoil_head(file, 'shot', 2)
    content = json.loads(file.read_text())
    for episode in content['episodes']:
        episode['supports'] = [['a.jpg', 'c'], ['x', 'y']]
    content['episodes'][0]['query'] = 'q'
    content['episodes'][1]['supports'][0][1] = 'JPEGImages/a.jpg'
    file.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"episode 1 has a support twice .*'a', 'a'"):
        read_episodes(file, dict(HEAD, shot=2), stem)


def test_image_that_the_dataset_cannot_name(file: Path) -> None:
    """The dataset's own complaint, with the episode."""
    def refuse(path: str) -> str:
        raise ValueError(f"'{path}' has no id")
    with pytest.raises(ValueError, match="episode 0: 'a' has no id"):
        read_episodes(file, HEAD, refuse)


# ------------------------------------------------------------- replayed by datasets
def assert_same_items(first: FewShotDataset, second: FewShotDataset) -> None:
    """Bit by bit, all that a model, a metric and a report read."""
    assert len(first) == len(second)
    for j in range(len(first)):
        assert first.draw(j) == second.draw(j)
        one, other = first[j], second[j]
        for key in ('query', 'support'):
            assert torch.equal(one['inputs'][key], other['inputs'][key])
        one, other = one['data_samples'], other['data_samples']
        assert one.metainfo == other.metainfo
        assert torch.equal(one.gt_presence, other.gt_presence)
        assert torch.equal(one.gt_sem_seg.data, other.gt_sem_seg.data)
        assert torch.equal(one.support_masks, other.support_masks)


@pytest.mark.parametrize('settings', [
    dict(), dict(way=2, shot=3), dict(way=2, protocol='FS-S')])
def test_replay_is_identical(
        settings: dict, tiny_dataset: Build, tmp_path: Path,
        make_pipeline: Callable) -> None:
    """Export, replay: the same episodes and items; a replay can be exported again."""
    settings = dict(settings, pipeline=make_pipeline(True, True))
    drawn = tiny_dataset(num_episodes=25, **settings)
    drawn.export_episodes(tmp_path / 'episodes.json')
    head = json.loads((tmp_path / 'episodes.json').read_text())
    assert head['seed_rule'].startswith(
        'by NumPy RandomState(j): query, entry j modulo the list; ' + (
            'its class, then' if 'protocol' in settings else 'N classes, its own with'))
    replayed = tiny_dataset(
        num_episodes=7, episodes=str(tmp_path / 'episodes.json'), **settings)
    assert len(replayed) == 25
    assert_same_items(drawn, replayed)
    replayed.export_episodes(str(tmp_path / 'again.json'))
    again = json.loads((tmp_path / 'again.json').read_text())
    assert again.pop('seed_rule') == 'replayed from episodes.json'
    assert {**again, 'seed_rule': head['seed_rule']} == head


def test_replay_of_coco(tiny_coco_dataset: Build, tmp_path: Path,
                        coco_pipeline: Callable) -> None:
    """The same for masks from annotations; the head tells how queries are drawn."""
    settings = dict(way=2, shot=2, pipeline=coco_pipeline(True, True))
    drawn = tiny_coco_dataset(**settings)
    drawn.export_episodes(tmp_path / 'episodes.json')
    assert 'query, a class, then one of its images; N classes' in json.loads(
        (tmp_path / 'episodes.json').read_text())['seed_rule']
    assert_same_items(drawn, tiny_coco_dataset(
        episodes=str(tmp_path / 'episodes.json'), **settings))


def test_replay_of_the_published_lists(
        shared_data: Path, tiny_dataset: Build, tmp_path: Path,
        make_pipeline: Callable) -> None:
    """Real images of both datasets' formats, by other projects' names for them."""
    path = tmp_path / 'other.json'
    dataset = tiny_dataset(
        shared_data, lists='splits/pascal5i_subset', fold=2, way=2, num_episodes=6,
        pipeline=make_pipeline(True, True, 48))
    names = dataset.metainfo['classes']
    path.write_text(json.dumps(dict(episodes=[
        dict(query=f'JPEGImages/{e.query}.jpg',
             classes=[names[number - 1] for number in e.classes],
             supports=[[f'JPEGImages/{n}.jpg' for n in way] for way in e.supports])
        for e in map(dataset.draw, range(6))])))
    assert_same_items(dataset, tiny_dataset(
        shared_data, lists='splits/pascal5i_subset', fold=2, way=2, episodes=str(path),
        pipeline=make_pipeline(True, True, 48)))


def test_other_projects_coco_names(
        tiny_coco_dataset: Build, tmp_path: Path, coco_pipeline: Callable) -> None:
    """Files of either release, and bare ids, are the same image."""
    path = tmp_path / 'other.json'
    path.write_text(json.dumps(dict(episodes=[
        dict(query='val2014/COCO_val2014_000000000210.jpg', classes=['elk', 'ant'],
             supports=[['000000000252.jpg'], ['211']]),
        dict(query='train2017/000000000250.jpg', classes=[1, 5],
             supports=[['000000000212'], ['251.jpg']])])))
    dataset = tiny_coco_dataset(
        episodes=str(path), way=2, pipeline=coco_pipeline(True, True))
    assert [dataset.draw(j) for j in range(2)] == [
        Episode('000000000210', (('000000000252', ), ('000000000211', )), (5, 1)),
        Episode('000000000250', (('000000000212', ), ('000000000251', )), (1, 5))]
    sample = dataset[0]['data_samples']
    assert sample.gt_presence.tolist() == [True, True]
    assert sample.query_path.endswith('val2014/COCO_val2014_000000000210.jpg')
    path.write_text(path.read_text().replace('211', 'x'))
    with pytest.raises(ValueError, match="episode 0: image 'x' does not end with"):
        tiny_coco_dataset(episodes=str(path), way=2)


def test_relative_path(tiny_voc: Path, tiny_dataset: Build, tmp_path: Path) -> None:
    """As all paths of a dataset, relative to its data root."""
    for name in ('VOCdevkit', 'splits'):
        (tmp_path / name).symlink_to(tiny_voc / name)
    drawn = tiny_dataset(num_episodes=3)
    drawn.export_episodes(tmp_path / 'splits.json')
    replayed = tiny_dataset(tmp_path, episodes='splits.json')
    assert [replayed.draw(j) for j in range(3)] == [drawn.draw(j) for j in range(3)]


def test_names_with_dots(tiny_voc: Path, tiny_dataset: Build, tmp_path: Path) -> None:
    """A name that looks as if it had a suffix is not cut."""
    root = tmp_path / 'dots'
    for folder, suffix in (('JPEGImages', 'jpg'), ('SegmentationClassAug', 'png')):
        target = root / 'VOCdevkit/VOC2012' / folder
        target.mkdir(parents=True)
        for path in (tiny_voc / 'VOCdevkit/VOC2012' / folder).glob('val_0[1-5]_*'):
            (target / f'{path.stem}.v2.{suffix}').symlink_to(path)
    (root / 'lists/val').mkdir(parents=True)
    text = (tiny_voc / 'splits/tiny/val/fold0.txt').read_text()
    (root / 'lists/val/fold0.txt').write_text(text.replace('__', '.v2__'))
    drawn = tiny_dataset(root, lists='lists')
    drawn.export_episodes(tmp_path / 'episodes.json')
    replayed = tiny_dataset(
        root, lists='lists', episodes=str(tmp_path / 'episodes.json'))
    assert [replayed.draw(j) for j in range(20)] == [drawn.draw(j) for j in range(20)]
    assert replayed.draw(0).query.endswith('.v2')


@pytest.mark.parametrize(('settings', 'expected'), [
    (dict(fold=1), 'has fold 0, but this dataset 1'),
    (dict(way=2), 'has way 1, but this dataset 2'),
    (dict(shot=2), 'has shot 1, but this dataset 2'),
    (dict(protocol='FS-S'), "has protocol 'FS-CS', but this dataset 'FS-S'"),
    (dict(split='trn'), 'has classes'),
])
def test_dataset_of_other_settings(
        settings: dict, expected: str, tiny_dataset: Build, tmp_path: Path) -> None:
    """Episodes are not replayed where other numbers would be compared."""
    tiny_dataset().export_episodes(tmp_path / 'episodes.json')
    with pytest.raises(ValueError, match=expected):
        tiny_dataset(episodes=str(tmp_path / 'episodes.json'), **settings)


def test_lists_of_another_order(
        tiny_voc: Path, tiny_dataset: Build, tmp_path: Path) -> None:
    """The digest tells lists apart that hold the same entries; it can be deleted."""
    file = tmp_path / 'episodes.json'
    tiny_dataset(num_episodes=4).export_episodes(file)
    lines = (tiny_voc / 'splits/tiny/val/fold0.txt').read_text().splitlines()
    (tmp_path / 'lists/val').mkdir(parents=True)
    (tmp_path / 'lists/val/fold0.txt').write_text('\n'.join(lines[::-1]))
    settings = dict(lists=str(tmp_path / 'lists'), episodes=str(file))
    with pytest.raises(ValueError, match='lists_sha256 .* written for other lists'):
        tiny_dataset(**settings)
    content = json.loads(file.read_text())
    del content['lists_sha256']
    file.write_text(json.dumps(content))
    assert tiny_dataset(**settings).draw(3) == tiny_dataset().draw(3)


def test_missing_image_of_a_replayed_episode(
        tiny_dataset: Build, tmp_path: Path) -> None:
    """The episode is named; images beside the lists are welcome if they exist."""
    file = tmp_path / 'other.json'
    episodes = [dict(query='val_01_1', classes=[2], supports=[['val_02_0']]),
                dict(query='trn_07_0', classes=[2], supports=[['val_02_0']])]
    file.write_text(json.dumps(dict(episodes=episodes)))
    assert tiny_dataset(episodes=str(file)).draw(1).query == 'trn_07_0'
    episodes[1]['supports'] = [['JPEGImages/2007_000033.jpg']]
    file.write_text(json.dumps(dict(episodes=episodes)))
    with pytest.raises(FileNotFoundError, match=r'1 of 4 .* Episode 1 needs image .*'
                       r"2007_000033\.jpg'"):
        tiny_dataset(episodes=str(file))


def test_unlabelled_query_without_masks(tiny_dataset: Build, tmp_path: Path) -> None:
    """Its presence labels would silently be 'absent'."""
    file = tmp_path / 'other.json'
    file.write_text(json.dumps(dict(episodes=[
        dict(query='trn_07_0', classes=[2], supports=[['val_02_0']])])))
    with pytest.raises(ValueError, match="episode 0: without masks the query 'trn_07_0'"
                       ' has no class labels'):
        tiny_dataset(episodes=str(file), masks='none')


def test_no_other_episode_is_drawn_from_a_replay(
        tiny_dataset: Build, tmp_path: Path) -> None:
    """A replayed set has no more episodes than its file."""
    tiny_dataset(num_episodes=4).export_episodes(tmp_path / 'episodes.json')
    dataset = tiny_dataset(episodes=str(tmp_path / 'episodes.json'))
    with pytest.raises(ValueError, match='but the dataset replays those of'):
        dataset.draw(EpisodeKey(0, 0))
    with pytest.raises(IndexError):
        dataset.draw(4)
