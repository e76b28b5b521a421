"""What a way to propose boxes is, and how it gets its command-line options.

A new one is a file beside this one, with a dataclass of its parameters::

    @GENERATORS.register('stripes')
    @dataclass(frozen=True)
    class Stripes:
        count: int = option(4, 'stripes an image', type=positive)

        def describe(self) -> dict: ...

        def propose(self, image: np.ndarray, file_name: str) -> np.ndarray: ...

``data_pipelines/selective_search.py --generator stripes --count 8`` then runs it.
"""

import argparse
import dataclasses
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field
from typing import Any, Protocol, Union, get_args, get_origin, get_type_hints

import numpy as np

from mmsoco.errors import UserError


class Generator(Protocol):
    """A way to propose boxes: its parameters, to be sent to worker processes, and comparable."""

    def describe(self) -> dict:
        """Name and parameters, for the header of the file."""

    def propose(self, image: np.ndarray, file_name: str) -> np.ndarray:
        """(H, W, 3) uint8 RGB to (N, 4) int boxes, xyxy in pixels, N >= 1."""


def option(
    default: Any, words: str, choices: Sequence | Mapping | None = None, type: Callable[[str], Any] | None = None
) -> Any:
    """A field of a generator's dataclass, and its command-line option.

    Args:
        default: Shown in the help, unless it is None.
        words: The help.
        choices: What is allowed; anything by default.
        type: Makes the value, or one of a tuple's, of text; by default what the annotation says.
    """
    return dataclasses.field(default=default, metadata=dict(help=words, choices=choices, type=type))


def flag(name: str) -> str:
    """The option of a field."""
    return f'--{name.replace("_", "-")}'


def add_options(parser: argparse.ArgumentParser, generators: Mapping[str, type]) -> None:
    """Give a parser a group of options for each generator.

    Nothing is set where an option is left out, so that the dataclass has the
    defaults. An option that several generators have is added once.

    Raises:
        ValueError: Several have an option of one name, of other kinds.
    """
    seen: dict[str, tuple[str, dict]] = {}
    for name, cls in generators.items():
        hints = get_type_hints(cls)
        kinds = {field.name: _kind(field, hints[field.name]) for field in dataclasses.fields(cls)}
        shared = [field for field in dataclasses.fields(cls) if field.name in seen]
        for field in shared:
            other, kind = seen[field.name]
            if kind != kinds[field.name]:
                raise ValueError(f'{flag(field.name)} of {name} is another than that of {other}; call one differently')
        also = ', '.join(f'{flag(field.name)}{_default(field)}' for field in shared)
        group = parser.add_argument_group(name.replace('_', ' '), f'also {also}' if also else None)
        for field in dataclasses.fields(cls):
            if field.name not in seen:
                words = f'{field.metadata.get("help", "")}{_default(field)}'.strip().replace('%', '%%')
                kind = kinds[field.name]
                group.add_argument(flag(field.name), default=argparse.SUPPRESS, help=words, **kind)
                seen[field.name] = name, kind


def _kind(field: Field, annotation: Any) -> dict:
    """What argparse is told of an option: how its text becomes a value."""
    if get_origin(annotation) in (Union, types.UnionType):
        (annotation,) = (part for part in get_args(annotation) if part is not types.NoneType)
    if annotation is bool:
        return dict(action=argparse.BooleanOptionalAction)
    kind = {key: field.metadata[key] for key in ('choices', 'type') if field.metadata.get(key) is not None}
    if get_origin(annotation) is tuple:
        annotation, *others = get_args(annotation)
        kind['nargs'] = '+' if others == [...] else 1 + len(others)
    return {'type': annotation, **kind}


def _default(field: Field) -> str:
    """`` (default: 0.5 1 2)``, or nothing where there is nothing to say."""
    if field.default in (None, MISSING):
        return ''
    values = field.default if isinstance(field.default, tuple) else (field.default,)
    return f' (default: {" ".join(f"{v:g}" if isinstance(v, float) else str(v) for v in values)})'


def build_generator(name: str, generators: Mapping[str, type], args: argparse.Namespace) -> Generator:
    """The generator that arguments describe.

    Raises:
        UserError: An argument is another generator's, or one is missing.
    """
    chosen = generators[name]
    own = {field.name: field for field in dataclasses.fields(chosen)}
    given = {field.name for cls in generators.values() for field in dataclasses.fields(cls)} & set(vars(args))
    for other in sorted(given - own.keys()):
        raise UserError(f'{flag(other)} is not an option of --generator {name}; leave it out')
    for field in own.values():
        if field.name not in given and field.default is field.default_factory is MISSING:
            raise UserError(f'--generator {name} needs {flag(field.name)}')
    values = {key: getattr(args, key) for key in given}
    return chosen(**{key: tuple(value) if isinstance(value, list) else value for key, value in values.items()})
