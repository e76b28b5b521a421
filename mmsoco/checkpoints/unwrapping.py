"""The tensors in a checkpoint, without what other tools wrap around them and their names."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from mmsoco.checkpoints.naming import prefix_of
from mmsoco.errors import UserError

#: Where checkpoints have their tensors; the first that is there counts. ``teacher`` is what DINO's are used by.
CONTAINERS = ('state_dict', 'model', 'model_state_dict', 'model_state', 'teacher')
#: Modules that torch puts around others, at whatever depth, and that nobody calls so himself.
_WRAPPERS = re.compile(r'(?:^|(?<=\.))(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.')
_BACKBONE = prefix_of('backbone')


@dataclass(frozen=True)
class Unwrapped:
    """The tensors of one model.

    Attributes:
        tensors: Name -> tensor, as the model calls them.
        others: What is beside the model, under the names of the file.
        notes: What was taken off, in words; to be said.
    """

    tensors: dict[str, Tensor]
    others: dict[str, Tensor]
    notes: tuple[str, ...] = ()


def unwrap(content: Mapping[str, Any], source: str) -> Unwrapped:
    """Take the tensors out of a checkpoint, and off their names what all of the model's begin with.

    Of wrappers are ``module.`` (DistributedDataParallel) and ``_orig_mod.`` (torch.compile),
    others are a tool's own, such as ``model.`` and ``detector.``. A beginning is taken off where
    a ``backbone.`` follows it, or where all names have ``module.``, and nowhere where several models are there.

    Args:
        content: What was loaded.
        source: Where it came from, for the message.

    Raises:
        UserError: It holds no tensors; or several models, and which one is meant cannot be told.
    """
    if not isinstance(content, Mapping):  # such as a whole model, which --trust-checkpoint lets in
        raise UserError(f"{source} holds a {type(content).__name__} instead of weights; save the model's state_dict()")
    state, notes = _contained(content, source)
    if not all(isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items()):
        raise UserError(f'{source} holds more than named tensors; give a checkpoint of a SoCo pretraining')
    names = {name: _WRAPPERS.sub('', name) for name in state}
    prefix = _common(names.values(), source)
    if len(set(names.values())) < len(names):
        raise UserError(f'{source} holds a tensor twice, compiled and not; save the model alone')
    if any(old != new for old, new in names.items()):
        notes.append("'_orig_mod.' and the like are taken off its names")
    if prefix:
        notes.append(f"'{prefix}' is taken off its names")
    tensors = {new.removeprefix(prefix): state[old] for old, new in names.items() if new.startswith(prefix)}
    others = {old: state[old] for old, new in names.items() if not new.startswith(prefix)}
    return Unwrapped(tensors, others, tuple(notes))


def _contained(content: Mapping[str, Any], source: str) -> tuple[Mapping[str, Any], list[str]]:
    """The dict of tensors that is meant."""
    if _has_tensors(content):
        return content, []
    inside = [key for key, value in content.items() if isinstance(value, Mapping) and _has_tensors(value)]
    if not inside:
        raise UserError(f'{source} holds no weights: it holds no state_dict of tensors; give a checkpoint')
    known = [key for key in CONTAINERS if key in inside]
    if not known and len(inside) > 1:
        raise UserError(f'{source} holds {", ".join(inside[:8])}, and which are the weights cannot be told; save these')
    chosen = (known or inside)[0]
    # A moving average, of other names; not a generator's state.
    models = [key for key in inside if key == chosen or any('.' in str(name) for name in content[key])]
    return content[chosen], [] if models == ['state_dict'] else [f'of {", ".join(models)} in it, {chosen} is taken']


def _has_tensors(values: Mapping[str, Any]) -> bool:
    return any(isinstance(value, Tensor) for value in values.values())


def models_in(names: Iterable[str]) -> list[str]:
    """What the names of each model begin with that has a backbone; ``''`` alone where that stands first."""
    found: dict[str, None] = {}
    for name in names:
        if f'.{_BACKBONE}' in f'.{name}':
            found[f'.{name}'.partition(f'.{_BACKBONE}')[0].removeprefix('.')] = None
    prefixes = [f'{one}.' if one else '' for one in found]
    # One that begins as another is a part of it, such as a twin.
    return [one for one in prefixes if not any(one != other and one.startswith(other) for other in prefixes)]


def _common(names: Iterable[str], source: str) -> str:
    names = list(names)
    prefixes = models_in(names)
    if len(prefixes) > 1:
        raise UserError(
            f'{source} holds several models, {", ".join(prefixes[:4])}; which is meant cannot be told: save one of them'
        )
    if prefixes:
        return prefixes[0]
    # A backbone alone, in bare names.
    first = next(iter(names)).partition('.')[0] + '.'
    return first if first in ('module.', 'model.') and all(name.startswith(first) for name in names) else ''
