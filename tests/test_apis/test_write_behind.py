"""WriteBehind: predictions are written in another thread, in order, all of them."""
from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config

from mmwsfs.apis import FewShotInferencer
from mmwsfs.apis.prediction_writer import PredictionWriter
from mmwsfs.apis.write_behind import WriteBehind

IMAGE = np.zeros((2, 2, 3), np.uint8)


class Writer:
    """Notes what it writes, and on which thread; fails at ``bad``."""

    def __init__(self, bad: str | None = None) -> None:
        self.bad, self.written, self.go = bad, [], threading.Event()

    def write(self, image: np.ndarray, result: dict) -> None:
        self.go.wait(60)
        if result['image'] == self.bad:
            raise OSError(f'disk full at {self.bad}')
        self.written.append(result['image'])
        assert threading.current_thread() is not threading.main_thread()

    def close(self) -> None:
        self.written.append('end')


def test_one_behind() -> None:
    """The caller goes on, may change its dict, and the end waits for the last."""
    writer = Writer()
    behind = WriteBehind(writer)  # type: ignore[arg-type]
    result = dict(image='a')
    behind.write(IMAGE, result)
    result['image'] = 'changed'
    assert writer.written == []
    writer.go.set()
    behind.write(IMAGE, dict(image='b'))
    behind.close()
    assert writer.written == ['a', 'b', 'end']


def test_an_error_comes_with_the_next() -> None:
    """Or with the end; what was written before is kept."""
    writer = Writer(bad='b')
    writer.go.set()
    behind = WriteBehind(writer)  # type: ignore[arg-type]
    behind.write(IMAGE, dict(image='a'))
    behind.write(IMAGE, dict(image='b'))
    with pytest.raises(OSError, match='disk full at b'):
        behind.wait()
    behind.close()
    assert writer.written == ['a', 'end']


@pytest.mark.parametrize('bad', [1, 3])
def test_a_prediction_that_cannot_be_written(
        tiny_config: Config, tiny_checkpoint: Path, tiny_voc: Path, tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch, bad: int) -> None:
    """The caller of the inferencer gets the error, of the last one as well."""
    images = sorted((tiny_voc / 'VOCdevkit/VOC2012/JPEGImages').glob('val_*.jpg'))
    inferencer = FewShotInferencer(tiny_config, tiny_checkpoint, 'cpu')
    inferencer.set_supports({'cat': images[0]})
    write = PredictionWriter.write

    def failing(self: PredictionWriter, image: np.ndarray, result: dict) -> None:
        if result['image'] == str(images[bad]):
            raise OSError('disk full')
        write(self, image, result)

    monkeypatch.setattr(PredictionWriter, 'write', failing)
    with pytest.raises(OSError, match='disk full'):
        inferencer(images[:4], out_dir=tmp_path / 'out')
    assert len(list((tmp_path / 'out/pred').iterdir())) == bad
    assert (tmp_path / 'out/predictions.json').exists()
