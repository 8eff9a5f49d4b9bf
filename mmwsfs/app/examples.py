"""The page's examples: photographs that come inside gradio itself (Apache-2.0)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Example:
    """What a click on an example fills in.

    Attributes:
        label: on its button.
        name: of the one class.
        supports, negatives, queries: files.
    """

    label: str
    name: str
    supports: list[str]
    negatives: list[str]
    queries: list[str]


def find_examples(folder: Path) -> list[Example]:
    """The examples whose photographs are all there.

    Args:
        folder: ``media_assets/images`` of gradio.
    """
    cheetah, other, lion, tower = (
        str(folder / name)
        for name in ('cheetah.jpg', 'cheetah1.jpg', 'lion.jpg', 'tower.jpg'))
    examples = [
        Example('Cheetahs', 'cheetah', [other], [], [cheetah, lion, tower]),
        Example('Cheetahs, not lions', 'cheetah', [other], [lion],
                [cheetah, lion, tower])]
    return [example for example in examples if all(map(
        lambda path: Path(path).is_file(),
        [*example.supports, *example.negatives, *example.queries]))]
