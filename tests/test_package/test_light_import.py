"""``import mmwsfs`` is light, and yet MMEngine is told all it has to know."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace

import pytest

from mmwsfs import openmmlab
from mmwsfs.import_hook import after_import
from mmwsfs.openmmlab import check_versions

ROOT = Path(__file__).parents[2]


def python(code: str, *arguments: object, status: int = 0, **options) -> str:
    """What code prints in a process of its own, errors included."""
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', code, *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    assert done.returncode == status, done.stdout
    return done.stdout


def test_nothing_heavy() -> None:
    """Nothing but the standard library; ``registry`` comes when it is asked for."""
    python('''if True:
        import sys
        before = set(sys.modules)
        import mmwsfs
        tops = {name.split('.')[0] for name in set(sys.modules) - before}
        assert tops - {'mmwsfs'} <= set(sys.stdlib_module_names), tops
        assert mmwsfs.__version__ and 'mmwsfs.registry' not in sys.modules
        assert mmwsfs.registry.MODELS.scope == 'mmwsfs'
        try:
            mmwsfs.nothing
        except AttributeError as error:
            assert "'nothing'" in str(error)
        else:
            raise SystemExit('no error')
    ''')


CHECK = '''
from mmengine.config.utils import MODULE2PACKAGE
from mmengine.runner import CheckpointLoader
assert MODULE2PACKAGE['mmwsfs'] == 'mmwsfs'
for scheme, loader in CheckpointLoader._schemes.items():
    assert loader.__globals__['__name__'].startswith('mmwsfs.'), scheme
'''


@pytest.mark.parametrize('code', [
    f'import mmwsfs{CHECK}',
    f'import mmengine.runner, mmwsfs{CHECK}',
    f'import mmengine, mmwsfs{CHECK}',
    f'import mmwsfs.registry{CHECK}',
], ids=['before', 'after', 'between', 'registry'])
def test_mmengine_is_told(code: str) -> None:
    """Whichever of both is imported first, and before any component is built."""
    python(code)


def test_custom_imports_guard(tmp_path: Path) -> None:
    """A config of mmseg's that names mmwsfs: a checkpoint is read, and not run."""
    config = tmp_path / 'config.py'
    config.write_text(
        "custom_imports = dict(imports=['mmwsfs'], allow_failed_imports=False)\n"
        "default_scope = 'mmseg'\n")
    said = python('''if True:
        import os, sys, torch
        from pathlib import Path
        from mmengine.config import Config
        from mmengine.runner import load_checkpoint
        class Evil:
            def __reduce__(self):
                return os.mkdir, (sys.argv[1] + '.made', )
        torch.save(dict(state_dict={}, evil=Evil()), sys.argv[1] + '.pth')
        Config.fromfile(sys.argv[1])
        assert 'mmwsfs.registry' not in sys.modules
        try:
            load_checkpoint(torch.nn.Linear(1, 1), sys.argv[1] + '.pth')
        except ValueError as error:
            print(error)
    ''', config)
    assert 'is refused, and nothing in it was run' in said
    assert not Path(f'{config}.made').exists()


def test_hook_acts_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the module, not again as it is reloaded; at once where it is there."""
    (tmp_path / 'told_of.py').write_text('value = 1\n')
    monkeypatch.syspath_prepend(str(tmp_path))
    seen, finders = [], len(sys.meta_path)
    after_import('told_of', lambda: seen.append(sys.modules['told_of'].value))
    after_import('told_of', lambda: seen.append('second'))
    assert seen == []
    import importlib

    import told_of
    assert sorted(seen, key=str) == [1, 'second'] and len(sys.meta_path) == finders
    importlib.reload(told_of)
    assert len(seen) == 2
    after_import('told_of', lambda: seen.append('there'))
    assert seen[-1] == 'there'


def test_an_old_openmmlab_is_refused() -> None:
    """By an error that MMEngine does not swallow as it imports our registry."""
    said = python('''if True:
        import mmengine
        from mmengine.registry import MODELS, init_default_scope
        mmengine.__version__ = '0.9.1'
        init_default_scope('mmwsfs')
        try:
            MODELS.build(dict(type='FewShotClsHead'))
        except RuntimeError as error:
            print(error)
    ''')
    assert 'needs mmengine >= 0.10.0, but 0.9.1 is' in said


def test_a_missing_openmmlab_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """What MMEngine would take for an unknown scope."""
    monkeypatch.setitem(sys.modules, 'mmpretrain', None)
    with pytest.raises(RuntimeError, match='needs mmpretrain >= 1.0.0, which cannot'):
        check_versions()


@pytest.mark.parametrize('transformers, kept', [
    ('4.57.6', True), ('5.24.0', False), (None, True)])
def test_transformers_that_mmpretrain_does_not_know(
        monkeypatch: pytest.MonkeyPatch, transformers: str | None, kept: bool) -> None:
    """Beside it mmpretrain does without its models of language, else nothing changes.
    """
    def version(name: str) -> str:
        if transformers is None:
            raise PackageNotFoundError
        return transformers

    monkeypatch.setattr(openmmlab, 'version', version)
    dependency = SimpleNamespace(WITH_MULTIMODAL=True)
    monkeypatch.setitem(sys.modules, 'mmpretrain.utils.dependency', dependency)
    openmmlab.spare_language_models()
    assert dependency.WITH_MULTIMODAL is kept


def test_mmpretrain_imports_beside_the_transformers_of_today() -> None:
    """Whoever imports it, once mmwsfs is imported."""
    pytest.importorskip('transformers')
    said = python('import mmwsfs, mmpretrain.models as m; print(m.VisionTransformer)')
    assert 'vision_transformer' in said
