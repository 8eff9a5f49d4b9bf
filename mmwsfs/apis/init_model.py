from __future__ import annotations

import warnings
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmwsfs.models import EpisodeSegmentor, FewShotSegmentor
from mmwsfs.registry import MODELS
from mmwsfs.utils.state_dict import read_state_dict


def init_model(config: str | Path | Config,
               checkpoint: str | Path | None = None,
               device: str | torch.device = 'cpu') -> EpisodeSegmentor:
    """Build a config's model, ready to predict.

    Args:
        config: a config file, or what is read from one.
        checkpoint: file that training wrote. It is read without running anything in
            it, and must fit the model in every parameter, the backbone's included.
            None takes the backbone's weights from ``init_cfg``: all that a model
            without training needs, while CST's neck and heads stay untrained.
        device: such as 'cpu' or 'cuda'.

    Returns:
        EpisodeSegmentor: in evaluation mode; its config is ``model.cfg``.

    Raises:
        FileNotFoundError: the config or the checkpoint is missing.
        ValueError: the checkpoint is damaged, holds other objects than weights, or is
            of another model.
        TypeError: the config's model is no :class:`.EpisodeSegmentor`.
    """
    cfg = config if isinstance(config, Config) else Config.fromfile(config)
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmwsfs')):
        model = MODELS.build(cfg.model)
    if not isinstance(model, EpisodeSegmentor):
        raise TypeError(
            f'the model of the config is a {type(model).__name__}, but must be an '
            'EpisodeSegmentor, such as FewShotSegmentor')
    if checkpoint is None:
        model.init_weights()
        if isinstance(model, FewShotSegmentor):
            warnings.warn(
                'no checkpoint is given: the neck and the heads are untrained',
                stacklevel=2)
    else:
        weights = read_state_dict(checkpoint)
        try:
            model.load_state_dict(weights)
        except ValueError as error:
            raise ValueError(f"'{checkpoint}': {error}") from error
    model.cfg = cfg
    return model.to(device).eval()
