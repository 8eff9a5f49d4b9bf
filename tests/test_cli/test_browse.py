"""mmwsfs browse: pictures of a config's episodes."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmwsfs.cli.browse import main

REPO = Path(__file__).parents[2]
IMAGE = REPO / 'configs/wsfs/vit-s_pascal5i_1shot.py'
PIXEL = REPO / 'configs/wsfs/vit-s_pascal5i_1shot_pixel.py'


@pytest.fixture
def browse(tiny_voc: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Runs the tool on the tiny dataset and gives its pictures."""
    monkeypatch.setenv('MMWSFS_DATA_ROOT', str(tiny_voc))
    monkeypatch.setenv('MMWSFS_SPLITS', 'tiny')
    monkeypatch.setenv('LOCAL_RANK', '0')
    for name, value in (('FOLD', '0'), ('WAY', '1'), ('SHOT', '1')):
        monkeypatch.setenv(f'MMWSFS_{name}', value)
    def run(*args) -> dict[str, np.ndarray]:
        out = tmp_path / 'out' / str(len(list(tmp_path.glob('out/*'))))
        main([*map(str, args), '--out', str(out)])
        return {path.name: np.array(Image.open(path)) for path in sorted(out.iterdir())}
    return run


def test_test_episodes(browse) -> None:
    """As many pictures as asked, of support, query and truth; always the same ones."""
    pictures = browse(IMAGE, '--num', 3)
    assert list(pictures) == [f'test_{j:04d}.png' for j in range(3)]
    assert all(picture.shape[1:] == (3 * 200, 3) for picture in pictures.values())
    assert len({picture.tobytes() for picture in pictures.values()}) > 1
    again = browse(IMAGE, '--num', 3)
    assert all(np.array_equal(again[name], pictures[name]) for name in pictures)


def test_train_episodes_have_no_masks(browse) -> None:
    """Under image-level labels there is no truth to show in training."""
    pictures = browse(IMAGE, '--split', 'train', '--num', 2)
    assert list(pictures) == ['train_0000.png', 'train_0001.png']
    assert all(picture.shape[1:] == (2 * 200, 3) for picture in pictures.values())


def test_masks_are_painted_where_they_are_loaded(browse) -> None:
    """The pixel-level config shows the same episodes with their masks."""
    plain = browse(IMAGE, '--split', 'train', '--num', 2)
    painted = browse(PIXEL, '--split', 'train', '--num', 2)
    for name, picture in painted.items():
        assert picture.shape[1:] == (3 * 200, 3)
        support, query = picture[:, :200], picture[:, 200:400]
        # Outside of the mask the support is darkened; the query is as it is.
        assert support[18:].mean() < 0.95 * plain[name][18:, :200].mean()
        assert np.array_equal(query, plain[name][:, 200:])


def test_way_shot_and_number_of_episodes(browse) -> None:
    """``--way`` and ``--shot`` work, and no more is drawn than there is."""
    pictures = browse(
        IMAGE, '--way', 2, '--shot', 2, '--num', 9, '--cfg-options',
        'test_dataloader.dataset.num_episodes=2')
    assert len(pictures) == 2
    assert all(picture.shape[1] == 6 * 200 for picture in pictures.values())
