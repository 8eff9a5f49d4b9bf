"""What mmseg's registry says of our data sets where a tool asks it alone.

mmseg's ``browse_dataset.py`` builds a config's data set in mmseg's own scope, whatever
the config says, and would find none of that name. Importing this module, which
``mmwsfs`` does once mmseg's registry is there, gives it a sentence to find. In our
scope our registry, which goes first, has the data sets themselves.
"""

from __future__ import annotations

from typing import Any, NoReturn

from mmseg.registry import DATASETS

NAMES = ('Coco20iDataset', 'DemoShapesDataset', 'FewShotConcatDataset',
         'FewShotFolderDataset', 'Pascal5iDataset')


def _refuse(name: str) -> None:
    def refuse(**settings: Any) -> NoReturn:
        raise ValueError(
            f"'{name}' is of mmwsfs and gives episodes, where mmseg's own scope is "
            "asked for single images: 'mmwsfs browse CONFIG' draws episodes; in a "
            f"config of mmseg's write 'mmwsfs.{name}'")

    DATASETS.register_module(name=name, module=refuse)


for _name in NAMES:
    _refuse(_name)
