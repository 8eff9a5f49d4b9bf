"""The config that a checkpoint carries, held to what a stranger's config may say.

MMEngine imports whatever a ``type`` names, registered or not. That is not done here.
:mod:`mmwsfs.utils.carried_config_text` reads the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

from mmengine.config import Config
from mmengine.registry import DefaultScope, Registry

from mmwsfs.registry import MODELS, TRANSFORMS
from mmwsfs.utils.hub_names import hub_url

SCOPES = ('mmwsfs', 'mmseg', 'mmpretrain', 'mmcv', 'mmengine')

_NAME = re.compile(rf'(({"|".join(SCOPES)})\.)?[A-Za-z_]\w*', re.ASCII)
# Arguments by which parts of all these packages read files, ask servers or find code.
_REACHING = re.compile(
    r'.*(pretrained|checkpoint|backend_args|client_args).*|load_from|_scope_'
    r'|(.*_)?(path|file|filename|url|uri|dir|root|folder)')
_PRETRAINED = ('type', 'checkpoint', 'prefix')
# Of the dataset, what says how an image is prepared.
_DATASET = ('img_size', 'mask_threshold', 'pipeline')


def predicting_part(values: Mapping[str, Any], what: str) -> dict[str, Any]:
    """What of a config predicting needs, if it is harmless to build.

    Kept are the model without its cache, the scope, and of the test's dataset how an
    image is prepared. Modules to import, hooks, loops and data go. So does every
    ``init_cfg`` but the backbone's, of type ``Pretrained``: the checkpoint has the
    weights.

    Args:
        values: variables of a config, as :func:`.parse_config` gives them.
        what: the file that carries it, for messages.

    Returns:
        dict: ``default_scope``, ``model`` and ``test_dataloader``, plain values.

    Raises:
        ValueError: a part has a ``type`` that is not registered, an argument names a
            file, a URL or a module, or there is no model.
    """
    scope = values.get('default_scope', 'mmwsfs')
    if scope not in ('mmwsfs', 'mmseg'):
        raise _refused(what, 'default_scope', scope, "it is not 'mmwsfs' or 'mmseg'")
    values = _without_scope(dict(values), scope)
    model = values.get('model')
    if not isinstance(model, dict):
        raise _refused(what, 'model', model, 'a dict is needed')
    model = {key: value for key, value in model.items()
             if key not in ('cache', 'pretrained', 'train_cfg', 'test_cfg')}
    model = _without_init(model)
    loader = values.get('test_dataloader')
    dataset = loader.get('dataset') if isinstance(loader, dict) else None
    dataset = {key: _without_init(dataset[key]) for key in _DATASET if key in dataset
               } if isinstance(dataset, dict) else {}
    with DefaultScope.overwrite_default_scope(scope):
        for name, part, registry in (
                ('model', model, MODELS),
                ('test_dataloader.dataset', dataset, TRANSFORMS)):
            with registry.switch_scope_and_registry(None) as searched:
                _check(part, name, searched, what)
    return dict(
        default_scope=scope, model=model, test_dataloader=dict(dataset=dataset))


def _without_scope(value: Any, scope: str) -> Any:
    """Without MMEngine's notes that a part came from a config of this same scope, by
    ``_base_ = 'mmwsfs::...'``; those of others stay, and are refused."""
    if isinstance(value, dict):
        return {key: _without_scope(part, scope) for key, part in value.items()
                if not (key == '_scope_' and part == scope)}
    if isinstance(value, (list, tuple)):
        return type(value)(_without_scope(part, scope) for part in value)
    return value


def _refused(what: str, key: str, value: object, reason: str) -> ValueError:
    short = f'{value!r}'
    short = short if len(short) < 80 else f'{short[:77]}...'
    return ValueError(
        f"the config that '{what}' carries is refused, and nothing of it was built: "
        f'{key}={short}: {reason}; give a config of your own beside the checkpoint')


def _without_init(part: Any, key: str = '') -> Any:
    """Plain values without ``init_cfg``, but for Pretrained ones of the backbone."""
    if isinstance(part, dict):
        kept = {}
        for name, value in part.items():
            inside = f'{key}.{name}'
            if name != 'init_cfg':
                kept[name] = _without_init(value, inside)
            elif inside.startswith('.backbone.') and isinstance(value, dict) and (
                    value.get('type') == 'Pretrained'):
                kept[name] = {one: value[one] for one in _PRETRAINED if one in value}
        return kept
    if isinstance(part, (list, tuple)):
        return type(part)(_without_init(one, f'{key}.') for one in part)
    return part


def _check(part: Any, key: str, registry: Registry, what: str) -> None:
    """Refuse what reaches beyond the classes that are registered."""
    if isinstance(part, (list, tuple)):
        for number, one in enumerate(part):
            _check(one, f'{key}[{number}]', registry, what)
    if isinstance(part, dict):
        for name, value in part.items():
            inside = f'{key}.{name}'
            if name == 'init_cfg':
                if not isinstance(value.get('checkpoint'), str) or not isinstance(
                        value.get('prefix'), (str, type(None))):
                    raise _refused(what, inside, value, 'it names no checkpoint')
                continue
            if not isinstance(name, str) or _REACHING.fullmatch(name) and (
                    isinstance(value, (str, dict, list, tuple))
                    or value is True and 'pretrained' in name):
                raise _refused(
                    what, inside, value, 'a carried config names no files, servers or '
                    'modules')
            if name == 'type' and not (
                    isinstance(value, str) and _NAME.fullmatch(value)
                    and registered(registry, value)):
                raise _refused(
                    what, inside, value, 'it is not the name of a registered '
                    f'{registry.name}; import the module that registers it first')
            _check(value, inside, registry, what)
    if isinstance(part, str) and re.search(r'[/\\]|^~', part):
        raise _refused(
            what, key, part, 'a carried config names no files, servers or modules')


def registered(registry: Registry, name: str) -> Any:
    """The class that MMEngine finds under a name, without its way out: to import it.

    Args:
        registry: where it begins to look.
        name: ``NAME`` or ``SCOPE.NAME``.

    Returns:
        type, optional: None where it is not registered.
    """
    scope, _, short = name.rpartition('.')
    start: Registry | None = registry
    if scope and scope != registry.scope:
        if scope not in SCOPES:
            return None
        try:
            import_module(f'{scope}.registry')
        except ImportError:
            return None
        root = registry
        while root.parent is not None:
            root = root.parent
        start = registry.children.get(scope) or root.children.get(scope)
        if scope == root.scope:
            start = root
    node = start
    while node is not None:
        node.import_from_location()
        if short in node.module_dict:
            return node.module_dict[short]
        # MMEngine asks its own scope's parents for names without a scope alone.
        node = None if scope == registry.scope else node.parent
    return None


def portable(source: object) -> bool:
    """Whether a backbone is found there on a machine that is not its trainer's too."""
    return isinstance(source, str) and bool(
        re.match(r'(https?|pypi|hf)://', source) or hub_url(source))


def backbone_sources(config: Mapping[str, Any] | Config) -> Iterator[str]:
    """Where the backbone of a config's model, and its parts, take their weights from.

    Yields:
        str: ``checkpoint`` of every ``init_cfg`` of type Pretrained.
    """
    def search(part: Any) -> Iterator[str]:
        if isinstance(part, Mapping):
            init = part.get('init_cfg')
            if isinstance(init, Mapping) and init.get('type') == 'Pretrained':
                yield init['checkpoint']
            for name, value in part.items():
                if name != 'init_cfg':
                    yield from search(value)

    return search(config['model'].get('backbone'))
