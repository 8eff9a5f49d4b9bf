from __future__ import annotations

import hashlib
import os
from abc import abstractmethod
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from mmengine.dataset import BaseDataset
from mmengine.fileio import load
from mmengine.logging import print_log
from mmengine.utils import is_abs

from mmwsfs.structures import LazyImage
from mmwsfs.utils.files import write_whole

from .episode import Episode, EpisodeKey, draw_classes, draw_supports
from .episode_file import read_episodes, write_episodes
from .partial_masks import choose_masked, read_masked
from .transforms import EpisodeTransform

PROTOCOLS = ('FS-CS', 'FS-S')


class FewShotDataset(BaseDataset):
    """Episodes over a list of (image, class) entries. A child says what the list is.

    An item is an episode. Test episode j, item j, is drawn with ``RandomState(j)`` by
    the published rule (see :meth:`draw`) or, with ``episodes``, read from a file; an
    :class:`EpisodeKey`, as the training sampler gives it, names query and seed.

    Args:
        split (str): 'trn', the base classes, or 'val', the novel ones.
        way (int): N. Defaults to 1.
        shot (int): K. Defaults to 1.
        num_episodes (int, optional): length of the dataset. Defaults to None, the
            number of entries.
        protocol (str): 'FS-CS', where a query may show none of the classes, or 'FS-S',
            where the first way is the query's own class. Defaults to 'FS-CS'.
        episodes (str, optional): episode file to replay; its length is the dataset's.
            Defaults to None.
        with_masks (bool): whether the images come with masks. If not, no mask file is
            looked at, and the class labels are the entries' or ``image_labels``'.
            Defaults to True.
        mask_ratio (float, optional): mixed supervision, the share of the images that
            carry masks, above 0 and up to 1, of every class at least one image; see
            :func:`~mmwsfs.datasets.partial_masks.choose_masked`. The others are as
            without masks: their mask files need not exist. Defaults to None, all.
        mask_seed (int): of the choice: with one seed, smaller shares are parts of
            larger ones. Defaults to 0.
        mask_list (str, optional): instead of ``mask_ratio`` a text file of the names
            of the images that carry masks, one a line, relative to ``data_root``; see
            :meth:`export_masked_images`. Defaults to None.
        image_labels (str, optional): JSON file of image name -> list of class names,
            relative to ``data_root``; used instead of the entries' labels. Defaults to
            None.
        restrict_to_existing (bool): leave out entries without their files, then
            classes with fewer than K + 1 images, and log the counts. The episodes are
            then other than the published ones. Defaults to False.
        **kwargs: further arguments of MMEngine's ``BaseDataset``: ``data_root``,
            ``data_prefix``, ``pipeline``, ``metainfo`` with other ``classes``, ...

    Raises:
        ValueError: unknown split or protocol; no entry; a class with fewer than K + 1
            images; more ways than classes; episodes of other lists; a share or list of
            masks that contradicts another argument or the entries.
        FileNotFoundError: an image or mask of an episode, or a list, is missing.
    """

    #: How the query of test episode j is drawn, for the reader of an episode file.
    QUERY_RULE = 'entry j modulo the list'
    #: Of the folds of a benchmark the one held out, None for other data.
    fold: int | None = None

    def __init__(self,
                 *,
                 split: str,
                 way: int = 1,
                 shot: int = 1,
                 num_episodes: int | None = None,
                 protocol: str = 'FS-CS',
                 episodes: str | None = None,
                 with_masks: bool = True,
                 mask_ratio: float | None = None,
                 mask_seed: int = 0,
                 mask_list: str | None = None,
                 image_labels: str | None = None,
                 restrict_to_existing: bool = False,
                 **kwargs) -> None:
        if split not in ('trn', 'val'):
            raise ValueError(f"unknown split {split!r}: choose 'trn' or 'val'")
        if protocol not in PROTOCOLS:
            raise ValueError(
                f'unknown protocol {protocol!r}: choose one of {PROTOCOLS}')
        if shot < 1:
            raise ValueError(f'shot={shot}: an episode needs at least one support')
        if num_episodes is not None and num_episodes < 1:
            raise ValueError(
                f'num_episodes={num_episodes}: give at least 1, or None for one '
                'episode an entry of the lists')
        partial = {name: value for name, value in dict(
            mask_ratio=mask_ratio, mask_list=mask_list).items() if value is not None}
        if len(partial) == 2 or (partial and not with_masks):
            raise ValueError(
                f'with_masks={with_masks} and {partial} contradict each other: masks '
                'for some images are with_masks=True with one of mask_ratio and '
                'mask_list')
        self.split = split
        self.way = way
        self.shot = shot
        self.num_episodes = num_episodes
        self.protocol = protocol
        self.episodes = episodes
        self.with_masks = with_masks
        self.mask_ratio = mask_ratio
        self.mask_seed = mask_seed
        self.mask_list = mask_list
        self.image_labels = image_labels
        self.restrict_to_existing = restrict_to_existing
        super().__init__(
            serialize_data=False, test_mode=split == 'val', **kwargs)

    # ------------------------------------------------------------ what a child says
    @abstractmethod
    def load_entries(self) -> list[tuple[str, int]]:
        """The (image name, class number from 1) entries, in the order of the list."""

    @abstractmethod
    def split_classes(self) -> list[int]:
        """Class numbers of the split, ascending."""

    @abstractmethod
    def source(self) -> str:
        """Where the entries come from, for messages."""

    @abstractmethod
    def missing_files(self, names: Iterable[str]) -> dict[str, str]:
        """Image name -> what is missing of it ("image 'PATH'"), for those lacking."""

    @abstractmethod
    def image_info(self, name: str) -> dict:
        """What the transforms need to load an image, ``img_path`` at least."""

    def image_name(self, path: str) -> str:
        """The name under which the entries know an image file."""
        return Path(path).stem

    def draw_query(self, number: int, rng: np.random.RandomState) -> dict:
        """The entry that is the query of test episode ``number``."""
        return self.data_list[number % len(self.data_list)]

    # ------------------------------------------------------------ loading
    def load_data_list(self) -> list[dict]:
        """One dict an entry: ``name`` and ``class_id``, all checked."""
        self.class_ids = self.split_classes()
        self.data_list = [
            dict(name=name, class_id=number) for name, number in self.load_entries()]
        # None: all. Of a share none, until it is known which images are there.
        self._masked = None if self.with_masks and self.mask_ratio is None else set()
        if self.mask_list is not None:
            self._masked = read_masked(
                self._under_root(self.mask_list),
                {entry['name'] for entry in self.data_list}, self.image_name)
        if self.restrict_to_existing:
            self._restrict()
        self.images_of: dict[int, list[str]] = {n: [] for n in self.class_ids}
        for entry in self.data_list:
            self.images_of[entry['class_id']].append(entry['name'])
        self._choose_masked()
        self.labels_of = self._labels()
        self._metainfo.update(
            class_ids=self.class_ids, fold=self.fold, way=self.way,
            shot=self.shot, protocol=self.protocol)
        self._replayed = None
        if self.episodes is not None:
            self._replayed = self._read_episodes(self._under_root(self.episodes))
        else:
            self._check_counts()
        self._check_files()
        return self.data_list

    def _choose_masked(self) -> None:
        """Settle which images carry masks, where not all do."""
        if self.mask_ratio is not None:
            self._masked = set(
                choose_masked(self.images_of, self.mask_ratio, self.mask_seed))
        elif self.mask_list is not None:
            self._masked &= {entry['name'] for entry in self.data_list}
        else:
            return
        bare = [self._class_name(number) for number, names in self.images_of.items()
                if self._masked.isdisjoint(names)]
        print_log(
            f"split '{self.split}' of '{self.source()}': {len(self._masked)} of "
            f"{len({entry['name'] for entry in self.data_list})} images carry masks; "
            f"none of {', '.join(bare) or 'no class'}", 'current')

    def has_mask(self, name: str) -> bool:
        """Whether an image carries a mask: what of others is on disk is not looked at.
        """
        return self._masked is None or name in self._masked

    @property
    def masked_images(self) -> list[str] | None:
        """Sorted names of the images that carry masks. None: all do."""
        self.full_init()
        return None if self._masked is None else sorted(self._masked)

    def export_masked_images(self, path: str | Path) -> None:
        """Write the names of the images that carry masks, one a line: a ``mask_list``.
        """
        self.full_init()
        names = sorted(filter(
            self.has_mask, {entry['name'] for entry in self.data_list}))
        write_whole(Path(path), ''.join(f'{name}\n' for name in names))

    def _read_episodes(self, path: Path) -> list[Episode]:
        entries = {entry['name'] for entry in self.data_list}

        def image_name(path: str) -> str:
            return path if path in entries else self.image_name(path)

        episodes = read_episodes(path, self._description(), image_name)
        for number, episode in enumerate(episodes):
            if episode.query not in self.labels_of and not self.has_mask(
                    episode.query):
                raise ValueError(
                    f"episode file '{path}', episode {number}: without masks the query "
                    f"'{episode.query}' has no class labels, since no list entry names "
                    'it: set with_masks=True or image_labels')
        return episodes

    def _under_root(self, path: str) -> Path:
        return Path(path if is_abs(path) else os.path.join(self.data_root, path))

    def _class_name(self, number: int) -> str:
        return f"class {number} ('{self.metainfo['classes'][number - 1]}')"

    def _restrict(self) -> None:
        """Keep the entries whose files exist, and classes with K + 1 images."""
        before = self.data_list
        names = dict.fromkeys(entry['name'] for entry in before)
        missing = self.missing_files(names)
        there = [entry for entry in before if entry['name'] not in missing]
        left: dict[int, set[str]] = {number: set() for number in self.class_ids}
        for entry in there:
            left[entry['class_id']].add(entry['name'])
        dropped = [number for number in left if len(left[number]) <= self.shot]
        self.class_ids = [number for number in left if number not in dropped]
        self.data_list = [e for e in there if e['class_id'] in self.class_ids]
        print_log(
            f"split '{self.split}' of '{self.source()}' is restricted to what exists: "
            f'{len(self.data_list)} of {len(before)} entries, '
            f'{len(names) - len(missing)} of {len(names)} images, '
            f'{len(self.class_ids)} of {len(left)} classes; fewer than '
            f'{self.shot + 1} images left for '
            f"{', '.join(map(self._class_name, dropped)) or 'none'}",
            'current')
        if not self.data_list:
            first = next(iter(missing.values()), 'none: the lists are too short')
            raise ValueError(
                f"nothing is left of split '{self.split}' of '{self.source()}': no "
                f'class has {self.shot + 1} images with their files; the first missing '
                f'is {first}')

    def _check_counts(self) -> None:
        for number, images in self.images_of.items():
            if len(set(images)) < self.shot + 1:
                raise ValueError(
                    f'{self._class_name(number)} has {len(set(images))} images in '
                    f"'{self.source()}', but {self.shot}-shot episodes need at least "
                    f'{self.shot + 1}: add images or lower the shot')
        if not 1 <= self.way <= len(self.images_of):
            raise ValueError(
                f'way={self.way} is not in 1..{len(self.images_of)}, the number of '
                f"classes in split '{self.split}'")

    def _check_files(self) -> None:
        """The files of what will be read are there.

        That is every entry in training, and the numbered episodes in testing: which
        images are there does not change what is drawn.
        """
        users = self._users()
        missing = self.missing_files(users)
        if missing:
            name, what = next(iter(missing.items()))
            mend = 'complete the data, or set restrict_to_existing=True (the episodes '\
                'are then other than the published ones)'
            if self.mask_ratio is not None:
                mend += '; images that have masks can be named by mask_list'
            raise FileNotFoundError(
                f"{len(missing)} of {len(users)} images that '{self.source()}' asks "
                f'for are not there or lack their masks. {users[name].capitalize()} '
                f'needs {what}: {mend}')

    def _users(self) -> dict[str, str]:
        """Image name -> the first entry, or test episode, that needs it."""
        users: dict[str, str] = {}
        if self.split == 'trn' and self._replayed is None:
            for number, entry in enumerate(self.data_list):
                users.setdefault(entry['name'], f'entry {number}')
        else:
            for number in range(self._length()):
                episode = self._numbered(number)
                for name in (episode.query, *sum(episode.supports, ())):
                    users.setdefault(name, f'episode {number}')
        return users

    def _labels(self) -> dict[str, set[int]]:
        """Image name -> classes: image-level labels."""
        labels: dict[str, set[int]] = {}
        if self.image_labels is None:
            for entry in self.data_list:
                labels.setdefault(entry['name'], set()).add(entry['class_id'])
            return labels
        path = self._under_root(self.image_labels)
        numbers = {name: i for i, name in enumerate(self.metainfo['classes'], 1)}
        for name, tags in load(str(path)).items():
            unknown = set(tags) - numbers.keys()
            if unknown:
                raise ValueError(
                    f"image-label file '{path}': image '{name}' has unknown classes "
                    f'{sorted(unknown)}; the dataset knows {sorted(numbers)}')
            labels[name] = {numbers[tag] for tag in tags}
        for entry in self.data_list:
            if entry['class_id'] not in labels.get(entry['name'], ()):
                raise ValueError(
                    f"image-label file '{path}' does not give image '{entry['name']}' "
                    f"class '{self.metainfo['classes'][entry['class_id'] - 1]}', for "
                    'which the split lists name it')
        return labels

    # ------------------------------------------------------------ episodes
    def _length(self) -> int:
        if self._replayed is not None:
            return len(self._replayed)
        return self.num_episodes or len(self.data_list)

    def __len__(self) -> int:
        self.full_init()
        return self._length()

    def draw(self, key: int | EpisodeKey) -> Episode:
        """Test episode j for a number j; for a key the episode that it names.

        The published rule: the query (:meth:`draw_query`), the classes
        (:func:`~mmwsfs.datasets.episode.draw_classes`), then the supports
        (:func:`~mmwsfs.datasets.episode.draw_supports`), all from one generator. A key
        that asks for an absent class gets the query's own where the query shows every
        class of the split.

        Raises:
            ValueError: a key is given to a dataset that replays a file's episodes.
        """
        self.full_init()
        if not isinstance(key, EpisodeKey):
            return self._numbered(key)
        if self._replayed is not None:
            raise ValueError(
                f"{key} names an episode to be drawn, but the dataset replays those of "
                f"'{self.episodes}': number them from 0 (EvalEpisodeSampler does)")
        rng = np.random.RandomState(key.seed)
        return self._complete(self.data_list[key.query], key.present, rng)

    def _numbered(self, number: int) -> Episode:
        if self._replayed is not None:
            return self._replayed[number]
        rng = np.random.RandomState(number)
        return self._complete(self.draw_query(number, rng), None, rng)

    def _complete(self, entry: dict, present: bool | None,
                  rng: np.random.RandomState) -> Episode:
        """Draw classes and supports for a query entry."""
        own = entry['class_id']
        if present is not None:
            shown = self.labels_of[entry['name']]
            absent = [number for number in self.class_ids if number not in shown]
            classes = (own if present or not absent else int(rng.choice(absent)), )
        elif self.protocol == 'FS-S':
            others = [number for number in self.class_ids if number != own]
            classes = (own, *rng.choice(others, self.way - 1, replace=False).tolist())
        else:
            classes = draw_classes(own, self.class_ids, self.way, rng)
        supports = draw_supports(
            entry['name'], classes, self.images_of, self.shot, rng)
        return Episode(entry['name'], supports, classes)

    def _description(self) -> dict:
        """What makes episodes comparable: the head of an episode file."""
        digest = hashlib.sha256()
        for entry in self.data_list:
            digest.update(f"{entry['name']}__{entry['class_id']}\n".encode())
        return dict(
            dataset=type(self).__name__,
            protocol=self.protocol,
            fold=self.metainfo['fold'],
            way=self.way,
            shot=self.shot,
            classes={str(number): self.metainfo['classes'][number - 1]
                     for number in self.class_ids},
            lists_sha256=digest.hexdigest())

    def export_episodes(self, path: str | Path) -> None:
        """Write the dataset's episodes as an episode file, to be replayed."""
        self.full_init()
        if self._replayed is not None:
            rule = f'replayed from {Path(self.episodes).name}'
        else:
            classes = (
                'its class, then N - 1 others evenly' if self.protocol == 'FS-S'
                else 'N classes, its own with p = 1/2, the others evenly')
            rule = (
                f'by NumPy RandomState(j): query, {self.QUERY_RULE}; {classes}; for '
                'each class images one at a time, the query and repetitions discarded')
        write_episodes(
            Path(path), dict(**self._description(), seed_rule=rule),
            [self._numbered(number) for number in range(len(self))])

    def _describe(self, key: int | EpisodeKey, episode: Episode) -> dict:
        labels = self.labels_of.get(episode.query, ())
        return dict(
            episode=key.seed if isinstance(key, EpisodeKey) else key,
            query=self._image(episode.query),
            supports=[
                [self._image(name) for name in names] for names in episode.supports],
            class_ids=list(episode.classes),
            presence=[number in labels for number in episode.classes],
            classes=self.metainfo['classes'])

    def _image(self, name: str) -> dict:
        image = dict(self.image_info(name), seg_fields=[])
        if self.with_masks and not self.has_mask(name):
            image['has_mask'] = False  # on purpose: mask loaders pass it by
        return image

    def __getitem__(self, key: int | EpisodeKey) -> dict:
        """The episode of a key (see :meth:`draw`), through the pipeline."""
        return self.pipeline(self._describe(key, self.draw(key)))

    def read_lazily(self) -> bool:
        """Leave pixels unread from now on, for a model that caches features.

        Returns:
            bool: whether that can be: the pipeline augments nothing.
        """
        transform = self._episode_transform()
        if transform is None or not transform.can_be_lazy:
            return False
        transform.lazy = True
        return True

    def lazy_images(self) -> list[LazyImage]:
        """The images of all episodes (in training: of all entries), each once."""
        self.full_init()
        transform = self._episode_transform()
        paths = [self.image_info(name)['img_path'] for name in self._users()]
        images = (
            loader.image(path)
            for loader in (transform.lazy_query, transform.lazy_support)
            for path in paths)
        return list({image.key: image for image in images}.values())

    def read_image(self, name: str) -> dict:
        """An image by itself through the supports' transforms, its pixels unread.

        Returns:
            dict: ``img``, a :class:`~mmwsfs.structures.LazyImage`, and what the
            transforms load of labels.

        Raises:
            ValueError: the transforms augment images.
        """
        transform = self._episode_transform()
        if transform is None or not transform.can_be_lazy:
            raise ValueError(
                'images are read one by one only through an EpisodeTransform that '
                'loads them and resizes them to one size (keep_ratio=False), and '
                'augments nothing: change the pipeline')
        return transform.lazy_support(
            dict(self._image(name), classes=self.metainfo['classes']))

    def _episode_transform(self) -> EpisodeTransform | None:
        return next((transform for transform in self.pipeline.transforms
                     if isinstance(transform, EpisodeTransform)), None)


def folder_content(folder: str, kind: str, mend: str) -> set[str]:
    """File names in a folder.

    Raises:
        FileNotFoundError: there is no such folder; ``mend`` says what to do.
    """
    try:
        return set(os.listdir(folder))
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{kind} folder '{folder}' does not exist: {mend}") from None
