"""Configs, whatever stands in them: a model or data set, or one clear error."""
from __future__ import annotations

import copy
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from one_clear_error import few

from mmwsfs.datasets import Pascal5iDataset
from mmwsfs.models import FewShotSegmentor
from mmwsfs.registry import MODELS

VALUES = (None, 'x', '', -1, 0, 1.5, float('nan'), float('inf'), True, [], [-1], ['a'],
          [None], {}, 10**30)
# (part of the model, argument): those that a config may get wrong.
ARGUMENTS = [
    ('backbone', 'img_size'), ('backbone', 'patch_size'), ('backbone', 'frozen'),
    ('backbone', 'num_registers'), ('backbone', 'out_indices'), ('neck', 'channels'),
    ('neck', 'kernels'), ('neck', 'standardise'), ('cls_head', 'channels'),
    ('seg_head', 'channels'), ('labeler', 'adaptive'), ('labeler', 'threshold'),
    ('labeler', 'affinity'), ('', 'supervision'), ('', 'backbone'), ('', 'neck'),
    ('', 'cls_head'), ('', 'seg_head'), ('cache', 'ram_gb'), ('cache', 'disk_gb'),
    ('cache', 'storage')]


def change(model: dict, part: str, argument: str, value: object) -> dict:
    changed = copy.deepcopy(model)
    changed['cache'] = dict(ram_gb=0.01)
    changed['supervision'] = 'image'
    (changed[part] if part else changed)[argument] = value
    return changed


@few
@given(st.sampled_from(ARGUMENTS), st.sampled_from(VALUES))
@example(('neck', 'channels'), [])
@example(('backbone', 'patch_size'), 0)
@example(('backbone', 'num_registers'), -1)
def test_values(tiny_model: dict, where: tuple[str, str], value: object) -> None:
    """The argument is named, whatever is wrong with it."""
    try:
        model = MODELS.build(change(tiny_model, *where, value))
    except (ValueError, KeyError) as error:
        assert where[1] in str(error) or '"type"' in str(error)
        assert type(error) in (ValueError, KeyError)
    else:
        assert isinstance(model, FewShotSegmentor)


@pytest.mark.parametrize(('part', 'argument', 'value'), [
    ('backbone', 'img_size', '32'), ('backbone', 'patch_size', 0),
    ('backbone', 'frozen', 'yes'), ('neck', 'channels', [16, -16]),
    ('neck', 'kernels', [True, True]), ('neck', 'channels', 16),
    ('cls_head', 'channels', []), ('labeler', 'threshold', 'high'),
    ('labeler', 'adaptive', float('nan')), ('', 'neck', 'CorrelationTransformer'),
    ('cache', 'ram_gb', '1')])
def test_nonsense_is_refused(
        tiny_model: dict, part: str, argument: str, value: object) -> None:
    """A number in quotation marks is none, nor is a truth value; the value is named."""
    with pytest.raises(ValueError) as error:
        MODELS.build(change(tiny_model, part, argument, value))
    assert f'{argument}={value!r}' in str(error.value)


@few
@given(st.sampled_from(['', 'backbone', 'neck', 'cls_head', 'seg_head', 'labeler']),
       st.from_regex('[a-z]{3,8}_', fullmatch=True))
def test_typos(tiny_model: dict, part: str, name: str) -> None:
    """What is no argument, and what is no component, is named."""
    with pytest.raises(TypeError, match=f"unexpected keyword argument '{name}'"):
        MODELS.build(change(tiny_model, part, name, 1))
    with pytest.raises(KeyError, match=name):
        MODELS.build(change(tiny_model, part, 'type', name))


@few
@given(st.sampled_from([
    'fold', 'way', 'shot', 'num_episodes', 'split', 'masks', 'mask_seed', 'protocol',
    'img_size', 'support_masks', 'episodes', 'lists', 'restrict_to_existing']),
    st.sampled_from(VALUES))
@example('shot', '1')
@example('fold', True)
@example('mask_seed', 2**32)
def test_data_sets(tiny_voc: Path, argument: str, value: object) -> None:
    settings = dict(
        data_root=str(tiny_voc), lists='splits/tiny', fold=0, split='val', img_size=32)
    try:
        dataset = Pascal5iDataset(**{**settings, argument: value})
    except (ValueError, FileNotFoundError) as error:
        assert type(error) in (ValueError, FileNotFoundError)
        assert argument in str(error) or argument in ('episodes', 'lists') or (
            argument == 'img_size' and 'pipeline' in str(error)), str(error)
    else:
        assert len(dataset) > 0 and dataset.draw(0).query
