"""Whatever images and classes are called, files are written in their folder alone."""
from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from mmwsfs.apis import FewShotInferencer
from mmwsfs.visualization.episode_visualizer import titled

# 251 bytes and the suffix are all that a file system takes.
NAMES = ('a\nb', '\x1b[2J', '..', '...', '-rf', ' ', 'a\\..\\b', 'C:x', '\u202efdp',
         'x' * 251, 'ü' * 125, os.fsdecode(b'caf\xe9'), os.fsdecode(b'\xe9' * 251))
CLASSES = ('../../x', '/etc/passwd', 'a\nb', '\udce4', '\0', 'x' * 20_000)


@pytest.fixture
def room(tmp_path: Path) -> Path:
    """A folder with images of those names, and one beside which nothing may come."""
    for name in NAMES:
        for folder in ('one', 'two'):
            path = tmp_path / 'in' / folder / f'{name}.png'
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new('RGB', (32, 32), (90, 120, len(name))).save(path, 'png')
    return tmp_path


def listing(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob('*') if path.is_file()}


def written(out: Path) -> dict:
    """What the written files say; each is in its place."""
    content = json.loads((out / 'predictions.json').read_text())
    for folder, key in (('pred', 'label_map'), ('vis', 'picture')):
        files = [out / entry[key] for entry in content['predictions']]
        assert sorted(files) == sorted((out / folder).iterdir())
        for file in files:
            assert file.parent == out / folder
            assert not any(ord(letter) < 32 for letter in file.name)
            with Image.open(file) as picture:
                picture.load()
    assert sorted(path.name for path in out.iterdir()) == [
        'pred', 'predictions.json', 'vis']
    return content


def test_hostile_names(tiny_config: Config, tiny_checkpoint: Path, room: Path) -> None:
    """Names that lead out, break lines or are too long; all twice, and none is lost."""
    inferencer = FewShotInferencer(tiny_config, tiny_checkpoint, 'cpu')
    queries = sorted((room / 'in').rglob('*.png'))
    inferencer.set_supports({name: queries[0] for name in CLASSES})
    before = listing(room)
    out = room / 'out/deep'
    inferencer([*queries, room / 'out/../in/one/...png'], out_dir=out)
    content = written(out)
    assert len(content['predictions']) == 2 * len(NAMES) + 1
    assert content['classes'] == list(CLASSES)
    after = {path: data for path, data in listing(room).items()
             if out not in path.parents}
    assert after == before


def test_links_in_the_folder(
        tiny_config: Config, tiny_checkpoint: Path, tmp_path: Path) -> None:
    """A link that lies where a file shall come does not lead out."""
    image = tmp_path / 'x.png'
    Image.new('RGB', (32, 32)).save(image)
    kept = tmp_path / 'kept'
    kept.write_text('kept')
    out = tmp_path / 'out'
    for name in ('vis/x.png', 'pred/x.png', 'predictions.json'):
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).symlink_to(kept)
    inferencer = FewShotInferencer(tiny_config, tiny_checkpoint, 'cpu')
    inferencer.set_supports({'cat': image})
    inferencer(image, out_dir=out)
    written(out)
    assert kept.read_text() == 'kept'


@pytest.mark.parametrize('title', CLASSES)
def test_titles(title: str) -> None:
    """A name that is no line is drawn as one; what does not fit costs no time."""
    image = np.zeros((20, 20, 3), np.uint8)
    picture = titled(image, title, 100)
    assert picture.shape == (118, 100, 3)
    if len(title) > 100:
        assert np.array_equal(picture, titled(image, title[:100], 100))
