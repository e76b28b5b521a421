"""``--cfg-options``: text that becomes what its place in the config takes."""

import argparse
import os
from collections.abc import Collection, Mapping, Sequence
from types import NoneType
from typing import Any, get_args, get_origin

from mmengine.config import Config, DictAction
from mmengine.runner import Runner

from mmsoco.keys import alternatives, kinds_of

#: For ``--help``.
HELP = (
    'change the config, for instance a.b=1. Text, such as a path, is taken as it is typed where the config has text '
    'or the class that gets it takes text alone; None is none where it takes that, and ./None a file'
)
_QUOTES = '\'"'
_TEXT = (str, os.PathLike)


class Options(dict):
    """Key -> value, by the text alone; what a place takes, only the config knows.

    Attributes:
        typed: Key -> the text.
    """

    def __init__(self, *args, typed: Mapping[str, str] | None = None):
        super().__init__(*args)
        self.typed = dict(typed or {})


class OptionsAction(argparse.Action):
    """``KEY=VALUE``, as mmengine's action reads it, and beside it the text; for :class:`Options`."""

    def __call__(self, parser, namespace, values, option_string=None):
        """Add to the options.

        Raises:
            argparse.ArgumentError: There is no ``=``, or a bracket is not closed.
        """
        before = getattr(namespace, self.dest, None) or Options()
        options = Options(before, typed=before.typed)
        for text in values:
            key, sign, value = text.partition('=')
            if not sign:
                raise argparse.ArgumentError(self, f'{text} has no =; write KEY=VALUE')
            try:
                options[key] = value_of(value)
            except ValueError as error:
                if value.strip(_QUOTES).startswith(('(', '[')) and not os.path.lexists(value):
                    raise argparse.ArgumentError(
                        self, f'{error} of {text} is not closed; quote lists: "{key}=[1,2]"'
                    ) from None
                options[key] = value  # text that happens to have a comma and a bracket
            options.typed[key] = value
        setattr(namespace, self.dest, options)


def fit(options: Mapping[str, Any], typed: Mapping[str, str], cfg: Config) -> dict[str, Any]:
    """Read options once more, each as its place in the config takes it.

    Args:
        options: Key, such as ``train_dataloader.dataset.data_root`` -> value.
        typed: Key -> text, of those that were typed.
        cfg: The config that they change.

    Returns:
        Key -> value.
    """
    fitted = dict(options)
    for key, text in typed.items():
        kinds = _kinds_at(key, options, cfg)
        try:
            fitted[key] = value_of(text, kinds)
        except ValueError:
            fitted[key] = text
    return fitted


def _kinds_at(key: str, options: Mapping[str, Any], cfg: Config) -> set:
    """What a place takes: what is there, and what the class of the dict around it says of its argument."""
    *parents, name = key.split('.')
    node, scope = dict(cfg.items()), cfg.get('default_scope')
    for parent in parents:
        node = _below(node, parent)
        if isinstance(node, Mapping):
            scope = node.get('_scope_', scope)
    cls = options.get('.'.join([*parents, 'type']), _below(node, 'type')) if parents else Runner
    present = _below(node, name)
    kinds = set() if cls is None else kinds_of(cls, name, scope)
    if not kinds and present is not None:
        kinds = {NoneType}
    if isinstance(present, list | tuple) and present and all(isinstance(item, str) for item in present):
        return kinds | {Sequence[str]}
    return kinds if present is None else kinds | {type(present)}


def _below(node: Any, name: str) -> Any:
    if isinstance(node, Mapping):
        return node.get(name)
    if isinstance(node, list | tuple) and name.isdigit() and int(name) < len(node):
        return node[int(name)]
    return None


def value_of(text: str, kinds: Collection = ()) -> Any:
    """Read a value, as mmengine does: numbers, ``true``, ``None``, lists by commas or in brackets, and text.

    Where text can be meant, only what a place takes besides is read as something else, all
    other text stays as it is typed; in quotes it is always text.

    Args:
        text: As typed; in lists, blanks around an item do not count.
        kinds: Types and annotations, such as ``int`` and ``Sequence[str]``, of what the place
            takes; none where that is not known.

    Raises:
        ValueError: A bracket is not closed; the message names it.
    """
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in _QUOTES
    as_typed = text[1:-1] if quoted else text
    takes_text = any(isinstance(kind, type) and issubclass(kind, _TEXT) for kind in kinds)
    if quoted and takes_text:
        return as_typed
    bare = text.strip(f'{_QUOTES} ')
    try:
        items = _items(bare)
    except ValueError:
        if takes_text:
            return as_typed
        raise
    if items is None:
        value = DictAction._parse_int_float_bool(bare)
        fits = type(value) in kinds or (type(value) is int and float in kinds)
    else:
        lists = [kind for kind in kinds if _is_list(kind)]
        of_items = {one for kind in lists for one in alternatives(*get_args(kind)) if one is not Ellipsis}
        value = [value_of(item.strip(), of_items) for item in items]
        value = tuple(value) if bare.startswith('(') else value
        fits = bool(lists)
    return as_typed if isinstance(value, str) or (takes_text and not fits) else value


def _items(text: str) -> list[str] | None:
    """The items of a list; None of what is none."""
    closed = {'(': ')', '[': ']'}.get(text[:1])
    inner = text[1:-1] if closed and text.endswith(closed) else text
    if inner is text and ',' not in text and not closed:
        return None
    for bracket in ('()', '[]'):
        if text.count(bracket[0]) != text.count(bracket[1]):
            raise ValueError('a bracket')
    if inner is text and ',' not in text:
        return None
    items, depth = [''], 0
    for character in inner:
        depth += (character in '([') - (character in ')]')
        if character == ',' and depth == 0:
            items.append('')
        else:
            items[-1] += character
    return items if items[-1].strip() else items[:-1]


def _is_list(kind: Any) -> bool:
    origin = get_origin(kind) or kind
    return isinstance(origin, type) and issubclass(origin, Collection) and not issubclass(origin, (str, bytes, Mapping))
