"""What the pickle in a checkpoint would make, found by reading its instructions and making nothing."""

import math
import os
import pickletools
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import IO, Any

import torch

from mmsoco.errors import reason

#: Bytes of an element of each class of storage; torch writes these names whatever is stored.
STORAGES = {
    f'torch.{kind}Storage': size
    for size, kinds in {
        1: ('Untyped', 'Byte', 'Char', 'Bool', 'QInt8', 'QUInt8'),
        2: ('Short', 'Half', 'BFloat16'),
        4: ('Int', 'Float', 'QInt32'),
        8: ('Long', 'Double', 'ComplexFloat'),
        16: ('ComplexDouble',),
    }.items()
    for kind in kinds
}
STORAGES['torch.storage.UntypedStorage'] = STORAGES['torch.UntypedStorage']
HISTORY = 'mmengine.logging.history_buffer.HistoryBuffer'
#: What mmengine's log counts with.
STATISTICS = ('min', 'max', 'current', 'mean')
_HISTORY_STATE = {'max_length', '_log_history', '_count_history', 'statistics_methods'}
_SCALARS = (str, bytes, int, float, bool, type(None))
#: Containers in containers; json and the like give up, or crash, at some hundreds.
_DEPTH = 100


class Foreign(Exception):
    """A type that no checkpoint of tensors and plain values needs; the message is its name."""


class Implausible(Exception):
    """What the pickle asks for does not fit itself or its file; the message says what."""


@dataclass(frozen=True)
class Global:
    """A class or function, by its name alone."""

    name: str


@dataclass(eq=False)
class Made:
    """What a call would make.

    Attributes:
        name: What was called.
        size: Bytes, of an element where it is a dtype.
        parts: What it holds.
    """

    name: str
    size: int = 0
    parts: list = field(default_factory=list)


class Ordered(dict):
    """An OrderedDict, which may have attributes."""

    attributes: dict | None = None


@dataclass(frozen=True)
class Storage:
    """Memory that the pickle asks for."""

    itemsize: int
    numel: int

    @property
    def size(self) -> int:
        """In bytes."""
        return self.itemsize * self.numel


def _require(condition: Any, what: str) -> None:
    if not condition:
        raise Implausible(what)


def _are_sizes(values: Any) -> bool:
    return isinstance(values, (tuple, list)) and all(type(v) is int and 0 <= v < 2**63 for v in values)


class _Within:
    """A file of which no more is asked than is left: Python takes the memory before it reads."""

    def __init__(self, file: IO[bytes]):
        self.tell, self.readline, self._file = file.tell, file.readline, file
        here = file.tell()
        self._size = file.seek(0, os.SEEK_END)
        file.seek(here)

    def read(self, size: int) -> bytes:
        return self._file.read(min(size, self._size - self._file.tell()))


class Outline:
    """Reads the pickles of a checkpoint, one after the other.

    It knows the instructions that torch's ``weights_only`` knows, and of the
    calls those that checkpoints are made of. In others of what torch allows
    a few bytes take any amount of memory: ``bytearray(10**10)``, storages
    without a file, sparse and quantised tensors.

    Args:
        allow: Classes whose objects may be there besides, with plain attributes.

    Attributes:
        storages: Key -> :class:`Storage`.
        names: Every class and function that is named.
        tensor_bytes: All tensors together, as if each had its own memory.
    """

    def __init__(self, allow: Collection[type] = ()):
        self._allowed = {f'{cls.__module__}.{cls.__qualname__}' for cls in allow}
        self.storages: dict[str, Storage] = {}
        self.names: set[str] = set()
        self.tensor_bytes = 0

    def read(self, file: IO[bytes]) -> Any:
        """What the pickle that begins here makes, in containers, plain values and :class:`Made`.

        Raises:
            Foreign: It needs more.
            Implausible: It cannot be what someone saved.
        """
        stack: list = []
        below: list[list] = []  # what was on the stack at each mark
        memo: dict[int, Any] = {}
        begin = file.tell()
        later = False

        def since_mark() -> list:
            nonlocal stack
            items, stack = stack, below.pop()
            return items

        try:
            for op, arg, _ in pickletools.genops(_Within(file)):
                name = op.name
                if name in _CONSTANTS:
                    stack.append(_CONSTANTS[name])
                elif name in _LITERALS:
                    stack.append(arg)
                elif name in ('BINPUT', 'LONG_BINPUT'):
                    memo[arg] = stack[-1]
                elif name in ('BINGET', 'LONG_BINGET'):
                    stack.append(memo[arg])
                elif name == 'MEMOIZE':
                    memo[len(memo)] = stack[-1]
                elif name == 'EMPTY_DICT':
                    stack.append({})
                elif name == 'EMPTY_LIST':
                    stack.append([])
                elif name == 'MARK':
                    below.append(stack)
                    stack = []
                elif name == 'TUPLE':
                    items = tuple(since_mark())
                    stack.append(items)
                elif name in _TUPLES:
                    _require(len(stack) >= _TUPLES[name], 'an empty stack')
                    stack[-_TUPLES[name] :] = [tuple(stack[-_TUPLES[name] :])]
                elif name in ('APPEND', 'APPENDS'):
                    items = [stack.pop()] if name == 'APPEND' else since_mark()
                    _require(type(stack[-1]) is list, 'items of what is no list')
                    stack[-1].extend(items)
                elif name in ('SETITEM', 'SETITEMS'):
                    items = [stack.pop(-2), stack.pop()] if name == 'SETITEM' else since_mark()
                    _require(isinstance(stack[-1], dict), 'keys of what is no dict')
                    self._set(stack[-1], list(zip(items[::2], items[1::2], strict=True)))
                elif name == 'GLOBAL':
                    stack.append(self._global(arg.replace(' ', '.', 1)))
                elif name == 'STACK_GLOBAL':
                    later = True
                    rest, module = stack.pop(), stack.pop()
                    stack.append(self._global(f'{module}.{rest}'))
                elif name in ('REDUCE', 'NEWOBJ'):
                    args, called = stack.pop(), stack.pop()
                    stack.append(self._call(called, args, name == 'NEWOBJ'))
                elif name == 'BUILD':
                    state = stack.pop()
                    self._build(stack[-1], state)
                elif name == 'BINPERSID':
                    stack.append(self._storage(stack.pop()))
                elif name == 'STOP':
                    _require(not later, 'a pickle of protocol 4 or later, where torch writes 2')
                    value = stack.pop()
                    _check_containers(value, file.tell() - begin)
                    return value
                elif name not in ('PROTO', 'FRAME'):
                    raise Foreign(f'the pickle instruction {name}')
        except (LookupError, ValueError, TypeError, AttributeError) as error:
            raise Implausible(f'its pickle breaks off or is garbled: {reason(error, bare=True)}') from None
        raise Implausible('its pickle breaks off')

    def _set(self, target: dict, items: Collection[tuple]) -> None:
        # Of a tuple of tuples, the hash of which may take forever, no checkpoint makes a key.
        _require(all(isinstance(key, _SCALARS) for key, _ in items), 'a key that is no plain value')
        target.update(items)

    def _global(self, name: str) -> Global:
        module, _, rest = name.partition('.')
        if module == '__builtin__':  # as Python 2, and pickle protocol 2, call it
            name = f'builtins.{rest}'
        known = name in _CALLS or name in STORAGES or name in self._allowed or name in ('numpy.ndarray', HISTORY)
        if not known and not isinstance(_dtype(name), torch.dtype):
            raise Foreign(name)
        self.names.add(name)
        return Global(name)

    def _call(self, called: Any, args: Any, is_new: bool) -> Any:
        _require(isinstance(called, Global) and isinstance(args, tuple), 'a call of what cannot be called')
        if is_new or called.name not in _CALLS:
            if called.name not in self._allowed | {HISTORY} or not is_new:
                raise Foreign(f'{called.name}()')
            _require(not args, f'arguments of {called.name}')
            return Made(called.name)
        return _CALLS[called.name](self, called.name, *args)

    def _build(self, made: Any, state: Any) -> None:
        if isinstance(made, Ordered):
            _require(isinstance(state, dict) and set(state) <= {'_metadata'}, 'attributes of an OrderedDict')
            made.attributes = state
            return
        if not isinstance(made, Made):
            raise Foreign(f'attributes of a {type(made).__name__}')
        if made.name == 'numpy.dtype':
            kind = isinstance(state, tuple) and len(state) >= 8 and state[1:2] + state[2:8]
            _require(kind and kind[0] in ('<', '|') and kind[1:] == (None, None, None, -1, -1, 0), 'a garbled dtype')
        elif made.name.endswith('._reconstruct'):
            _, shape, dtype, _, data = state
            size = math.prod(shape) * dtype.size if _are_sizes(shape) and isinstance(dtype, Made) else -1
            _require(isinstance(data, bytes) and len(data) == size, 'an array that is not as large as it says')
        elif made.name == HISTORY:
            _require(isinstance(state, dict) and set(state) <= _HISTORY_STATE, 'a garbled log')
            methods = state.get('statistics_methods', {})
            # By its own name each: reading the log gives them to the class.
            _require(isinstance(methods, dict), 'a garbled log')
            for name, method in methods.items():
                _require(isinstance(method, Made) and method.parts == [name], 'a garbled log')
        elif made.name in self._allowed:
            _require(isinstance(state, dict) and all(isinstance(key, str) for key in state), 'garbled attributes')
        else:
            raise Foreign(f'attributes of a {made.name}')
        made.parts.append(state)

    def _storage(self, wanted: Any) -> Storage:
        # Zip archives have five items; the older format a sixth, for views, which torch has not written since 0.4.
        _require(isinstance(wanted, tuple) and wanted[5:] in ((), (None,)), 'a garbled storage')
        kind, of, key, _, numel = wanted[:5]
        if kind != 'storage':
            raise Foreign(f'a saved {kind}')
        _require(isinstance(of, Global) and of.name in STORAGES and isinstance(key, str), 'a garbled storage')
        _require(_are_sizes([numel]), 'a garbled storage')
        storage = Storage(STORAGES[of.name], numel)
        _require(self.storages.setdefault(key, storage) == storage, f'storage {key} in two sizes')
        return storage

    # What checkpoints call: the outline, the name and the arguments.

    def _tensor(self, name: str, storage, offset, size, stride, *others) -> Made:
        _require(isinstance(storage, Storage) and len(size) == len(stride) <= 64, 'a garbled tensor')
        _require(_are_sizes([offset, *size, *stride]), 'a garbled tensor')
        itemsize = storage.itemsize
        if name.endswith('_v3'):  # of bytes that are of a newer type
            dtype = _dtype(others[2].name)
            _require(isinstance(dtype, torch.dtype), 'a garbled tensor')
            itemsize, others = dtype.itemsize, (*others[:2], *others[3:])
        # Requires a gradient; hooks, always empty; bits for the conjugate and the negative.
        _require(not any(others[1:]), 'a tensor with hooks')
        numel = math.prod(size)
        end = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True)) + 1 if numel else offset
        _require(end * itemsize <= storage.size, 'a tensor outside of its storage')
        self.tensor_bytes += numel * itemsize
        return Made(name, numel * itemsize)

    def _parameter(self, name: str, tensor, requires_grad, hooks) -> Made:
        _require(isinstance(tensor, Made) and '._rebuild_tensor' in tensor.name and not hooks, 'a garbled parameter')
        return Made(name, parts=[tensor])

    def _ordered(self, name: str, pairs=()) -> Ordered:
        made = Ordered()
        self._set(made, [(key, value) for key, value in pairs])
        return made

    def _counter(self, name: str, counts=None) -> dict:
        _require(counts is None or isinstance(counts, dict), 'a garbled Counter')
        return dict(counts or {})

    def _of_scalars(self, name: str, *args) -> Made:
        if len(args) == 1 and isinstance(args[0], (list, tuple)):
            args = tuple(args[0])
        _require(all(isinstance(arg, _SCALARS) for arg in args), f'a garbled {name}')
        return Made(name, parts=list(args))

    def _encode(self, name: str, text, encoding) -> bytes:
        # Each name of an encoding is a module that would be imported.
        _require(encoding == 'latin1', f'bytes in {encoding}')
        return text.encode('latin1')

    def _numpy_dtype(self, name: str, code, align, copy) -> Made:
        match = re.fullmatch('[biufc]([0-9]{1,2})', code)
        if not match:  # objects, and records of them, are references into memory
            raise Foreign(f'numpy.dtype({code})')
        return Made(name, int(match[1]))

    def _numpy_scalar(self, name: str, dtype, data) -> Made:
        _require(
            isinstance(dtype, Made) and dtype.name == 'numpy.dtype' and isinstance(data, bytes), 'a garbled number'
        )
        _require(len(data) == dtype.size, 'a number of another size than its type')
        return Made(name)

    def _numpy_array(self, name: str, cls, shape, code) -> Made:
        _require(cls == Global('numpy.ndarray') and shape == (0,) and code == b'b', 'a garbled array')
        return Made(name)

    def _getattr(self, name: str, owner, attribute) -> Made:
        if owner != Global(HISTORY) or attribute not in STATISTICS:
            raise Foreign(f'getattr({owner.name if isinstance(owner, Global) else owner}, {attribute})')
        return Made(name, parts=[attribute])


def _dtype(name: str) -> Any:
    module, _, attribute = name.partition('.')
    return vars(torch).get(attribute) if module == 'torch' else None


_CONSTANTS = {'NONE': None, 'NEWTRUE': True, 'NEWFALSE': False, 'EMPTY_TUPLE': ()}
_LITERALS = frozenset(
    ('BININT', 'BININT1', 'BININT2', 'LONG1', 'BINFLOAT', 'BINUNICODE', 'SHORT_BINUNICODE', 'SHORT_BINSTRING')
)
_TUPLES = {'TUPLE1': 1, 'TUPLE2': 2, 'TUPLE3': 3}
_NUMPY = ('numpy.core.multiarray', 'numpy._core.multiarray')  # numpy 1 and 2
_CALLS: dict[str, Callable] = {
    'torch._utils._rebuild_tensor': Outline._tensor,
    'torch._utils._rebuild_tensor_v2': Outline._tensor,
    'torch._utils._rebuild_tensor_v3': Outline._tensor,
    'torch._utils._rebuild_parameter': Outline._parameter,
    'collections.OrderedDict': Outline._ordered,
    'collections.Counter': Outline._counter,  # of milestones
    **dict.fromkeys(
        ('torch.Size', 'torch.device', 'builtins.set', 'builtins.slice', 'builtins.complex'), Outline._of_scalars
    ),
    '_codecs.encode': Outline._encode,
    'builtins.getattr': Outline._getattr,
    'numpy.dtype': Outline._numpy_dtype,
    **{f'{module}.scalar': Outline._numpy_scalar for module in _NUMPY},
    **{f'{module}._reconstruct': Outline._numpy_array for module in _NUMPY},
}


def _check_containers(value: Any, size: int) -> None:
    """Refuse containers that a reader could not walk through.

    Three references to one list in another, and so on, are few bytes and fill any memory when
    they are copied or printed.
    """
    weights: dict[int, tuple[int, int] | None] = {}

    def measure(item: Any, depth: int) -> tuple[int, int]:
        """Bytes as if nothing were shared, about, and depth."""
        if isinstance(item, (str, bytes)):
            return 8 + len(item), 0
        if isinstance(item, dict):
            parts = [*item.keys(), *item.values(), getattr(item, 'attributes', None)]
        elif isinstance(item, (list, tuple)):
            parts = item
        elif isinstance(item, Made):
            parts = item.parts
        else:
            return 8, 0
        if id(item) not in weights:
            _require(depth < _DEPTH, 'containers in containers without end')
            weights[id(item)] = None
            measured = [measure(part, depth + 1) for part in parts]
            weights[id(item)] = 8 + sum(n for n, _ in measured), 1 + max((d for _, d in measured), default=0)
        known = weights[id(item)]
        _require(known is not None, 'a container that holds itself')
        _require(depth + known[1] < _DEPTH, 'containers in containers without end')
        return known

    total, _ = measure(value, 0)
    _require(total <= 64 * size + 2**20, 'the same containers again and again')
