from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence

from mmengine.logging import print_log


class EntryList:
    """The (image, class) entries of a split, and the labels that follow from them.

    Args:
        entries: (image name, class number from 1), in the order of the lists. An image
            of several classes has an entry for each.
        class_ids: class numbers of the split, ascending.
        class_names: names of the classes 1, 2, ...
        split: 'trn' or 'val'.
        source: where the entries come from, for messages.

    Attributes:
        entries: one dict an entry, ``name`` and ``class_id``.
        images_of: class number -> names of its images, in the order of the entries.
        labels_of: image name -> its class numbers: the image-level labels.
    """

    def __init__(self, entries: Sequence[tuple[str, int]], class_ids: list[int],
                 class_names: Sequence[str], split: str, source: str) -> None:
        self.entries: list[dict] = [
            dict(name=name, class_id=number) for name, number in entries]
        self.class_ids = class_ids
        self.class_names = class_names
        self.split = split
        self.source = source
        self.images_of: dict[int, list[str]] = {number: [] for number in class_ids}
        self.labels_of: dict[str, set[int]] = {}
        for name, number in entries:
            self.images_of[number].append(name)
            self.labels_of.setdefault(name, set()).add(number)

    def __str__(self) -> str:
        return f"split '{self.split}' of '{self.source}'"

    def class_name(self, number: int) -> str:
        """A class by number and name, for messages."""
        return f"class {number} ('{self.class_names[number - 1]}')"

    def restricted(self, missing: dict[str, str], shot: int) -> EntryList:
        """The entries whose files exist, of classes with K + 1 images; logs counts.

        Args:
            missing: image name -> what is missing of it.
            shot: K.

        Raises:
            ValueError: nothing is left.
        """
        images = {
            number: {name for name in names if name not in missing}
            for number, names in self.images_of.items()}
        left = [number for number in images if len(images[number]) > shot]
        dropped = [number for number in images if number not in left]
        kept = [
            (entry['name'], entry['class_id']) for entry in self.entries
            if entry['name'] not in missing and entry['class_id'] in left]
        names = self.labels_of
        print_log(
            f'{self} is restricted to what exists: '
            f'{len(kept)} of {len(self.entries)} entries, '
            f'{len(names) - len(missing)} of {len(names)} images, '
            f'{len(left)} of {len(images)} classes; fewer than {shot + 1} images left '
            f"for {', '.join(map(self.class_name, dropped)) or 'none'}", 'current')
        if not kept:
            first = next(iter(missing.values()), 'none: the lists are too short')
            raise ValueError(
                f'nothing is left of {self}: no class has {shot + 1} images with their '
                f'files; the first missing is {first}')
        return EntryList(kept, left, self.class_names, self.split, self.source)

    def check_counts(self, way: int, shot: int) -> None:
        """That N-way K-shot episodes can be drawn.

        Raises:
            ValueError: K is less than 1, a class has fewer than K + 1 images, or there
                are fewer than N classes.
        """
        if shot < 1:
            raise ValueError(f'shot={shot}: an episode needs at least one support')
        for number, images in self.images_of.items():
            if len(set(images)) < shot + 1:
                raise ValueError(
                    f'{self.class_name(number)} has {len(set(images))} images in '
                    f"'{self.source}', but {shot}-shot episodes need at least "
                    f'{shot + 1}: add images or lower the shot')
        if not 1 <= way <= len(self.images_of):
            raise ValueError(
                f'way={way} is not in 1..{len(self.images_of)}, the number of classes '
                f"in split '{self.split}'")

    def check_contrast(self, protocol: str) -> None:
        """That images lack some class of the split, so that there is absence to learn
        in training and to test under FS-CS. Warns where that is so in part, or only
        the test suffers.

        Raises:
            ValueError: every training image shows every class of the split.
        """
        full = sum(len(shown) == len(self.class_ids)
                   for shown in self.labels_of.values())
        if not full:
            return
        names = ', '.join(map(self.class_name, self.class_ids))
        if self.split == 'val':
            if full == len(self.labels_of) and protocol == 'FS-CS':
                print_log(
                    f'every query of {self} shows {names}, all its classes, so that '
                    'presence is not tested: add images of at least one other class',
                    'current', logging.WARNING)
        elif full == len(self.labels_of):
            raise ValueError(
                f'every image of {self} shows {names}, all its classes, so that '
                "training can only learn 'present': add images of at least one other "
                'class, or predict without training: mmwsfs predict cst-photos')
        else:
            print_log(
                f'{full} of {len(self.labels_of)} images of {self} show all its '
                "classes: as queries they can only be 'present', also where paired "
                'training asks for a class that they do not show', 'current',
                logging.WARNING)

    def check_files(self, users: dict[str, str], missing: dict[str, str]) -> None:
        """That the files are there that will be read.

        Args:
            users: image name -> the first entry or episode that needs it.
            missing: image name -> what is missing of it.

        Raises:
            FileNotFoundError: something is missing.
        """
        if missing:
            name, what = next(iter(missing.items()))
            lists = '' if what.startswith('image ') else (
                " name the images that have masks in a list (masks='NAME.txt'),")
            raise FileNotFoundError(
                f"{len(missing)} of {len(users)} images that '{self.source}' asks for "
                f'are not there or lack their masks. {users[name].capitalize()} needs '
                f'{what}: complete the data,{lists} or set restrict_to_existing=True '
                '(the episodes are then other than the published ones)')

    def first_entries(self) -> dict[str, str]:
        """Image name -> 'entry i', the first that names it."""
        users: dict[str, str] = {}
        for number, entry in enumerate(self.entries):
            users.setdefault(entry['name'], f'entry {number}')
        return users

    def sha256(self) -> str:
        """Digest of the entries and their order: which lists they are."""
        digest = hashlib.sha256()
        for entry in self.entries:
            digest.update(f"{entry['name']}__{entry['class_id']}\n".encode())
        return digest.hexdigest()
