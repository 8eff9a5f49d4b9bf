"""Frames of a video: at their times, under names that say them."""
from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from mmwsfs.utils.video_frames import frames, time_stamp, write_frames


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Three seconds at 10 frames a second; frame n is of grey 8 n."""
    path = tmp_path / 'a clip.avi'
    writer = cv2.VideoWriter(
        str(path), cv2.VideoWriter_fourcc(*'MJPG'), 10, (64, 48))
    assert writer.isOpened()
    for number in range(30):
        writer.write(np.full((48, 64, 3), 8 * number, np.uint8))
    writer.release()
    return path


@pytest.mark.parametrize(('every', 'numbers'), [
    (1, [0, 10, 20]), (0.5, [0, 5, 10, 15, 20, 25]), (100, [0]),
    (0.001, list(range(30)))])
def test_every(video: Path, every: float, numbers: list[int]) -> None:
    """The frames that are due, each once."""
    found = list(frames(video, every))
    assert [time for time, _ in found] == pytest.approx(
        [number / 10 for number in numbers], abs=0.01)
    for number, (_, frame) in zip(numbers, found):
        assert frame.shape == (48, 64, 3)
        assert abs(int(frame.mean()) - 8 * number) <= 4


def test_files(video: Path, tmp_path: Path) -> None:
    """Are photographs of the video's name and the time."""
    paths = list(write_frames(video, tmp_path / 'frames', 1))
    assert [path.name for path in paths] == [
        f'a clip_00h00m0{second}s000.jpg' for second in range(3)]
    image = cv2.imread(str(paths[1]))
    assert image.shape == (48, 64, 3) and abs(int(image.mean()) - 80) <= 4


def test_no_video(tmp_path: Path) -> None:
    """One sentence."""
    path = tmp_path / 'bad.mp4'
    path.write_text('no video')
    with pytest.raises(ValueError, match=r"bad\.mp4' cannot be read"):
        list(write_frames(path, tmp_path / 'frames', 1))


def test_time_stamps() -> None:
    """Rounded to thousandths without a sixtieth second."""
    assert time_stamp(0) == '00h00m00s000'
    assert time_stamp(59.9996) == '00h01m00s000'
    assert time_stamp(3 * 3600 + 25 * 60 + 7.25) == '03h25m07s250'
