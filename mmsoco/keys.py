"""Which keys of a config something reads, so that a mistyped one does not train on in silence."""

import inspect
import re
import types
import typing
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from types import NoneType
from typing import Any

import mmengine.registry
from mmengine.config import Config
from mmengine.registry import Registry
from mmengine.runner import Runner

from mmsoco.errors import UserError, suspect
from mmsoco.renamed import former_arguments

#: What a run reads of the top of a config: the Runner's arguments,
READ = frozenset(inspect.signature(Runner.__init__).parameters) - {'self', 'cfg'}
#: what it looks for in the config itself,
READ |= {'sync_bn', 'runner_type', 'model_wrapper_cfg', 'find_unused_parameters', 'compile', 'strategy'}
READ |= {'efficient_conv_bn_eval', 'activation_checkpointing'}
#: what reading a config and dividing its batch take.
READ |= {'custom_imports', 'total_batch_size'}
#: Other tools of mmdet and mmpretrain read these.
ELSEWHERE = {'tta_model', 'tta_pipeline'}

#: What mmengine takes out of a dict with a type before it builds it.
BUILDERS = {'type', '_scope_', '_delete_', 'priority', 'convert_to_iter_based', 'constructor', 'paramwise_cfg'}
#: mmengine's registries, of which those of other packages are children.
REGISTRIES = [registry for registry in vars(mmengine.registry).values() if isinstance(registry, Registry)]
# To look into one imports what it has of a package, which takes a second and may talk: first what every run needs.
REGISTRIES.sort(key=lambda registry: registry.name not in ('model', 'hook', 'optim_wrapper', 'optimizer'))
REGISTRIES.sort(key=lambda registry: registry.name == 'metric')
#: How like a key must be to another one to be taken for a slip, where others may be meant; 1 is equal.
ALIKE = 0.85


def did_you_mean(name: str, known: Collection[str], cutoff: float = 0.6) -> str:
    """'; did you mean X', or ''."""
    near = get_close_matches(name, known, 1, cutoff)
    return f'; did you mean {near[0]}' if near else ''


def unread_keys(cfg: Config) -> list[str]:
    """Top-level keys of a config's own file that neither a run reads nor another line of its files.

    Its bases may offer what this one has no use for.

    Raises:
        UserError: A key, of a base or of its own, is nearly called like one that is read.
    """
    unread = [key for key in cfg if key not in READ | ELSEWHERE and _only_assigned(key, cfg.text)]
    for key in unread:
        if slip := did_you_mean(key, READ, ALIKE):
            raise UserError(f'{cfg.filename}: nothing reads {key}{slip}')
    own = Path(cfg.filename).read_text(encoding='utf-8')
    return [key for key in unread if _only_assigned(key, own)]


def _only_assigned(key: str, text: str) -> bool:
    """Whether a name stands in sources (Python, JSON, YAML) only where it gets its value."""
    name = re.escape(key)
    assigned = re.findall(rf'^(?:{name}[ \t]*=(?!=)|[ \t{{]*["\']?{name}["\']?[ \t]*:)', text, re.MULTILINE)
    return len(assigned) > 0 and len(re.findall(rf'\b{name}\b', text)) == len(assigned)


def check_options(cfg: Config, options: Mapping[str, Any]) -> None:
    """Refuse ``--cfg-options`` that cannot be applied, or would change nothing.

    A key that the config does not have yet is taken, unless it is nearly called
    like an argument of the class that gets it, or like another key there. One
    that is like none shows when the class is built.

    Args:
        cfg: The config that they change.
        options: Key, such as ``model.backbone.depth`` -> value.

    Raises:
        UserError: With the key, and what may be meant.
    """
    new = _nested(options)
    for name, value in new.items():
        if name not in READ | ELSEWHERE:
            raise UserError(_why_unread(cfg, name, value))
    _compare(new, dict(cfg.items()), '', cfg.get('default_scope'))


def _nested(options: Mapping[str, Any]) -> dict:
    new: dict = {}
    for key, value in options.items():
        *parents, last = names = key.split('.')
        if not all(names):
            raise UserError(f'the option {key}={value} has an empty name in its key; write KEY=VALUE, such as a.b=1')
        node = new
        for name in parents:
            node = node.setdefault(name, {})
            if not isinstance(node, dict):
                raise UserError(f'the options set {name} of {key} as a whole, too; leave one of them out')
        node[last] = value
    return new


def _why_unread(cfg: Config, name: str, value: Any) -> str:
    if name not in cfg:
        return f'nothing reads {name}{did_you_mean(name, READ) or "; options change what a run reads, such as model"}'
    places = list(_places(cfg, name))[:3]
    further = f'.{next(iter(value))}' if isinstance(value, dict) and value else ''
    hint = f'set {", ".join(place + further for place in places)}' if places else 'change it in the file'
    return f'{name} was used while the file was read, and setting it now changes nothing; {hint}'


def _places(cfg: Config, name: str) -> Iterator[str]:
    """Where a config holds the value of one of its variables."""
    value = cfg[name]
    telling = isinstance(value, (str, list, tuple, dict)) and len(value) > 0

    def look(node: Any, path: str) -> Iterator[str]:
        pairs = node.items() if isinstance(node, Mapping) else enumerate(node) if isinstance(node, list) else ()
        for key, item in pairs:
            place = f'{path}.{key}'
            if item == value and type(item) is type(value) and (telling or key == name):
                yield place.removeprefix('.')
            else:
                yield from look(item, place)

    for key in cfg:
        if key in READ:
            yield from look({key: cfg[key]}, '')


def _compare(new: Mapping, there: Any, path: str, scope: str | None) -> None:
    """Walk options and config together."""
    what = path.removeprefix('.')
    if isinstance(there, Mapping):
        scope = there.get('_scope_', scope)
    for name, value in new.items():
        if isinstance(there, list):
            if not name.isdigit():
                raise UserError(f'{what} is a list of {len(there)}; set one by its number, such as {what}.0.{name}')
            if int(name) >= len(there):
                raise UserError(f'{what} is a list of {len(there)}, counted from 0; it has no {name}')
            below = there[int(name)]
        elif isinstance(there, Mapping):
            if name not in there:
                _check_new(name, new, there, what, scope)
                continue
            below = there[name]
            if name == 'type' and isinstance(value, str) and isinstance(below, str):
                _check_type(value, below, what, scope)
        else:
            raise UserError(f'{what} is {there!r:.60}, and has no {name}; set it as a whole')
        if not isinstance(value, Mapping):
            _compare_kinds(value, below, f'{path}.{name}'.removeprefix('.'))
        elif '_delete_' not in value:
            _compare(value, below, f'{path}.{name}', scope)


def _compare_kinds(value: Any, former: Any, key: str) -> None:
    """Numbers and lists that become something else are most often slips, though some arguments take both."""
    for kind, words in (((int, float), 'a number'), ((list, tuple), 'a list')):
        if isinstance(former, kind) and value is not None and not isinstance(value, kind):
            suspect(f'{key} was {words}, {former!r:.30}, and now is {value!r:.30}')


def _check_new(name: str, new: Mapping, there: Mapping, path: str, scope: str | None) -> None:
    """Refuse a key that a dict of a config does not have yet, and that is nearly called like one that is read."""
    if name in BUILDERS or not path or path.endswith('custom_keys'):  # of parameters
        return
    if path == 'default_hooks' and new[name] is None:
        raise UserError(f'default_hooks has no {name} to leave out{did_you_mean(name, there)}')
    kind = new.get('type', there.get('type'))
    arguments = set() if kind is None else arguments_of(kind, scope)
    entry = isinstance(new[name], Mapping) and 'type' in new[name]
    if name not in arguments and not entry and (slip := did_you_mean(name, arguments | {*there}, ALIKE)):
        raise UserError(f'{path} has no {name}{slip}')


def arguments_of(kind: str | type, scope: str | None) -> set[str]:
    """Names of the arguments that a config can give to what it calls ``kind``, their former names included.

    Of all classes of that name, for instance a model and a hook, and of all
    that they inherit, which ``**kwargs`` may be handed on to.
    """
    names: set[str] = set()
    for found in _find(kind, scope):
        constructors = [vars(cls).get('__init__') for cls in found.__mro__] if inspect.isclass(found) else [found]
        for constructor in filter(None, constructors):
            with suppress(TypeError, ValueError):  # of compiled code
                names |= inspect.signature(constructor).parameters.keys()
        names |= former_arguments(found).keys()
    return names - {'self', 'args', 'kwargs'}


#: What docstrings of OpenMMLab call the kinds of an argument: ``loss_scale (float or str or dict)``.
_WORDS = {'int': int, 'float': float, 'bool': bool, 'list': list, 'tuple': tuple, 'Sequence': list, 'str': str}


def kinds_of(kind: str | type, name: str, scope: str | None) -> set:
    """What an argument of what a config calls ``kind`` takes: types, annotations such as ``Sequence[int]``, NoneType.

    By its annotation, its default and the docstring, which often says more; of the first
    class of that name that has such an argument. Empty where nothing is said.
    """
    for found in _find(kind, scope):
        argument = former_arguments(found).get(name, name)
        for cls in found.__mro__ if inspect.isclass(found) else [found]:
            constructor = vars(cls).get('__init__') if inspect.isclass(found) else cls
            try:
                parameter = inspect.signature(constructor).parameters[argument]
            except (KeyError, TypeError, ValueError):  # another class', or of compiled code
                continue
            kinds = alternatives(_annotation(constructor, parameter))
            said = ' '.join(re.findall(rf'^\s*{argument} \(([^)]*)\)', f'{cls.__doc__}\n{constructor.__doc__}', re.M))
            kinds |= {_WORDS[word] for word in re.findall(r'\w+', said) if word in _WORDS}
            return kinds | {NoneType} if kinds and parameter.default is None else kinds
    return set()


def _annotation(constructor: Any, parameter: inspect.Parameter) -> Any:
    with suppress(Exception):  # names in quotes that are not there
        return typing.get_type_hints(constructor).get(parameter.name, Any)
    return Any


def alternatives(*annotations: Any) -> set:
    """The types and generics that annotations allow; nothing of those that allow everything."""
    found: set = set()
    for one in annotations:
        if typing.get_origin(one) in (typing.Union, types.UnionType, typing.Annotated):
            found |= alternatives(*typing.get_args(one))
        elif typing.get_origin(one) is typing.Literal:
            found |= {type(value) for value in typing.get_args(one)}
        elif isinstance(one, type) or typing.get_origin(one) is not None:
            found.add(NoneType if one is None else one)
    return found - {Any, object, inspect.Parameter.empty}


def _find(kind: str | type, scope: str | None) -> Iterator[Any]:
    """What is registered under a name, in all of mmengine's registries."""
    if not isinstance(kind, str):
        yield kind
        return
    for registry in REGISTRIES:
        if (found := _get(registry, kind, scope)) is not None:
            yield found


def _get(registry: Registry, kind: str, scope: str | None) -> Any:
    if scope is not None:
        with suppress(ImportError):
            import_module(f'{scope}.registry')
        # mmengine would warn, each time, that the scope has none of this sort, such as runners.
        if scope not in registry.children:
            return registry.get(kind)
    with registry.switch_scope_and_registry(scope) as scoped:
        return scoped.get(kind)


def _check_type(value: str, former: str, path: str, scope: str | None) -> None:
    """Refuse a type that is not registered where the former one is."""
    registries = [registry for registry in REGISTRIES if _get(registry, former, scope) is not None]
    if registries and not any(_get(registry, value, scope) for registry in registries):
        known = {name for root in registries for part in (root, *root.children.values()) for name in part.module_dict}
        raise UserError(f'{path}.type: there is no {value}{did_you_mean(value.rpartition(".")[2], known)}')
