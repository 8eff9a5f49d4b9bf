"""hf://OWNER/REPO/FILE: which URL is asked for, what is kept, what is said."""
from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import CheckpointLoader
from web_server import Answer, body, redirect, serve

from mmwsfs.apis import init_model
from mmwsfs.utils.hugging_face import hf_file


@pytest.fixture(autouse=True)
def no_token(monkeypatch) -> None:
    """Whoever runs the tests keeps it."""
    monkeypatch.delenv('HF_TOKEN', raising=False)


def status(code: int) -> Answer:
    def answer(handler) -> None:
        handler.send_error(code)
    return answer


@pytest.mark.parametrize(('address', 'path'), [
    ('hf://a/b/c.safetensors', '/a/b/resolve/main/c.safetensors'),
    ('hf://a/b.1/d/c.pth@v1.0', '/a/b.1/resolve/v1.0/d/c.pth'),
    ('hf://a/b/c.pth@refs/pr/1', '/a/b/resolve/refs%2Fpr%2F1/c.pth'),
])
def test_address(tmp_path: Path, monkeypatch, address: str, path: str) -> None:
    """Owner, repository, file in its folder, and revision; fetched once."""
    with serve(status(500), {path: body(b'content')}) as url:
        monkeypatch.setenv('HF_ENDPOINT', url)
        file, fetched = hf_file(address, tmp_path)
        assert fetched and file.read_bytes() == b'content'
        assert file.name == path.split('/')[-1] and tmp_path in file.parents
        assert hf_file(address, tmp_path) == (file, False)


def test_files_of_the_same_name(tmp_path: Path, monkeypatch) -> None:
    """Of two repositories are two files."""
    with serve(status(404), {
            f'/{owner}/b/resolve/main/model.safetensors': body(owner.encode())
            for owner in ('x', 'y')}) as url:
        monkeypatch.setenv('HF_ENDPOINT', url)
        for owner in ('x', 'y'):
            file, _ = hf_file(f'hf://{owner}/b/model.safetensors', tmp_path)
            assert file.read_text() == owner


@pytest.mark.parametrize('code', [401, 403, 404])
def test_gated_and_missing(tmp_path: Path, monkeypatch, code: int) -> None:
    """One sentence that says how to get the file; nothing is kept."""
    with serve(status(code)) as url:
        monkeypatch.setenv('HF_ENDPOINT', url)
        with pytest.raises(OSError, match=(
                f'hf://a/b/c.pth.*status {code}.*look at {url}/a/b, accept its terms'
                '.*set HF_TOKEN to your access token.*give its path')) as error:
            hf_file('hf://a/b/c.pth', tmp_path)
    assert '\n' not in str(error.value) and not list(tmp_path.rglob('*.*'))


@pytest.mark.parametrize('token', ['hf_aB3', None])
def test_token(tmp_path: Path, monkeypatch, token: str | None) -> None:
    """The Hub's server gets it, and none that it leads on to."""
    seen = []

    def keep(answer: Answer) -> Answer:
        def noted(handler) -> None:
            seen.append((handler.path, handler.headers.get('Authorization')))
            answer(handler)
        return noted

    if token is not None:
        monkeypatch.setenv('HF_TOKEN', f'{token}\n')
    with serve(keep(body(b'content'))) as elsewhere:
        with serve(keep(redirect(f'{elsewhere}/d'))) as url:
            monkeypatch.setenv('HF_ENDPOINT', url)
            file, _ = hf_file('hf://a/b/c.pth', tmp_path)
    assert file.read_bytes() == b'content'
    assert seen == [('/a/b/resolve/main/c.pth', token and f'Bearer {token}'),
                    ('/d', None)]


def test_a_token_that_does_not_help(tmp_path: Path, monkeypatch) -> None:
    """It is not in the message."""
    monkeypatch.setenv('HF_TOKEN', 'hf_secret')
    with serve(status(403)) as url:
        monkeypatch.setenv('HF_ENDPOINT', url)
        with pytest.raises(OSError, match='set HF_TOKEN to a valid access') as error:
            hf_file('hf://a/b/c.pth', tmp_path)
    assert 'hf_secret' not in str(error.value)


@pytest.mark.parametrize('token', ['hf_secret\nHost: x', 'hf secret', 'hf_geh\xe4im'])
def test_no_token(tmp_path: Path, monkeypatch, token: str) -> None:
    """It would be another header, or none; it is not in the message."""
    monkeypatch.setenv('HF_TOKEN', token)
    with pytest.raises(ValueError, match='HF_TOKEN .* is no token') as error:
        hf_file('hf://a/b/c.pth', tmp_path)
    assert token not in str(error.value)


@pytest.mark.parametrize('address', [
    'hf://a', 'hf://a/b', 'hf://a/b/', 'hf://a/../c', 'hf://../b/c', 'hf://a/b/../../c',
    'hf://a/b/c@../../x', 'hf://a/b/c?x=1', 'hf://a b/c/d', 'hf://a/b//c'])
def test_no_address(tmp_path: Path, address: str) -> None:
    with pytest.raises(ValueError, match='is no file of the Hugging Face Hub: write'):
        hf_file(address, tmp_path)


def test_doors(tiny_config: Config, tmp_path: Path, monkeypatch) -> None:
    """init_model, an init_cfg and MMEngine's load_from take such an address."""
    monkeypatch.setattr(torch.hub, '_hub_dir', str(tmp_path / 'hub'))
    with pytest.warns(UserWarning, match='untrained'):
        expected = init_model(tiny_config).state_dict()
    path = tmp_path / 'c.pth'
    torch.save(dict(
        state_dict=expected, meta=dict(cfg=tiny_config.pretty_text)), path)
    with serve(body(path.read_bytes())) as url:
        monkeypatch.setenv('HF_ENDPOINT', url)
        for found in (
                init_model('hf://a/b/c.pth').state_dict(),
                init_model(f'{url}/d.pth').state_dict(),
                CheckpointLoader.load_checkpoint('hf://a/b/e.pth')['state_dict']):
            assert all(torch.equal(found[name], expected[name]) for name in expected)
        tiny_config.model.backbone.init_cfg = dict(
            type='Pretrained', checkpoint='hf://a/b/c.pth')
        with pytest.warns(UserWarning, match='untrained'):
            backbone = init_model(tiny_config).backbone.state_dict()
        assert torch.equal(backbone['cls_token'], expected['backbone.cls_token'])
