"""Checkpoints, whatever they are called and hold: weights, or one clear error."""
from __future__ import annotations

import io
from collections import OrderedDict
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader
from one_clear_error import damaged, few, one_clear_error

from mmwsfs.models import PseudoLabelEnhancer
from mmwsfs.models.backbones.dino_checkpoint import read_state_dict as read_backbone
from mmwsfs.utils.checkpoint_file import read_checkpoint
from mmwsfs.utils.state_dict import find_state_dict, read_state_dict


def saved(content: object, zipped: bool = True) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=zipped)
    return buffer.getvalue()


WEIGHTS = dict(state_dict=OrderedDict(
    {'a.weight': torch.arange(6.).reshape(2, 3), 'a.bias': torch.ones(2)}), iter=3)
WHOLE = st.sampled_from([saved(WEIGHTS), saved(WEIGHTS, zipped=False)])


@few
@given(WHOLE.flatmap(damaged))
@example(b'')
@example(b'\x80\x02.')
@example(b'PK\x05\x06' + bytes(18))  # an empty zip file
def test_damaged_files(tmp_path: Path, content: bytes) -> None:
    """What is read has names and tensors; checksums are torch's affair."""
    path = tmp_path / 'damaged.pth'
    path.write_bytes(content)
    for read in (read_state_dict, read_backbone):
        with one_clear_error(str(path)):
            assert all(isinstance(name, str) and isinstance(value, torch.Tensor)
                       for name, value in read(str(path)).items())
    with one_clear_error(str(path)):
        CheckpointLoader.load_checkpoint(str(path), map_location='cpu')


@few
@given(st.text(max_size=12) | st.sampled_from([
    '~', '~nobody/x', '.', '..', '/', '/dev/null', '/dev/zero', 's3://x', 'pypi://',
    'pypi://x==1', 'file:///etc/passwd', 'ftp://x', 'http://', 'http://[', 'x' * 300,
    'https://127.0.0.1:1/x.pth', 'pavi://x', 'torchvision://x', 'open-mmlab://x']))
def test_names_of_files(name: str) -> None:
    """None exists: the name is in the message."""
    for read in (read_backbone, CheckpointLoader.load_checkpoint):
        with pytest.raises((OSError, ValueError, ImportError)) as error:
            read(name)
        if name not in ('~', '') and not isinstance(error.value, ImportError):
            assert Path(name).name in str(error.value) or repr(name)[1:-1] in str(
                error.value)


values = st.recursive(
    st.none() | st.integers() | st.text(max_size=3)
    | st.sampled_from([torch.ones(2), torch.tensor(1), torch.ones(1).to_sparse()]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(
        st.sampled_from(['state_dict', 'model', 'teacher', 'a', 3]), inner, max_size=3),
    max_leaves=8)


@few
@given(values)
def test_content(tmp_path: Path, content: object) -> None:
    """A state dict is found, or it is said that there is none."""
    path = tmp_path / 'content.pth'
    torch.save(content, path)
    with one_clear_error(str(path)):
        assert all(isinstance(name, str) and isinstance(value, torch.Tensor)
                   for name, value in read_state_dict(path).items())


def test_a_checkpoint_that_holds_itself(tmp_path: Path) -> None:
    """It is not followed for ever."""
    content = dict(a=torch.ones(1))
    content['model'] = content
    torch.save(content, tmp_path / 'ring.pth')
    with pytest.raises(ValueError, match=r'ring\.pth. holds no state dict'):
        read_state_dict(tmp_path / 'ring.pth')
    assert find_state_dict(content) is None


def test_a_zip_bomb(tmp_path: Path) -> None:
    """PyTorch packs nothing: what unpacks to more than it is, is none of its files."""
    path = tmp_path / 'bomb.pth'
    torch.save(dict(a=torch.zeros(10**6)), tmp_path / 'plain.pth')
    with ZipFile(tmp_path / 'plain.pth') as plain, ZipFile(
            path, 'w', ZIP_DEFLATED) as packed:
        for part in plain.infolist():
            packed.writestr(part.filename, plain.read(part))
    assert path.stat().st_size < 10**5
    assert torch.load(path, weights_only=True)['a'].numel() == 10**6
    with pytest.raises(ValueError, match=r'bomb\.pth. is truncated, or is no PyTorch'):
        read_checkpoint(path)


@few
@given(st.data())
def test_weights_of_another_network(tmp_path: Path, data: st.DataObject) -> None:
    """Names and shapes that do not fit are named, and nothing is loaded."""
    model = PseudoLabelEnhancer(1, init_cfg=dict(
        type='Pretrained', checkpoint=str(tmp_path / 'other.pth')))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    weights = {name: value + 1 for name, value in before.items()}
    name = data.draw(st.sampled_from(sorted(weights)))
    kind = data.draw(st.sampled_from(['missing', 'unknown', 'shape', 'scalar', 'good']))
    if kind == 'missing':
        del weights[name]
    elif kind == 'unknown':
        weights[name := data.draw(st.text(max_size=9))] = torch.ones(1)
    elif kind in ('shape', 'scalar'):
        weights[name] = torch.ones(data.draw(
            st.lists(st.integers(0, 3), min_size=1, max_size=4))
            if kind == 'shape' else ())
    torch.save(weights, tmp_path / 'other.pth')
    if kind == 'good':
        model.init_weights()
        assert all(torch.equal(value, before[name] + 1)
                   for name, value in model.state_dict().items())
        return
    with pytest.raises(ValueError, match=r'other\.pth. does not fit') as error:
        model.init_weights()
    assert name in str(error.value)
    assert all(torch.equal(value, before[name])
               for name, value in model.state_dict().items())


class Reach:
    """Takes an attribute of something when it is unpickled."""

    def __init__(self, *call: object) -> None:
        self.call = call

    def __reduce__(self):
        return getattr, self.call


@pytest.mark.parametrize('call', [
    (getattr, '__self__'), (HistoryBuffer, '__init__'), (HistoryBuffer, 'absent'),
    ('text', 'format'), (HistoryBuffer, '__dict__')])
def test_getattr_reaches_nothing(tmp_path: Path, call: tuple) -> None:
    """MMEngine lets files call it, for the statistics of its log. By it a file gets
    hold of ``exec``, for one: the module of ``getattr`` is builtins."""
    path = tmp_path / 'reach.pth'
    torch.save(dict(state_dict=dict(a=torch.ones(1)), hook=Reach(*call)), path)
    with pytest.raises(ValueError, match=r'reach\.pth. is refused.*builtins.getattr'):
        CheckpointLoader.load_checkpoint(str(path))


def test_the_history_of_a_log(tmp_path: Path) -> None:
    """It comes as MMEngine wrote it, with its statistics."""
    history = HistoryBuffer([1., 3.], [1, 1])
    state = dict(history=history, statistic=Reach(HistoryBuffer, 'mean'))
    torch.save(state, tmp_path / 'log.pth')
    read = CheckpointLoader.load_checkpoint(str(tmp_path / 'log.pth'))
    assert read['history'].statistics('mean') == 2
    assert read['statistic'] is HistoryBuffer.mean
