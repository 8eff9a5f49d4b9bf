from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import torch
from mmengine.dataset import Compose
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.structures import PixelData
from torch import Tensor

from mmwsfs.datasets.transforms import LoadTags
from mmwsfs.models.build_part import build_part
from mmwsfs.models.position_subspace import PositionSubspace
from mmwsfs.models.pseudo_labels.tag_labels import class_support, label_by_tags
from mmwsfs.registry import HOOKS, MODELS
from mmwsfs.structures import VOID, ViTFeatures

from .bare_model import bare_model


@HOOKS.register_module()
class TagSupervisionHook(Hook):
    """Lets an ordinary segmentor of mmseg learn from tags: no mask is opened.

    Before a training step it puts pseudo-masks, of a labeler on a frozen backbone, into
    the batch as ``gt_sem_seg``, where masks would be; see
    :func:`~mmwsfs.models.pseudo_labels.tag_labels.label_by_tags`. The model knows
    nothing of it. The images are labelled as the augmentations left them, in a pass of
    their own through the backbone. ``label_foreground`` and ``label_void`` in the log
    are shares of pixels, in 0..1.

    The training pipeline has :class:`~mmwsfs.datasets.LoadTags` in the place of
    ``LoadAnnotations``, and ``'tags'`` among the ``meta_keys`` of ``PackSegInputs``;
    its images are of one size. Validation is as ever.

    As training begins a support of every class is made: of its first ``shots`` images
    with that tag alone or, with a warning, with the fewest others. Nothing is drawn, so
    ranks and resumed runs have the same.

    Args:
        labeler (dict): makes pseudo-masks, an
            :class:`~mmwsfs.models.AttentionLabeler`; with ``adaptive``, since the mean
            of several supports gives cosines of another range.
        pipeline (Sequence[dict]): transforms of a support: those of training without
            what is random.
        shots (int): images a class, at most. Defaults to 5.
        backbone (dict, optional): what labels, frozen, for images normalised by the
            model's ``data_preprocessor``. Defaults to None, the model's own.
    """

    def __init__(self,
                 labeler: dict,
                 pipeline: Sequence[dict],
                 shots: int = 5,
                 backbone: dict | None = None) -> None:
        self.labeler_config = labeler
        self.pipeline = Compose(pipeline)
        self.shots = shots
        self.backbone_config = backbone

    def before_train(self, runner: Runner) -> None:
        """Build what labels, and the support of every class.

        Raises:
            ValueError: the backbone is not frozen or gives no features; the training
                data have no tags, or one that is no class of theirs.
        """
        model = bare_model(runner)
        self._model = model
        self._backbone = self._find_backbone(model)
        sizes = {name: getattr(self._backbone, name)
                 for name in ('num_layers', 'num_heads', 'embed_dims')}
        device = next(model.parameters()).device
        self._positions = PositionSubspace(self._backbone)
        self._labeler = build_part(self.labeler_config, **sizes).to(device).eval()
        dataset = runner.train_dataloader.dataset
        names = dataset.metainfo['classes']
        self._numbers = {name: number for number, name in enumerate(names)}
        self._background = self._numbers.get('background', VOID)
        self._supports = self._class_supports(runner)

    def _find_backbone(self, model: Any) -> Any:
        if self.backbone_config is None:
            backbone = model.backbone
        else:
            backbone = MODELS.build(self.backbone_config)
            backbone.init_weights()
            backbone.to(next(model.parameters()).device)
        if not (hasattr(backbone, 'extract') and getattr(backbone, 'frozen', False)):
            raise ValueError(
                f'TagSupervisionHook labels with a frozen backbone that has extract, '
                f'which {type(backbone).__name__} of the model is not: set its '
                'backbone=dict(type=\'mmwsfs.DINOVisionTransformer\', ...)')
        return backbone

    def _class_numbers(self, tags: Sequence[str], where: str) -> list[int]:
        unknown = [tag for tag in tags
                   if self._numbers.get(tag, self._background) == self._background]
        if unknown:
            raise ValueError(
                f'{where} has the tags {unknown}, which are no classes of the data '
                f'set: they are {sorted(set(self._numbers) - {"background"})}')
        return [self._numbers[tag] for tag in tags]

    def _class_supports(self, runner: Runner) -> dict[int, ViTFeatures]:
        dataset = runner.train_dataloader.dataset
        loader = next(
            (transform for transform in dataset.pipeline.transforms
             if isinstance(transform, LoadTags)), None)
        if loader is None:
            raise ValueError(
                'TagSupervisionHook needs tags: put LoadTags into the pipeline of '
                "train_dataloader.dataset, and 'tags' into meta_keys of PackSegInputs")
        carrying: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for index in range(len(dataset)):
            path = dataset.get_data_info(index)['img_path']
            numbers = self._class_numbers(loader.tags_of(path), f"'{path}'")
            for number in numbers:
                carrying[number].append((len(numbers), index))
        names = dataset.metainfo['classes']
        supports = {}
        for number, images in sorted(carrying.items()):
            fewest = min(images)[0]
            if fewest > 1:
                runner.logger.warning(
                    f"no image is tagged '{names[number]}' alone: images of {fewest} "
                    'tags stand for it, and its pseudo-masks will be poor')
            chosen = [index for count, index in images if count == fewest]
            supports[number] = class_support(self._extract([
                self.pipeline(dataset.get_data_info(index))['inputs']
                for index in chosen[:self.shots]]))
        runner.logger.info(f'supports of {len(supports)} classes are made')
        return supports

    @torch.no_grad()
    def _extract(self, images: list[Tensor]) -> ViTFeatures:
        inputs = self._model.data_preprocessor(dict(inputs=images), False)['inputs']
        return self._positions.for_labeler(
            self._backbone.extract(inputs).without_tokens(),
            (inputs.shape[-2], inputs.shape[-1]), self._labeler)

    def before_train_iter(self, runner: Runner, batch_idx: int,
                          data_batch: dict | None = None) -> None:
        """Label the images of the batch.

        Raises:
            ValueError: they have masks already, or no tags.
        """
        assert data_batch is not None
        samples = data_batch['data_samples']
        for sample in samples:
            if 'gt_sem_seg' in sample:
                raise ValueError(
                    'TagSupervisionHook makes the masks, but the training data carry '
                    'some: take LoadAnnotations out of the training pipeline')
            if 'tags' not in sample:
                raise ValueError(
                    "the batch carries no tags: put LoadTags into the training "
                    "pipeline, and 'tags' into meta_keys of PackSegInputs")
        features = self._extract(data_batch['inputs'])
        with torch.no_grad():
            labels = label_by_tags(
                self._labeler, features,
                [self._class_numbers(sample.tags, f"'{sample.img_path}'")
                 for sample in samples],
                self._supports, tuple(data_batch['inputs'][0].shape[-2:]),
                self._background)
        for sample, label in zip(samples, labels):
            sample.gt_sem_seg = PixelData(data=label.long()[None])
        void = labels == VOID
        hub = runner.message_hub
        hub.update_scalar('train/label_void', void.float().mean().item())
        hub.update_scalar(
            'train/label_foreground',
            ((labels != self._background) & ~void).float().mean().item())
