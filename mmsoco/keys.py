"""Which keys of a config something reads, so that a mistyped one does not train on in silence."""

import inspect
import re
from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

import mmengine.registry
from mmengine.config import Config
from mmengine.runner import Runner

from mmsoco.errors import UserError, suspect
from mmsoco.renamed import former_arguments

#: What a run reads of the top of a config: the Runner's arguments,
READ = frozenset(inspect.signature(Runner.__init__).parameters) - {'self', 'cfg'}
#: what it looks for in the config itself,
READ |= {'sync_bn', 'model_wrapper_cfg', 'find_unused_parameters', 'compile', 'strategy'}
READ |= {'efficient_conv_bn_eval', 'activation_checkpointing'}
#: what reading a config and dividing its batch take, and what tools of mmdet and mmpretrain do.
READ |= {'custom_imports', 'total_batch_size', 'tta_model', 'tta_pipeline'}

#: What mmengine takes out of a dict with a type before it builds it.
BUILDERS = {'type', '_scope_', '_delete_', 'priority', 'convert_to_iter_based', 'constructor', 'paramwise_cfg'}
#: How like a key must be to another one to be taken for a slip, where others may be meant; 1 is equal.
ALIKE = 0.85


def did_you_mean(name: str, known: Collection[str], cutoff: float = 0.6) -> str:
    """'; did you mean X', or ''."""
    near = get_close_matches(name, known, 1, cutoff)
    return f'; did you mean {near[0]}' if near else ''


def unread_keys(cfg: Config) -> list[str]:
    """Top-level keys of a config's files that neither a run reads nor another line of the files.

    Raises:
        UserError: One of them is nearly called like a key that is read.
    """
    unread = [key for key in cfg if key not in READ and _only_assigned(key, cfg.text)]
    for key in unread:
        if slip := did_you_mean(key, READ, ALIKE):
            raise UserError(f'{cfg.filename}: nothing reads {key}{slip}')
    return unread


def _only_assigned(key: str, text: str) -> bool:
    """Whether a name stands in the sources (Python, JSON, YAML) only where it gets its value."""
    name = re.escape(key)
    assigned = re.findall(rf'^(?:{name}[ \t]*=(?!=)|[ \t{{]*["\']?{name}["\']?[ \t]*:)', text, re.MULTILINE)
    return len(assigned) > 0 and len(re.findall(rf'\b{name}\b', text)) == len(assigned)


def check_options(cfg: Config, options: Mapping[str, Any]) -> None:
    """Refuse ``--cfg-options`` that cannot be applied, or would change nothing.

    A new key is taken where the class that gets it has such an argument; where
    keys are free, as in the dicts of named hooks and in those without a type,
    only one that is nearly called like another there is refused.

    Args:
        cfg: The config that they change.
        options: Key, such as ``model.backbone.depth`` -> value.

    Raises:
        UserError: With the key, and what may be meant.
    """
    new = _nested(options)
    for name, value in new.items():
        if name not in READ:
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
                yield place
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
    """Refuse a key that a dict of a config does not have yet and that nothing would read."""
    kind = new.get('type', there.get('type'))
    arguments = None if kind is None else arguments_of(kind, scope)
    if name in BUILDERS or not path or (arguments is not None and name in arguments):
        return
    # Dicts of layers and the like are read by functions that take keys of their own.
    if arguments is not None and not path.endswith('_cfg'):
        raise UserError(f'{path} is of type {kind}, which takes no {name}{did_you_mean(name, arguments | {*there})}')
    if path == 'default_hooks' and new[name] is None:
        raise UserError(f'default_hooks has no {name} to leave out{did_you_mean(name, there)}')
    entry = isinstance(new[name], Mapping) and 'type' in new[name]
    if not entry and (slip := did_you_mean(name, (arguments or set()) | {*there}, ALIKE)):
        raise UserError(f'{path} has no {name}{slip}')


def arguments_of(kind: str | type, scope: str | None) -> set[str] | None:
    """Names of the arguments that a config can give to what it calls ``kind``.

    Of all classes of that name, for instance a model and a hook; None where any
    will do, or where there is no such class.
    """
    taken = [_arguments(found) for found in _find(kind, scope)]
    return None if not taken or None in taken else set().union(*taken)


def _find(kind: str | type, scope: str | None) -> list:
    if not isinstance(kind, str):
        return [kind]
    found = []
    for registry in vars(mmengine.registry).values():
        if isinstance(registry, mmengine.registry.Registry):
            with registry.switch_scope_and_registry(scope) as scoped:
                found.append(scoped.get(kind))
    return [cls for cls in found if cls is not None]


def _arguments(called: Any) -> set[str] | None:
    """Arguments of a function or a constructor, along the classes to which ``**kwargs`` are handed on."""
    names: set[str] = set()
    if inspect.isclass(called):
        constructors = [vars(cls)['__init__'] for cls in called.__mro__[:-1] if '__init__' in vars(cls)]
    else:
        constructors = [called]
    for constructor in constructors:
        try:
            parameters = inspect.signature(constructor).parameters.values()
        except (TypeError, ValueError):  # of compiled code
            return None
        names |= {parameter.name for parameter in parameters} | former_arguments(called).keys()
        if all(parameter.kind is not parameter.VAR_KEYWORD for parameter in parameters):
            return names
    return None if constructors else set()
