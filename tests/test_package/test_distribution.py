"""The wheel and the source distribution: whole, the same, and of use far from here."""

from __future__ import annotations

import ast
import configparser
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml
from test_light_import import ROOT, python

# Module -> distribution, where the two are called otherwise.
DISTRIBUTIONS = dict(
    cv2='opencv-python', PIL='pillow', mmcv='onedl-mmcv', mmengine='onedl-mmengine',
    mmpretrain='onedl-mmpretrain', mmseg='onedl-mmsegmentation',
    pillow_heif='pillow-heif')
FOLDERS = ('mixed', 'rivals', 'wsfs')
BUILD = 'from setuptools import build_meta as b; import sys; b.{}(sys.argv[1])'


def build(what: str, source: Path, out: Path) -> Path:
    """By the build backend, as pip and build call it."""
    out.mkdir(exist_ok=True)
    python(BUILD.format(f'build_{what}'), out, cwd=source)
    file, = out.iterdir()
    return file


@pytest.fixture(scope='session')
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the checkout that git knows, with a module's cache among them."""
    folder = tmp_path_factory.mktemp('source')
    names = subprocess.run(
        ['git', 'ls-files', '--cached', '--others', '--exclude-standard'], cwd=ROOT,
        check=True, capture_output=True, text=True).stdout.splitlines()
    for name in names:
        if (ROOT / name).is_file():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / name).read_bytes())
    (folder / 'tools/__pycache__').mkdir()
    (folder / 'tools/__pycache__/train.pyc').touch()
    return folder


@pytest.fixture(scope='session')
def sdist(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build('sdist', source, tmp_path_factory.mktemp('sdist'))


@pytest.fixture(scope='session')
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build('wheel', source, tmp_path_factory.mktemp('wheel'))


@pytest.fixture(scope='session')
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which the wheel is installed."""
    folder = tmp_path_factory.mktemp('site')
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def names(file: Path) -> set[str]:
    with zipfile.ZipFile(file) as archive:
        return set(archive.namelist())


def test_wheel_is_whole(wheel: Path, source: Path) -> None:
    """All of configs and tools, the index, types, the command; no caches, no tests."""
    found = names(wheel)
    expected = {
        f'mmwsfs/.mim/{path.relative_to(source)}' for folder in ('configs', 'tools')
        for path in (source / folder).rglob('*')
        if path.is_file() and '__pycache__' not in path.parts}
    assert len(expected) > 100
    assert {*expected, 'mmwsfs/.mim/model-index.yml', 'mmwsfs/py.typed'} <= found
    assert {name.split('/')[0] for name in found} == {
        'mmwsfs', next(name for name in found if 'dist-info' in name).split('/')[0]}
    assert not [name for name in found if '__pycache__' in name]
    with zipfile.ZipFile(wheel) as archive:
        entry, = [name for name in found if name.endswith('entry_points.txt')]
        assert 'mmwsfs = mmwsfs.cli.main:main' in archive.read(entry).decode()


def test_links_are_absolute(wheel: Path) -> None:
    """A package index shows the README, and has no other file of ours."""
    with zipfile.ZipFile(wheel) as archive:
        text = archive.read(next(
            name for name in archive.namelist() if name.endswith('METADATA'))).decode()
    links = re.findall(r'\]\(([^)\s]+)\)', text)
    assert len(links) > 20
    assert [link for link in links if not re.match('https://|#', link)] == []
    assert any('/raw/main/docs/demo.png' in link for link in links)


def test_sdist_makes_the_same_wheel(
        sdist: Path, wheel: Path, tmp_path: Path) -> None:
    """And it has what a packager needs beside the package."""
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter='data')
    folder, = tmp_path.iterdir()
    for name in ('tests/conftest.py', 'docs/index.md', 'demo/demo.py', 'README.md',
                 'CHANGELOG.md', 'CITATION.cff', 'tools/train.py', 'LICENSE',
                 'configs/wsfs/metafile.yml'):
        assert (folder / name).is_file(), name
    assert names(build('wheel', folder, tmp_path / 'out')) == names(wheel)


FAR = '''if True:
    import sys
    sys.path.insert(0, sys.argv[1])
    import mmwsfs
    assert mmwsfs.__file__.startswith(sys.argv[2]), mmwsfs.__file__
    from mmengine.config import Config
    from mmengine.hub import get_config
    from mmengine.infer import BaseInferencer
    name = 'mmwsfs::wsfs/vit-s_pascal5i_1shot.py'
    assert get_config(name).model.type == 'FewShotSegmentor'
    assert get_config('mmwsfs::_base_/plus.py')
    with open('mine.py', 'w') as file:
        file.write(f"_base_ = '{name}'\\nmodel = dict(supervision='pixel')\\n")
    cfg = Config.fromfile('mine.py')
    assert cfg.model.supervision == 'pixel' and cfg.default_scope == 'mmwsfs'
    assert 'prototypes_dinov2-vit-s_pascal5i' in BaseInferencer.list_models('mmwsfs')
'''


def test_found_far_from_a_checkout(site: Path, tmp_path: Path) -> None:
    """Configs by name and as a base, and the list of models, from the wheel alone."""
    python(FAR, site, site, cwd=tmp_path)


def test_found_in_an_editable_install(source: Path, tmp_path: Path) -> None:
    """``.mim`` links to the checkout, so that it never grows old. Twice is as once."""
    for number in '12':
        build('editable', source, tmp_path / number)
    assert (source / 'mmwsfs/.mim/configs').is_symlink()
    assert (source / 'mmwsfs/.mim/configs').resolve() == source / 'configs'
    python(FAR, source, source, cwd=tmp_path)


def test_links_or_copies(source: Path, tmp_path: Path) -> None:
    """Where no links can be made ``.mim`` gets copies."""
    code = '''if True:
        import sys, pathlib, setuptools
        setuptools.setup = lambda **_: None
        def fail(*_):
            raise OSError('a privilege is missing')
        pathlib.Path.symlink_to = fail
        import setup
        setup.link(setup.ROOT / 'tools', pathlib.Path(sys.argv[1], 'tools'))
    '''
    python(code, tmp_path, cwd=source)
    assert (tmp_path / 'tools/train.py').is_file()
    assert not (tmp_path / 'tools').is_symlink()
    assert not (tmp_path / 'tools/__pycache__').exists()


@pytest.mark.parametrize('folder', FOLDERS)
def test_every_config_is_in_a_metafile(folder: str) -> None:
    """Once, under its own name."""
    meta = yaml.safe_load((ROOT / f'configs/{folder}/metafile.yml').read_text())
    configs = [model['Config'] for model in meta['Models']]
    assert sorted(configs) == sorted(
        f'configs/{folder}/{path.name}' for path in (ROOT / 'configs' / folder
                                                     ).glob('*.py'))
    collections = {collection['Name'] for collection in meta['Collections']}
    for model in meta['Models']:
        assert model['In Collection'] in collections
        assert model['Name'] == Path(model['Config']).stem


def test_every_metafile_is_in_the_index() -> None:
    """Models are listed by way of it alone."""
    index = yaml.safe_load((ROOT / 'model-index.yml').read_text())['Import']
    assert index == [f'configs/{folder}/metafile.yml' for folder in FOLDERS]
    assert sorted(ROOT.glob('configs/*/metafile.yml')) == [ROOT / i for i in index]


def imported() -> dict[str, str]:
    """Packages from outside that mmwsfs imports, each with a file that does."""
    found = {}
    for path in (ROOT / 'mmwsfs').rglob('*.py'):
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            modules = []
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                modules = [node.module or '']
            for module in modules:
                found[module.split('.')[0]] = str(path)
    return {name: file for name, file in found.items()
            if name != 'mmwsfs' and name not in sys.stdlib_module_names}


def test_every_import_is_declared() -> None:
    """With a lower bound; what an extra brings may be imported as well."""
    parser = configparser.ConfigParser()
    parser.read(ROOT / 'setup.cfg', encoding='utf-8')
    extras = parser['options.extras_require']
    lines = '\n'.join([parser['options']['install_requires'], extras['app'],
                       extras['heic']]).split('\n')
    declared = dict(
        re.fullmatch(r'([\w-]+)>=([\d.]+)', line.strip()).groups()
        for line in lines if line.strip())
    missing = {name: file for name, file in imported().items()
               if DISTRIBUTIONS.get(name, name) not in declared}
    assert missing == {}
    assert len(declared) > 10
