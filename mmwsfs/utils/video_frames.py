"""Frames of videos as photographs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from .file_names import file_stem
from .files import write_whole_bytes

_QUALITY = 95  # of JPEG


def frames(video: Path, every: float) -> Iterator[tuple[float, np.ndarray]]:
    """Read a frame every so many seconds, the first one first.

    Args:
        video: a file of any kind that OpenCV reads.
        every: seconds, above 0.

    Yields:
        tuple[float, np.ndarray]: its time in seconds, and (H, W, 3) uint8, BGR, turned
        as the file says.

    Raises:
        ValueError: it is no video, or has no frames.
    """
    capture = cv2.VideoCapture(str(video))
    try:
        rate = capture.get(cv2.CAP_PROP_FPS) or 25.0
        number, due = 0, 0.0
        while capture.grab():
            # Files without time stamps say 0 all the time.
            time = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000 or number / rate
            number += 1
            if time < due - 0.5 / rate:
                continue
            good, frame = capture.retrieve()
            if good:
                yield time, np.asarray(frame)
                due += every * max(1, int((time - due) / every + 1))
        if not number:
            raise ValueError(f"video '{video}' cannot be read: OpenCV finds no frames")
    finally:
        capture.release()


def write_frames(video: Path, folder: Path, every: float) -> Iterator[Path]:
    """Write frames as ``NAME_00h00m02s500.jpg``, NAME and time being the video's.

    Args:
        video, every: see :func:`frames`.
        folder: to write to; made where it does not exist.

    Yields:
        Path: of each frame, when it is written.

    Raises:
        ValueError: it is no video, or has no frames.
        OSError: a frame cannot be written; it is named.
    """
    stem = file_stem(video.stem, 180)
    for time, frame in frames(video, every):
        path = folder / f'{stem}_{time_stamp(time)}.jpg'
        code = cv2.imencode('.jpg', frame, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1]
        write_whole_bytes(path, code.tobytes())
        yield path


def time_stamp(seconds: float) -> str:
    """``00h00m02s500`` of 2.5: sorted by name, frames are in their order."""
    thousandths = round(1000 * seconds)
    minutes, thousandths = divmod(thousandths, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f'{hours:02}h{minutes:02}m{thousandths // 1000:02}s{thousandths % 1000:03}'
