from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from torch import Tensor

from mmwsfs.models import EpisodeSegmentor, FewShotSegmentor
from mmwsfs.models.segmentors.published_backbone import BACKBONE
from mmwsfs.registry import MODELS
from mmwsfs.utils.carried_config import (
    backbone_sources,
    portable,
    predicting_part,
    registered,
)
from mmwsfs.utils.carried_config_text import parse_config
from mmwsfs.utils.checkpoint_file import read_checkpoint
from mmwsfs.utils.checkpoint_loaders import fetch
from mmwsfs.utils.config_file import PREFIX, config_path
from mmwsfs.utils.initialising import without_init
from mmwsfs.utils.quiet import quiet_building
from mmwsfs.utils.state_dict import MMENGINE, find_state_dict

from . import model_names

_REMOTE = re.compile(r'(https?|hf)://')
_CONFIGS = ('.py', '.json', '.yaml', '.yml')


class _Checkpoint(NamedTuple):
    """What is read of a checkpoint.

    Attributes:
        name: as the caller calls it.
        weights: its state dict.
        config: the text that it carries, or None.
    """

    name: str
    weights: dict[str, Tensor]
    config: str | None


def init_model(model: str | Path | Config,
               weights: str | Path | None = None,
               device: str | torch.device = 'cpu') -> EpisodeSegmentor:
    """Build a model, ready to predict.

    Args:
        model: one of

            - a name: 'cst-photos' or 'prototypes' (:mod:`mmwsfs.apis.model_names`). A
              name means the same in every folder: a file of this name is
              './cst-photos';
            - a config file, or ``mmwsfs::wsfs/NAME.py``, one that comes with mmwsfs;
            - what is read from a config file;
            - a checkpoint, ``.pth`` or ``.safetensors``, that carries its config: a
              path, an ``http(s)://`` URL or ``hf://OWNER/REPO/FILE[@REVISION]``. Its
              config is read, not run, and refused where it names files or code.
        weights: a checkpoint, see above. It is read without running anything in it, and
            must fit the model in every parameter; if the backbone was left out, it is
            taken from the config's ``init_cfg``. A config that it carries is not
            looked at. None takes those of ``model``, or, for a config, the backbone's
            alone: all that a model without training needs, while CST's neck and heads
            stay untrained, with a warning.
        device: such as 'cpu' or 'cuda'.

    Returns:
        EpisodeSegmentor: in evaluation mode; its config is ``model.cfg``.

    Raises:
        FileNotFoundError: the config or the checkpoint is missing.
        OSError: a file cannot be fetched.
        ValueError: the checkpoint is damaged, holds other objects than weights, is of
            another model, or carries no config where one is needed, or one that is
            refused; or ``model`` is no known name.
        TypeError: the config's model is no :class:`.EpisodeSegmentor`.
    """
    cfg, checkpoint = _config(model)
    carried_by = None if checkpoint is None or cfg is model else checkpoint.name
    if weights is not None:
        checkpoint = _read(weights)
    built = _build(cfg, checkpoint, carried_by)
    built.cfg = cfg
    return built.to(device).eval()


# ------------------------------------------------------------------------ what is meant
def _config(model: str | Path | Config) -> tuple[Config, _Checkpoint | None]:
    """The config that is meant, and the checkpoint that carries it, or goes with it."""
    if isinstance(model, Config):
        return model, None
    if isinstance(model, str) and model in model_names.MODELS:
        named = model_names.MODELS[model]
        path = model_names.named_weights(model)
        checkpoint = None if path is None else _read(path)
        if named.config is not None:
            return Config.fromfile(config_path(named.config)), checkpoint
        assert checkpoint is not None
        return _carried(checkpoint), checkpoint
    name = str(model)
    remote = bool(_REMOTE.match(name))
    if name.startswith(PREFIX) or name.split('#')[0].endswith(_CONFIGS):
        if remote:
            raise ValueError(
                f"'{name}' is a config, which would be run: it is not fetched; look at "
                'it, save it and give its path')
        return Config.fromfile(config_path(name)), None
    path = Path(name).expanduser()
    if not remote and not path.is_file() and not path.suffix:
        raise ValueError(model_names.not_found(name))
    checkpoint = _read(model)
    return _carried(checkpoint), checkpoint


def _read(weights: str | Path) -> _Checkpoint:
    """A checkpoint, to the CPU, without running anything in it."""
    name = str(weights)
    path = fetch(name)[0] if _REMOTE.match(name) else Path(name).expanduser()
    try:
        # Stays in the file until the model copies it: an optimizer is never read.
        content = read_checkpoint(path, inert=MMENGINE, mmap=True)
    except ValueError as error:
        if str(path) == name:
            raise
        raise ValueError(
            f"{error} (it is kept of '{name}': delete it to fetch it again)") from error
    found = find_state_dict(content)
    if found is None:
        raise ValueError(f"checkpoint '{name}' holds no state dict of tensors")
    meta = content.get('meta') if isinstance(content, Mapping) else None
    config = meta.get('cfg') if isinstance(meta, Mapping) else None
    return _Checkpoint(name, found, config if isinstance(config, str) else None)


def _carried(checkpoint: _Checkpoint) -> Config:
    """The config in a checkpoint, as far as predicting needs it.

    Raises:
        ValueError: there is none, or it is refused.
    """
    if checkpoint.config is None:
        raise ValueError(
            f"checkpoint '{checkpoint.name}' carries no config: give the config it was "
            f"trained with as well, init_model(CONFIG, '{checkpoint.name}')")
    values = predicting_part(
        parse_config(checkpoint.config, checkpoint.name), checkpoint.name)
    if not _has_backbone(checkpoint.weights):
        for source in backbone_sources(values):
            if not portable(source):
                raise ValueError(
                    f"checkpoint '{checkpoint.name}' leaves out its backbone, which "
                    f"its config takes from '{source}', a place that only its trainer "
                    'knows: give a config whose model.backbone.init_cfg.checkpoint '
                    'names the file, or get a checkpoint made with --with-backbone')
    with DefaultScope.overwrite_default_scope(values['default_scope']):
        with MODELS.switch_scope_and_registry(None) as registry:
            kind = registered(registry, values['model'].get('type', ''))
    if not (isinstance(kind, type) and issubclass(kind, EpisodeSegmentor)):
        raise TypeError(_no_segmentor(values['model'].get('type')))
    return Config(values)


# ------------------------------------------------------------------------ building
def _no_segmentor(kind: object) -> str:
    return (
        f'the model of the config is a {kind}, but must be an EpisodeSegmentor, such '
        'as FewShotSegmentor')


def _has_backbone(weights: Mapping[str, Tensor]) -> bool:
    return any(name.startswith(BACKBONE) for name in weights)


def _build(cfg: Config, checkpoint: _Checkpoint | None,
           carried_by: str | None) -> EpisodeSegmentor:
    """The config's model with its weights, on the CPU.

    Args:
        cfg: the config.
        checkpoint: the weights, or None.
        carried_by: the checkpoint that carried the config, or None.
    """
    scope = DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmwsfs'))
    with scope, quiet_building():
        # Is every weight read from a file?
        whole = checkpoint is not None and (
            _has_backbone(checkpoint.weights) or _loads_strictly(cfg.model))
        try:
            with without_init(whole):
                model = MODELS.build(cfg.model)
        except Exception as error:
            if carried_by is None:
                raise
            raise ValueError(
                f"the config that '{carried_by}' carries makes no model of this "
                f"release ({' '.join(f'{error}'.split())}): give a config beside the "
                'checkpoint, and see tools/model_converters/upgrade_checkpoint.py'
            ) from error
        if not isinstance(model, EpisodeSegmentor):
            raise TypeError(_no_segmentor(type(model).__name__))
        if checkpoint is not None:
            try:
                model.load_state_dict(checkpoint.weights)
            except ValueError as error:
                raise ValueError(f"'{checkpoint.name}': {error}") from error
            return model
        model.init_weights()
    if isinstance(model, FewShotSegmentor):
        warnings.warn(
            'no checkpoint is given: the neck and the heads are untrained',
            stacklevel=3)
    return model


def _loads_strictly(model: Mapping[str, Any]) -> bool:
    """Whether a model's backbone fills itself wholly from its own file."""
    backbone = model.get('backbone') or {}
    init, kind = backbone.get('init_cfg') or {}, backbone.get('type')
    built = MODELS.get(kind) if isinstance(kind, str) else kind
    return isinstance(init, Mapping) and init.get('type') == 'Pretrained' and (
        getattr(built, 'loads_strictly', False))
