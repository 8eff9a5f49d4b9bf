"""mmwsfs predict: from support and query files to pictures and a table."""
from __future__ import annotations

import errno
import json
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import unicodedata
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

import mmwsfs.apis
from mmwsfs.apis import FewShotInferencer
from mmwsfs.apis.exports import EXPORTS
from mmwsfs.apis.prediction_writer import PredictionWriter
from mmwsfs.cli.predict import FORMATS, build_parser, main
from mmwsfs.cli.predict_table import LONGEST

sys.path.append(str(Path(__file__).parents[1] / 'test_apis'))

from tiny_checkpoint import tiny_checkpoint  # noqa: E402

__all__ = ['tiny_checkpoint']
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
        main(['config.py', *arguments, '--weights', str(tiny_checkpoint), '--out',
              'out', '--device', 'cpu'])
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
        assert Image.open(photos / 'out' / entry['picture']).size == label_map.size
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
    """Files and folders mix, before and after the options, in their order; each file
    is looked at once, and one may be a support as well."""
    first, second, third = sorted(photos.glob('queries/*.jpg'))
    shutil.copy(first, photos / 'own.jpg')
    a_support = next(photos.glob('supports/cat/*.jpg'))
    _, predictions = predict('own.jpg', '--support-dir', 'supports', str(third),
                             'queries', str(a_support))
    assert [entry['image'] for entry in predictions] == [
        'own.jpg', str(third), f'queries/{first.name}', f'queries/{second.name}',
        str(a_support)]
    assert [entry['label_map'] for entry in predictions][1:] == [
        f'pred/queries/{path.stem}.png' for path in (third, first, second)
    ] + [f'pred/supports/cat/{a_support.stem}.png']


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
    ('bad.mp4 --support cat=own.jpg', "video 'bad.mp4' cannot be read"),
    ('*.gif --support cat=own.jpg', r"pattern '\*.gif' matches no images"),
    ('own.jpg --support cat=own.jpg --not cow=own.jpg', "negatives for class 'cow'"),
    ('own.jpg --support cat=own.jpg --not cat=none', "'none' does not .*: --not takes"),
    ('queries --support cat=own.jpg --mask cow=own.jpg', "masks for class 'cow'"),
    ('queries --support cat=own.jpg --mask cat=own.jpg', "mask 'own.jpg' of image"),
])
def test_errors(predict, photos: Path, arguments: str, message: str) -> None:
    """One line that names the option or file and the mend."""
    shutil.copy(next(photos.glob('queries/*.jpg')), photos / 'own.jpg')
    for name in ('bad.jpg', 'bad.mp4'):
        (photos / name).write_text('no image')
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
            f"mmwsfs predict: query image 'queries/{name}' cannot be read: ")
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


# ------------------------------------------------------------- how it is called
def test_the_form_of_before(
        predict, photos: Path, tiny_checkpoint: Path,
        monkeypatch: pytest.MonkeyPatch) -> None:
    """predict.py CONFIG CHECKPOINT QUERY, and --negative, give the same."""
    against = str(next(photos.glob('supports/dog/*.jpg')))
    expected = predict('queries', '--support', support('cat', photos), '--not',
                       f'cat={against}')[1]
    shutil.rmtree(photos / 'out')
    monkeypatch.setattr(sys, 'argv', [
        str(SCRIPT), 'config.py', str(tiny_checkpoint), 'queries', '--support',
        support('cat', photos), '--negative', f'cat={against}', '--out', 'out',
        '--device', 'cpu'])
    runpy.run_path(str(SCRIPT), run_name='__main__')
    content = json.loads((photos / 'out/predictions.json').read_text())
    assert content['predictions'] == expected
    assert content['negatives'] == dict(cat=[against])


class FakeInferencer:
    """Remembers how it was called; writes as the real one does.

    Of every query it says that the cat is there with a probability of 0.75.
    """

    made: list[tuple] = []
    calls: list[dict] = []
    stop_after = 10**9

    def __init__(self, *arguments) -> None:
        self.made.append(arguments)

    def set_supports(self, *arguments) -> None:
        self.supports = arguments[0]

    def predict(self, queries, out_dir, **settings):
        self.calls.append(dict(settings, queries=queries))
        picture = np.zeros((8, 8, 3), np.uint8)
        names = list(self.supports)
        writer = PredictionWriter(
            out_dir, names, [[picture]] * len(names),
            [np.ones((1, 4, 4), bool)] * len(names), queries=queries)
        try:
            for number, query in enumerate(queries):
                if number == self.stop_after:
                    raise KeyboardInterrupt
                result = dict(
                    image=str(query), present=['cat'],
                    presence={**dict.fromkeys(names, 0.1), 'cat': 0.75},
                    label_map=np.eye(8, dtype=np.uint8))
                writer.write(picture, result)
                yield result
        finally:
            writer.close()


@pytest.fixture
def fake(photos: Path, monkeypatch: pytest.MonkeyPatch,
         capsys: pytest.CaptureFixture):
    """The command with :class:`FakeInferencer`; gives what it printed."""
    monkeypatch.chdir(photos)
    monkeypatch.setattr(mmwsfs.apis, 'FewShotInferencer', FakeInferencer)
    monkeypatch.setattr(FakeInferencer, 'made', [])
    monkeypatch.setattr(FakeInferencer, 'calls', [])

    def run(*arguments: str) -> str:
        main([*arguments, '--support', support('cat', photos), '--out', 'out'])
        return capsys.readouterr().out
    return run


def test_models(fake) -> None:
    """A name, a file with its config, and a config with its checkpoint."""
    fake('cst-photos', 'queries')
    fake('best.safetensors', 'queries', '--device', 'cpu')
    fake('config.py', 'queries', '--weights', 'best.pth')
    fake('config.py', 'best.pth', 'queries')
    fake('config.py', 'none', 'queries')
    assert FakeInferencer.made == [
        ('cst-photos', None, None), ('best.safetensors', None, 'cpu'),
        *[('config.py', 'best.pth', None)] * 2, ('config.py', None, None)]


def test_decisions_are_handed_on(fake) -> None:
    """Threshold, pixels of absent classes, edges and the size of batches; by default
    the rule for photographs."""
    fake('cst-photos', 'queries')
    fake('cst-photos', 'queries', '--threshold', '0.7', '--keep-absent',
         '--edges', '--batch-size', '4')
    for call, expected in zip(FakeInferencer.calls, (
            (0.5, False, False, 1), (0.7, True, True, 4))):
        assert (call['threshold'], call['absent_pixels'], call['edges'],
                call['batch_size']) == expected


@pytest.mark.parametrize(('arguments', 'message'), [
    ('--threshold 70', "'70' must be a number of 0 to 1"),
    ('--threshold nan', "'nan' must be a number of 0 to 1"),
    ('--batch-size 0', "'0' must be a whole number of at least 1"),
    ('--every 0', "'0' must be seconds, more than 0"),
    ('--export coco,voc', "'voc' must be one of coco, yolo, labelme, png"),
])
def test_bad_options(fake, capsys: pytest.CaptureFixture, arguments: str,
                     message: str) -> None:
    """Named before any work."""
    with pytest.raises(SystemExit) as stopped:
        fake('cst-photos', 'queries', *arguments.split())
    assert stopped.value.code == 2 and message in capsys.readouterr().err


@pytest.mark.parametrize(('arguments', 'message'), [
    ('queries queries', "'queries' is no model: name one before the photographs"),
    ('own.jpg queries', "'own.jpg' is no model"),
    ('cst-photos queries --device abacus', "device 'abacus' cannot be used: "),
    ('cst-photos queries --cfg-options a=1', 'config file.*, and .cst-photos. is none'),
])
def test_wrong_models(fake, arguments: str, message: str) -> None:
    """One line that says how to name a model or device."""
    with pytest.raises(SystemExit, match=message) as stopped:
        fake(*arguments.split())
    assert len(str(stopped.value).splitlines()) == 1
    assert not FakeInferencer.made


def test_a_folder_that_cannot_be_written(fake, photos: Path) -> None:
    """Is told before the model is made."""
    (photos / 'out').write_text('a file')
    with pytest.raises(SystemExit, match="cannot write to 'out' .*by --out"):
        fake('cst-photos', 'queries')
    assert not FakeInferencer.made


def test_a_full_disk(fake, monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence, with the file and the mend."""
    def full(*_) -> None:
        raise OSError(errno.ENOSPC, 'No space left on device', 'out/vis/x.jpg')

    monkeypatch.setattr(PredictionWriter, 'write', full)
    with pytest.raises(SystemExit, match="the disk is full: 'out/vis/x.jpg' is not w"):
        fake('cst-photos', 'queries')


# ------------------------------------------------------------- queries and results
def test_folders_patterns_and_videos(fake, photos: Path) -> None:
    """Sub-folders are looked into and mirrored; frames of a video are photographs."""
    (photos / 'queries/trip').mkdir()
    image = sorted(photos.glob('queries/*.jpg'))[0]
    shutil.copy(image, photos / 'queries/trip')
    writer = cv2.VideoWriter('clip.avi', cv2.VideoWriter_fourcc(*'MJPG'), 10, (64, 48))
    for _ in range(30):
        writer.write(np.zeros((48, 64, 3), np.uint8))
    writer.release()
    fake('cst-photos', 'queries', 'clip.avi', '--every', '1.5')
    queries = [path.as_posix() for path in FakeInferencer.calls[0]['queries']]
    assert queries[:-2] == [
        *sorted(f'queries/{path.name}' for path in photos.glob('queries/*.jpg')),
        f'queries/trip/{image.name}']
    assert queries[-2:] == [
        'out/frames/clip/clip_00h00m00s000.jpg',
        'out/frames/clip/clip_00h00m01s500.jpg']
    assert (photos / f'out/vis/trip/{image.name}').is_file()
    assert (photos / 'out/vis/frames/clip/clip_00h00m01s500.jpg').is_file()
    fake('cst-photos', 'queries/**/*.jpg')
    assert len(FakeInferencer.calls[1]['queries']) == len(queries) - 2


def test_results_are_no_queries(fake) -> None:
    """Whoever writes into the folder of photographs may predict again."""
    fake('cst-photos', '.')
    fake('cst-photos', '.', '--sort-into', 'sorted')
    fake('cst-photos', '.', '--sort-into', 'sorted')
    first, *others = [call['queries'] for call in FakeInferencer.calls]
    assert first and others == [first, first]


def test_exports_and_sorted_copies(fake, photos: Path) -> None:
    """Each in a folder of its name; formats by commas or one by one."""
    assert list(EXPORTS) == list(FORMATS)
    fake('cst-photos', 'queries', '--export', 'coco,yolo', '--export', 'labelme',
         '--export', 'png', '--sort-into', 'sorted')
    stems = {path.stem for path in photos.glob('queries/*.jpg')}
    content = json.loads((photos / 'out/coco/annotations.json').read_text())
    assert {Path(image['file_name']).stem for image in content['images']} == stems
    for pattern in ('out/yolo/labels/*.txt', 'out/labelme/*.json', 'out/png/cat/*.png',
                    'sorted/cat/*.jpg'):
        assert {path.stem for path in photos.glob(pattern)} == stems
    assert (photos / 'out/predictions.csv').is_file()


def test_ctrl_c(fake, photos: Path, monkeypatch: pytest.MonkeyPatch,
                capsys: pytest.CaptureFixture) -> None:
    """Keeps what there is, and the status is a shell's for it."""
    monkeypatch.setattr(FakeInferencer, 'stop_after', 2)
    with pytest.raises(SystemExit) as stopped:
        fake('cst-photos', 'queries', '--export', 'coco')
    assert stopped.value.code == 130
    assert 'stopped; the first 2 of 3 are in out' in capsys.readouterr().err
    content = json.loads((photos / 'out/predictions.json').read_text())
    assert len(content['predictions']) == 2
    content = json.loads((photos / 'out/coco/annotations.json').read_text())
    assert len(content['images']) == 2


def test_a_table_of_many(fake, photos: Path) -> None:
    """Is a summary by class; nothing of a progress bar outside a terminal."""
    image = next(photos.glob('queries/*.jpg'))
    for number in range(LONGEST + 1):
        shutil.copy(image, photos / f'queries/{number}.jpg')
    output = fake('cst-photos', 'queries')
    assert cells(output) == {'cat': [str(LONGEST + 4), '0']}
    assert 'predicting' not in output


# ------------------------------------------------------------- help
def test_help_speaks_of_all(capsys: pytest.CaptureFixture) -> None:
    """Three examples that can be parsed, and every option."""
    text = build_parser().format_help()
    examples = re.findall(r'^  (mmwsfs predict .*(?:\n      .*)*)', text, re.M)
    assert len(examples) == 3
    for example in examples:
        words = shlex.split(example.replace('\\\n', ' '))
        assert build_parser().parse_intermixed_args(words[2:]).queries
    for option in ('--support', '--not', '--mask', '--threshold', '--export', '--every',
                   '--sort-into', '--weights', '--keep-absent', '--edges'):
        assert option in text


def test_help_is_quick() -> None:
    """It needs neither torch nor OpenCV."""
    code = ("import sys\nfrom mmwsfs.cli.predict import build_parser\n"
            "build_parser().format_help()\n"
            "assert not {'torch', 'cv2', 'mmcv', 'mmseg'} & set(sys.modules)")
    subprocess.run([sys.executable, '-c', code], check=True)
