"""demo/predict.py: from support and query files to pictures and a table."""
from __future__ import annotations

import json
import os
import re
import runpy
import shutil
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from mmwsfs.apis import FewShotInferencer

SCRIPT = Path(__file__).parents[2] / 'demo/predict.py'


@pytest.fixture
def photos(tiny_voc: Path, tmp_path: Path) -> Path:
    """Folders ``supports/{cat,dog}`` and ``queries`` of images, and a file beside."""
    images = sorted((tiny_voc / 'VOCdevkit/VOC2012/JPEGImages').glob('val_*.jpg'))
    for folder, chosen in (('supports/cat', images[:2]), ('supports/dog', images[4:5]),
                           ('queries', images[8:11])):
        (tmp_path / folder).mkdir(parents=True)
        for image in chosen:
            shutil.copy(image, tmp_path / folder)
        (tmp_path / folder / 'notes.txt').write_text('no image')
    return tmp_path


@pytest.fixture
def predict(tiny_config: Config, tiny_checkpoint: Path, photos: Path,
            monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    """Runs the command among the photos; gives its output and predictions."""
    tiny_config.dump(photos / 'config.py')
    monkeypatch.chdir(photos)

    def run(*arguments: str) -> tuple[str, list[dict]]:
        capsys.readouterr()
        monkeypatch.setattr(sys, 'argv', [
            str(SCRIPT), 'config.py', str(tiny_checkpoint), *arguments,
            '--out', 'out', '--device', 'cpu'])
        runpy.run_path(str(SCRIPT), run_name='__main__')
        content = json.loads((photos / 'out/predictions.json').read_text())
        return capsys.readouterr().out, content['predictions']
    return run


def support(name: str, photos: Path) -> str:
    """The option's value for a class of the folder."""
    paths = sorted((photos / 'supports' / name).glob('*.jpg'))
    return f"{name}={','.join(str(path.relative_to(photos)) for path in paths)}"


def cells(output: str) -> dict[str, list[str]]:
    """Query -> cells of its row in the printed table."""
    rows = re.findall(r'^│(.*)│(.*)│(.*)│', output, re.MULTILINE)
    return {row[0].strip(): [cell.strip() for cell in row[1:]] for row in rows}


def test_table_and_files(
        predict, photos: Path, tiny_config: Config, tiny_checkpoint: Path) -> None:
    """What the inferencer says of the same files, printed and written."""
    output, predictions = predict(
        '--support', support('cat', photos), '--support', support('dog', photos),
        'queries')
    queries = sorted((photos / 'queries').glob('*.jpg'))
    inferencer = FewShotInferencer(tiny_config, tiny_checkpoint, 'cpu')
    inferencer.set_supports({
        'cat': sorted((photos / 'supports/cat').glob('*.jpg')),
        'dog': sorted((photos / 'supports/dog').glob('*.jpg'))})
    table = cells(output)
    decided = set()
    for query, entry, expected in zip(queries, predictions, inferencer(queries)):
        assert entry['image'] == f'queries/{query.name}'
        assert entry['presence'] == expected['presence']
        label_map = Image.open(photos / 'out' / entry['label_map'])
        assert np.array_equal(label_map, expected['label_map'])
        assert Image.open(photos / 'out' / entry['picture']).size == (5 * 200, 218)
        words = [
            ', '.join(f'{name} {p:.2f}' for name, p in expected['presence'].items()
                      if (name in expected['present']) is present)
            for present in (True, False)]
        assert table[entry['image']] == words
        decided |= {word != '' for word in words}
    assert len(predictions) == len(queries) and decided == {True, False}


def test_ways_of_giving_the_supports(predict, photos: Path) -> None:
    """Options, a folder, and both: the same predictions, whatever the order."""
    query = sorted(photos.glob('queries/*.jpg'))[0]
    expected = predict(
        '--support', support('cat', photos), '--support', support('dog', photos),
        str(query))[1]
    assert list(expected[0]['presence']) == ['cat', 'dog']
    assert predict(str(query), '--support-dir', 'supports')[1] == expected
    (photos / 'supports/cat').rename(photos / 'cat')
    (photos / 'supports/dog').rename(photos / 'some dogs')
    (photos / 'supports/dog').mkdir()
    shutil.copy(next((photos / 'some dogs').glob('*.jpg')), photos / 'supports/dog')
    paths = ','.join(str(path) for path in sorted((photos / 'cat').glob('*.jpg')))
    assert predict(
        '--support-dir', 'supports', str(query), '--support', f'cat={paths}',
    )[1] == expected


def test_several_queries_around_options(predict, photos: Path) -> None:
    """Files and folders mix, before and after the options, in their order."""
    first, second, third = sorted(photos.glob('queries/*.jpg'))
    shutil.copy(first, photos / 'own.jpg')
    _, predictions = predict('own.jpg', '--support-dir', 'supports', str(third),
                             'queries')
    assert [entry['image'] for entry in predictions] == [
        'own.jpg', str(third), *(f'queries/{path.name}' for path in (
            first, second, third))]


def test_cfg_options_and_masks(predict, photos: Path) -> None:
    """A model of supervision 'pixel' needs the supports' masks."""
    options = ('queries', '--support', support('dog', photos))
    pixel = ('--cfg-options', 'model.supervision=pixel')
    with pytest.raises(SystemExit, match="'dog' has support images without a mask"):
        predict(*options, *pixel)
    image, = photos.glob('supports/dog/*.jpg')
    mask = np.zeros(Image.open(image).size[::-1], np.uint8)
    mask[5:20, 5:30] = 255
    Image.fromarray(mask).save(photos / 'mask.png')
    with_mask = predict(*options, '--mask', 'dog=mask.png', *pixel)[1]
    assert len(with_mask) == 3
    assert predict(*options, '--mask', 'dog=mask.png')[1] == with_mask
    assert predict(*options)[1] != with_mask


@pytest.mark.parametrize(('arguments', 'message'), [
    ('queries', 'no supports: .*--support CLASS=IMAGE'),
    ('queries --support cat', "cannot read '--support cat': write --support CLASS="),
    ('queries --support =own.jpg', "cannot read '--support =own.jpg'"),
    ('queries --support cat=own.jpg,', "cannot read '--support cat=own.jpg,'"),
    ('queries --support cat=', "cannot read '--support cat='"),
    ('queries --support cat=none.jpg', "'none.jpg' does not exist"),
    ('queries --support cat=own.jpg --support cat=own.jpg', "'cat' twice"),
    ('queries --support cat=own.jpg --support-dir supports', "'cat' is given twice"),
    ('queries --support-dir none', "'none' does not exist"),
    ('queries --support-dir bare', "'bare' has no sub-folders"),
    ('queries --support-dir empty', "folder 'empty/cow' has no images"),
    ('bare --support cat=own.jpg', "folder 'bare' has no images"),
    ('none.jpg --support cat=own.jpg', "'none.jpg' does not exist"),
    ('queries --support cat=bad.jpg', "support image 'bad.jpg' cannot be read"),
    ('bad.jpg --support cat=own.jpg', "query image 'bad.jpg' cannot be read"),
    ('queries --support cat=own.jpg --mask cow=own.jpg', "masks for class 'cow'"),
    ('queries --support cat=own.jpg --mask cat=own.jpg', "mask 'own.jpg' of image"),
])
def test_errors(predict, photos: Path, arguments: str, message: str) -> None:
    """One line that names the option or file and the mend."""
    shutil.copy(next(photos.glob('queries/*.jpg')), photos / 'own.jpg')
    (photos / 'bad.jpg').write_text('no image')
    (photos / 'bare').mkdir()
    (photos / 'bare/notes.txt').write_text('no image')
    (photos / 'empty/cow').mkdir(parents=True)
    with pytest.raises(SystemExit, match=message) as stopped:
        predict(*arguments.split())
    assert len(str(stopped.value).splitlines()) == 1


def test_damaged_queries_do_not_end_the_run(
        predict, photos: Path, capsys: pytest.CaptureFixture) -> None:
    """The others are predicted; all that failed are named at the end, with status 1."""
    expected = predict('queries', '--support-dir', 'supports')[1]
    (photos / 'queries/a.jpg').write_text('no image')
    image = sorted(photos.glob('queries/*.jpg'))[-1]
    (photos / 'queries/zz.jpg').write_bytes(image.read_bytes()[:700])
    with pytest.raises(SystemExit) as stopped:
        predict('queries', '--support-dir', 'supports')
    lines = stopped.value.code.splitlines()  # a text: Python prints it and exits with 1
    assert len(lines) == 2
    for line, name in zip(lines, ('a.jpg', 'zz.jpg')):
        assert line.startswith(
            f"predict.py: query image 'queries/{name}' cannot be read: ")
    content = json.loads((photos / 'out/predictions.json').read_text())
    assert content['predictions'] == expected
    assert list(cells(capsys.readouterr().out))[-3:] == [
        entry['image'] for entry in expected]


def test_hidden_files_are_passed_by(predict, photos: Path) -> None:
    """As in training: macOS' twins of files, and a notebook's folder as a class."""
    expected = predict('queries', '--support-dir', 'supports')[1]
    (photos / 'supports/.ipynb_checkpoints').mkdir()
    image = next(photos.glob('supports/cat/*.jpg'))
    shutil.copy(image, photos / 'supports/.ipynb_checkpoints')
    for folder in ('queries', 'supports/cat', 'supports/dog'):
        (photos / folder / '._a.jpg').write_bytes(b'\0\5\x16\7')
    assert predict('queries', '--support-dir', 'supports')[1] == expected


def test_commas_and_spaces(predict, photos: Path) -> None:
    """An escaped comma belongs to the name; spaces after commas do not."""
    first, second = sorted(photos.glob('supports/cat/*.jpg'))
    expected = predict('queries', '--support', support('cat', photos))[1]
    first.rename(photos / 'a, b.jpg')
    second.rename(photos / 'c.jpg')
    assert predict('queries', '--support', r'cat=a\, b.jpg, c.jpg')[1] == expected
    (photos / 'c.jpg').rename(photos / ' c.jpg')  # where that is the name
    assert predict('queries', '--support', r'cat=a\, b.jpg, c.jpg')[1] == expected
    with pytest.raises(SystemExit, match=(
            r"'a' does not exist: --support .* comma .* '\\,', or .*--support-dir")):
        predict('queries', '--support', 'cat=a, b.jpg')
    with pytest.raises(SystemExit, match=r"'d' does not exist: --mask .* as '\\,'$"):
        predict('queries', '--support', 'cat= c.jpg', '--mask', 'cat=d')


def test_names_of_any_bytes(predict, photos: Path) -> None:
    """A finished run is not lost to a name that no stream takes."""
    query = os.fsdecode(b'gr\xf6\xdf.jpg')
    shutil.copy(next(photos.glob('queries/*.jpg')), photos / query)
    output, predictions = predict(query, '--support-dir', 'supports')
    assert r'gr\udcf6\udcdf.jpg' in cells(output)
    assert [entry['image'] for entry in predictions] == [query]


def test_names_composed_otherwise(predict, photos: Path) -> None:
    """A file is found under either form of its name."""
    image = next(photos.glob('queries/*.jpg'))
    shutil.copy(image, photos / unicodedata.normalize('NFD', 'ü.jpg'))
    assert len(predict('ü.jpg', '--support', 'cat=ü.jpg')[1]) == 1


def test_names_are_printed_as_they_are(predict, photos: Path) -> None:
    """Square brackets are no markup."""
    query = photos / 'a[red]b.jpg'
    shutil.copy(next(photos.glob('queries/*.jpg')), query)
    output, _ = predict(query.name, '--support-dir', 'supports')
    assert query.name in cells(output)
