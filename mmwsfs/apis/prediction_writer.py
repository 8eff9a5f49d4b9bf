from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from mmwsfs.utils.file_names import file_stem
from mmwsfs.utils.files import whole_file, write_whole
from mmwsfs.visualization import EpisodeVisualizer
from mmwsfs.visualization.episode_visualizer import WAY_COLOURS

_PICTURE_SIDE = 400


def thumbnail(image: np.ndarray) -> np.ndarray:
    """(H, W, 3) BGR -> RGB of at most 400 pixels a side: outlines stay visible."""
    picture = Image.fromarray(np.ascontiguousarray(image[..., ::-1]))
    picture.thumbnail((_PICTURE_SIDE, _PICTURE_SIDE))
    return np.asarray(picture)


class PredictionWriter:
    """Writes predictions into a folder, each as it comes.

    ``vis/NAME.png`` is a picture of the supports, the query and its prediction,
    ``pred/NAME.png`` the label map with a palette in the pictures' colours, and
    ``predictions.json``, written last, has the probabilities of presence.

    Args:
        out_dir: the folder; made where it does not exist.
        names: of the N classes.
        supports: N x K thumbnails, RGB.
        masks: N of (K, h, w), those that the model used.
    """

    def __init__(self, out_dir: str | Path, names: Sequence[str],
                 supports: Sequence[Sequence[np.ndarray]],
                 masks: Sequence[Tensor]) -> None:
        self.out_dir = Path(out_dir)
        for folder in ('vis', 'pred'):
            (self.out_dir / folder).mkdir(parents=True, exist_ok=True)
        self.names = list(names)
        self.supports = supports
        self.masks = masks
        self.visualizer = EpisodeVisualizer()
        self._entries: dict[str, dict] = {}  # by file name

    def write(self, image: np.ndarray, result: Mapping) -> None:
        """Write one prediction.

        Args:
            image: (H, W, 3) uint8, BGR, the query.
            result: as :class:`FewShotInferencer` gives it.
        """
        name = self._file_name(result['image'])
        label_map = Image.fromarray(result['label_map'])
        label_map.putpalette(self._palette())
        self._save(label_map, f'pred/{name}')
        picture = self.visualizer.draw_episode(
            thumbnail(image), self.supports, self.names, support_masks=self.masks,
            prediction=result['label_map'], scores=[*result['presence'].values()])
        self._save(Image.fromarray(picture), f'vis/{name}')
        self._entries[name] = dict(
            image=result['image'], presence=result['presence'],
            present=result['present'], label_map=f'pred/{name}', picture=f'vis/{name}')

    def close(self) -> None:
        """Write ``predictions.json``."""
        content = dict(classes=self.names, predictions=[*self._entries.values()])
        write_whole(
            self.out_dir / 'predictions.json', json.dumps(content, indent=2) + '\n')

    def _save(self, picture: Image.Image, name: str) -> None:
        """In one step, and in place of a link: what it leads to stays."""
        with whole_file(self.out_dir / name) as temporary:
            picture.save(temporary, 'PNG')

    def _file_name(self, path: str | None) -> str:
        """The image's with the suffix .png; numbered where another one has it, and cut
        where it is very long."""
        stem = file_stem(Path(path).stem) if path else 'query'
        name, number = f'{stem}.png', 1
        while name in self._entries:
            number += 1
            name = f'{stem}_{number}.png'
        return name

    @staticmethod
    def _palette() -> list[int]:
        """Background black, then the ways' colours over and over."""
        ways = np.resize(WAY_COLOURS, (255, 3))
        return [0, 0, 0, *ways.flatten().tolist()]
