from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.dataset import BaseDataset
from mmengine.utils import is_abs

from mmwsfs.argument_check import check_arguments
from mmwsfs.structures import LazyImage
from mmwsfs.utils.files import write_whole
from mmwsfs.utils.protocols import PROTOCOLS

from .entry_list import EntryList
from .episode import Episode, EpisodeKey
from .episode_choice import EpisodeChoice
from .episode_file import write_episodes
from .episode_pipeline import episode_pipeline
from .episode_source import DrawnEpisodes, EpisodeSource, ReplayedEpisodes
from .held_out import NO_HELD_OUT
from .object_size import SizedEpisodes, object_share
from .partial_masks import MaskChoice, refuse_old_arguments
from .transforms import EpisodeTransform


@check_arguments
class FewShotDataset(BaseDataset):
    """Episodes over a list of (image, class) entries. A child says what the list is.

    An item is an episode. Test episode j, item j, is drawn with ``RandomState(j)`` by
    the published rule (see :class:`~mmwsfs.datasets.episode_source.DrawnEpisodes`) or,
    with ``episodes``, read from a file; an :class:`.EpisodeKey`, as the training
    sampler gives it, names query and seed.

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
        masks (str | float): which images carry masks: 'all', 'none', a share of them
            above 0 and up to 1 (see
            :func:`~mmwsfs.datasets.partial_masks.choose_masked`), or those that a file
            'NAME.txt' below ``data_root`` names, one a line (see
            :meth:`export_masked_images`). Mask files of others need not exist.
            Defaults to 'all'.
        mask_seed (int): of the choice of a share: with one seed, smaller shares are
            parts of larger ones. Defaults to 0.
        support_masks (bool, optional): whether the masks of supports are loaded as the
            queries' are. Defaults to None: in 'trn', not in 'val'.
        bare_supports (float): of 'trn': the share, 0..1, of episodes whose supports
            come without the masks that they carry, as the photographs of somebody who
            draws none; an episode's own seed says which. For a model of supervision
            'mixed'. Defaults to 0.
        img_size (int, optional): pixels a side of all images, from which the pipeline
            is built; see :func:`~mmwsfs.datasets.episode_pipeline.episode_pipeline`.
            Defaults to None.
        pipeline (Sequence[dict], optional): transforms of an episode, instead of those
            that ``img_size`` and ``support_masks`` ask for. Defaults to None.
        restrict_to_existing (bool): leave out entries without their files, then
            classes with fewer than K + 1 images, and log the counts. The episodes are
            then other than the published ones. Defaults to False.
        selection (str): of which classes the episodes of 'val' are: 'novel', as in
            every test and as is published, or 'base', to choose a checkpoint fairly on
            photographs that neither training nor the test shows (see
            :func:`~mmwsfs.datasets.held_out.held_out_base`). Defaults to 'novel'.
        augmentation (str): of a test: 'partial' or 'full' takes held-out photographs of
            base classes as queries without a target (see
            :class:`~mmwsfs.datasets.augmented_episodes.AugmentedEpisodes`). Defaults to
            'none'.
        object_size (Sequence[float], optional): of a test: (low, high), the share of
            the image that the query's object covers, found from the masks of queries
            (see :class:`~mmwsfs.datasets.object_size.SizedEpisodes`); the episodes are
            those of ``num_episodes`` that are so. Defaults to None, all.
        **kwargs: further arguments of MMEngine's ``BaseDataset``: ``data_root``,
            ``data_prefix``, ``metainfo`` with other ``classes``, ...

    Raises:
        ValueError: an argument out of its range, or of the other split; neither image
            size nor pipeline; a class with fewer than K + 1 images; training images
            that all show all classes; episodes, or a list of masks, of other entries;
            no held-out photographs of base classes; a query without a mask to find its
            object's size from.
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
                 masks: str | float = 'all',
                 mask_seed: int = 0,
                 support_masks: bool | None = None,
                 bare_supports: float = 0.,
                 img_size: int | None = None,
                 pipeline: Sequence[dict | Callable] | None = None,
                 restrict_to_existing: bool = False,
                 selection: str = 'novel',
                 augmentation: str = 'none',
                 object_size: Sequence[float] | None = None,
                 **kwargs: Any) -> None:
        refuse_old_arguments(kwargs)
        if split not in ('trn', 'val'):
            raise ValueError(f"unknown split {split!r}: choose 'trn' or 'val'")
        if protocol not in PROTOCOLS:
            raise ValueError(
                f'unknown protocol {protocol!r}: choose one of {PROTOCOLS}')
        if support_masks not in (None, True, False):
            raise ValueError(
                f'support_masks={support_masks!r} must be True, False or None')
        if not 0 <= bare_supports <= 1 or (bare_supports and split != 'trn'):
            raise ValueError(
                f"bare_supports={bare_supports!r} is not in 0..1, of split 'trn': the "
                'share of training episodes whose supports come without masks')
        self.choice = EpisodeChoice(
            split, protocol, selection, augmentation, object_size)
        self.split = split
        self.way = way
        self.shot = shot
        self.num_episodes = num_episodes
        self.protocol = protocol
        self.episodes = episodes
        self.masked = MaskChoice(masks, mask_seed)
        self.support_masks = split == 'trn' if support_masks is None else support_masks
        self.bare_supports = bare_supports
        self.img_size = img_size
        self.restrict_to_existing = restrict_to_existing
        super().__init__(
            pipeline=self.default_pipeline() if pipeline is None else pipeline,
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

    @property
    def mask_loader(self) -> dict:
        """Config of the transform that loads the mask of an image."""
        return dict(type='LoadLabelMap')

    def image_name(self, path: str) -> str:
        """The name under which the entries know an image file."""
        return Path(path).stem

    def draw_query(self, number: int, rng: np.random.RandomState) -> dict:
        """The entry that is the query of test episode ``number``."""
        return self.data_list[number % len(self.data_list)]

    # ------------------------------------------------------------ loading
    def default_pipeline(self) -> list[dict]:
        """That of ``img_size`` and the masks; in testing the query's keeps its size."""
        mask = self.mask_loader if self.masked.any else None
        return episode_pipeline(
            self.img_size, query_mask=mask,
            support_mask=mask if self.support_masks else None,
            score_at_original_size=self.split == 'val')

    def load_data_list(self) -> list[dict]:
        """One dict an entry: ``name`` and ``class_id``, all checked."""
        if self.choice.selection == 'base':
            entries = self.load_base_entries()
            self.class_ids = sorted({number for _, number in entries})
        else:
            self.class_ids = self.split_classes()
            entries = self.load_entries()
        others = self.load_base_entries() if self.choice.augmented else []
        lists = EntryList(
            entries, self.class_ids, self.metainfo['classes'], self.split,
            self.source())
        self.masked.begin(self._under_root(''), lists, self.image_name)
        if self.restrict_to_existing:
            missing = self.missing_files(
                dict.fromkeys([*lists.labels_of, *(name for name, _ in others)]))
            others = [entry for entry in others if entry[0] not in missing]
            lists = lists.restricted(
                {name: what for name, what in missing.items()
                 if name in lists.labels_of}, self.shot)
        self.masked.settle(lists)
        self.entry_list = lists
        self.class_ids, self.data_list = lists.class_ids, lists.entries
        self.images_of, self.labels_of = lists.images_of, lists.labels_of
        self._metainfo.update(
            class_ids=self.class_ids, fold=self.fold, way=self.way,
            shot=self.shot, protocol=self.protocol, episode_choice=self.choice.words)
        known = self.labels_of.keys() | {name for name, _ in others}
        drawn = None if self.episodes is not None else self.choice.augment(
            DrawnEpisodes(
                lists, self.way, self.shot, self.protocol, self.draw_query,
                self.QUERY_RULE, self.num_episodes), others)
        self.episode_source: EpisodeSource = drawn or ReplayedEpisodes(
            self._under_root(str(self.episodes)), self._description(),
            lambda path: path if path in self.labels_of else self.image_name(path),
            lambda name: name in known or self.has_mask(name))
        # Of every entry in training, and of the numbered episodes in testing: which
        # images are there does not change what is drawn.
        users = self.episode_source.users()
        lists.check_files(users, self.missing_files(users))
        if drawn is not None and self.choice.object_size is not None:
            self.episode_source = SizedEpisodes(
                drawn, self.choice.object_size, self._object_share)
        return self.data_list

    def load_base_entries(self) -> list[tuple[str, int]]:
        """The entries of photographs of base classes that training does not see.

        Raises:
            ValueError: the data have none.
        """
        raise ValueError(NO_HELD_OUT.format(type(self).__name__))

    def _object_share(self, name: str, class_id: int) -> float:
        """The share of an image that its mask shows of a class."""
        if not self.has_mask(name):
            raise ValueError(
                f"object_size is found from the masks of queries, but '{name}' carries "
                f"none (masks={self.masked.masks!r}): set masks='all'")
        return object_share(
            dict(self._image(name), classes=self.metainfo['classes']), class_id,
            self.mask_loader)

    def has_mask(self, name: str) -> bool:
        """Whether an image carries a mask; nobody looks for the masks of others."""
        return name in self.masked

    @property
    def masked_images(self) -> list[str] | None:
        """Sorted names of the images that carry masks, None where all do."""
        self.full_init()
        return None if self.masked.names is None else sorted(self.masked.names)

    def export_masked_images(self, path: str | Path) -> None:
        """Write the names of the images that carry masks, one a line, as ``masks``
        reads them."""
        self.full_init()
        names = sorted(filter(self.has_mask, self.labels_of))
        write_whole(Path(path), ''.join(f'{name}\n' for name in names))

    def _under_root(self, path: str) -> Path:
        return Path(path if is_abs(path) else os.path.join(self.data_root, path))

    # ------------------------------------------------------------ episodes
    def __len__(self) -> int:
        self.full_init()
        return len(self.episode_source)

    def draw(self, key: int | EpisodeKey) -> Episode:
        """Test episode j for a number j; for a key the episode that it names.

        Raises:
            ValueError: a key is given to a dataset that replays a file's episodes.
        """
        self.full_init()
        return self.episode_source.draw(key)

    def _description(self) -> dict:
        """What makes episodes comparable: the head of an episode file."""
        return dict(
            dataset=type(self).__name__,
            **{key: self.metainfo[key] for key in ('protocol', 'fold', 'way', 'shot')},
            classes={str(number): self.metainfo['classes'][number - 1]
                     for number in self.class_ids},
            lists_sha256=self.entry_list.sha256(),
            **self.choice.other_than_published)

    def export_episodes(self, path: str | Path) -> None:
        """Write the dataset's episodes as an episode file, to be replayed."""
        self.full_init()
        write_episodes(
            Path(path), dict(**self._description(), seed_rule=self.episode_source.rule),
            [self.draw(number) for number in range(len(self))])

    def _image(self, name: str) -> dict:
        """An image as the transforms get it: :meth:`image_info`, and ``labels``, the
        sorted class numbers for which the lists name it."""
        image = dict(
            self.image_info(name), labels=sorted(self.labels_of.get(name, ())),
            seg_fields=[])
        if self.masked.partial and not self.has_mask(name):
            image['has_mask'] = False  # on purpose: mask loaders pass it by
        return image

    def __getitem__(self, key: int | EpisodeKey) -> dict:
        """The episode of a key (see :meth:`draw`), through the pipeline."""
        episode = self.draw(key)
        number = key.seed if isinstance(key, EpisodeKey) else key
        supports = [
            [self._image(name) for name in names] for names in episode.supports]
        # A generator beside the one that draws the episode, which stays as it is.
        if self.bare_supports > np.random.default_rng((number, 1)).random():
            for image in sum(supports, []):
                image['has_mask'] = False
        return self.pipeline(dict(
            episode=number,
            query=self._image(episode.query),
            supports=supports,
            class_ids=list(episode.classes),
            classes=self.metainfo['classes']))

    # ------------------------------------------------------------ images by themselves
    def known_classes(self, name: str) -> list[int]:
        """The class numbers of which it is known whether an image shows them."""
        return self.class_ids

    @property
    def can_be_lazy(self) -> bool:
        """Whether the pipeline augments nothing, so that pixels may stay unread."""
        return self._lazy_transform() is not None

    def read_lazily(self) -> bool:
        """Leave pixels unread, for a model that caches features, and say whether that
        can be: the pipeline augments nothing. Before worker processes begin."""
        transform = self._lazy_transform()
        if transform is not None:
            transform.lazy = True
        return transform is not None

    def lazy_images(self) -> list[LazyImage]:
        """The images of all episodes (in training: of all entries), each once.

        Raises:
            ValueError: the transforms augment images.
        """
        self.full_init()
        return self._reader().lazy_images([
            self.image_info(name)['img_path'] for name in self.episode_source.users()])

    def read_image(self, name: str) -> dict:
        """An image by itself through the supports' transforms, its pixels unread.

        Returns:
            dict: ``img``, a :class:`~mmwsfs.structures.LazyImage`, and what the
            transforms load of labels.

        Raises:
            ValueError: the transforms augment images.
        """
        return self._reader().lazy_support(
            dict(self._image(name), classes=self.metainfo['classes']))

    def _reader(self) -> EpisodeTransform:
        transform = self._lazy_transform()
        if transform is None:
            raise ValueError(
                'images are read one by one only through an EpisodeTransform that '
                'loads them and resizes them to one size (keep_ratio=False), and '
                'augments nothing: change the pipeline')
        return transform

    def _lazy_transform(self) -> EpisodeTransform | None:
        """The pipeline's, if an image has the same pixels every time."""
        return next((transform for transform in self.pipeline.transforms
                     if isinstance(transform, EpisodeTransform)
                     and transform.can_be_lazy), None)
