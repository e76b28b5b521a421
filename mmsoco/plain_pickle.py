"""Reading pickles that hold data, of any protocol, without running what may be in them."""

import os
import pickle
import re
from collections import OrderedDict
from collections.abc import Callable
from typing import IO, Any, ClassVar

import numpy as np

from mmsoco.errors import UserError

#: Modules by the names that protocols 0 to 2, and numpy before 2, have for them.
_PRESENT = {
    '__builtin__': 'builtins',
    'copy_reg': 'copyreg',
    'numpy.core.multiarray': 'numpy._core.multiarray',
    'numpy.core.numeric': 'numpy._core.numeric',
}


#: An array's bytes are, by protocols 0 to 2, a string first, then bytes, and then the array.
COPIES = 3


class NotPlain(UserError):
    """What a pickle holds that is no data; the message goes on after its name."""


class Record:
    """What stands in for an object of attributes: these alone, none of its code."""


# The one in Python: how an object gets its state can be looked at there, and it takes no memory by what a pickle says.
class PlainUnpickler(pickle._Unpickler):
    """Makes numbers, strings, containers and numpy arrays of these, and nothing else.

    What it makes takes no more than some copies of the file.

    Args:
        file: Open to read bytes, and to seek.

    Attributes:
        RECORDS: (module, name) -> class of what objects of attributes become.
        REFUSAL: What to say of everything else.
    """

    RECORDS: ClassVar[dict[tuple[str, str], type]] = {
        ('mmengine.structures.instance_data', 'InstanceData'): Record,
    }
    REFUSAL: ClassVar[str] = 'which is not read, as it could run code; save numpy arrays'

    def __init__(self, file: IO[bytes], **options: Any):
        # Python 2 wrote bytes as strings.
        super().__init__(file, **{'encoding': 'latin1', **options})
        start = file.tell()
        self._left = COPIES * (file.seek(0, os.SEEK_END) - start)
        file.seek(start)
        self._known: dict[tuple[str, str], Callable | None] = {
            ('numpy._core.multiarray', '_reconstruct'): lambda *_: np.empty(0),
            ('numpy._core.multiarray', 'scalar'): lambda of, content: np.ndarray((), of, _bytes(content))[()],
            ('numpy._core.numeric', '_frombuffer'): lambda content, of, shape, order: np.ndarray(
                shape, of, content, order=order
            ),
            # Only named, as the class of what _reconstruct makes.
            ('numpy', 'ndarray'): None,
            ('numpy', 'dtype'): _dtype,
            ('copyreg', '_reconstructor'): self._new_record,
            ('builtins', 'object'): None,
            ('_codecs', 'encode'): self._encode,
            ('builtins', 'bytes'): lambda: b'',
            ('builtins', 'bytearray'): lambda content=b'', _=None: bytearray(self._counted(_bytes(content))),
            ('builtins', 'complex'): lambda real, imaginary: complex(float(real), float(imaginary)),
            ('builtins', 'set'): lambda items=(): set(self._counted(items)),
            ('builtins', 'frozenset'): lambda items=(): frozenset(self._counted(items)),
            ('collections', 'OrderedDict'): lambda items=(): OrderedDict(self._counted(items)),
            ('collections', 'defaultdict'): lambda _=None: {},
            **{('builtins', factory): None for factory in ('dict', 'float', 'int', 'list', 'str')},
        }

    def find_class(self, module: str, name: str) -> Any:
        """What a pickle may name."""
        module = _PRESENT.get(module, module)
        if (module, name) in self.RECORDS:
            return self.RECORDS[module, name]
        if (module, name) not in self._known:
            raise NotPlain(f'holds {module}.{name}, {self.REFUSAL}')
        return self._known[module, name]

    def load_build(self) -> None:
        """Give an object its state; classes and functions are not to be changed."""
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, np.dtype):
            _set_order(target, state)
        elif isinstance(target, np.ndarray):
            self._fill(target, *state)
        elif type(target) in self.RECORDS.values() and isinstance(state, dict):
            vars(target).update(state)
        else:
            raise NotPlain(f'sets a state of {type(target).__name__}; save dicts of numpy arrays')

    dispatch: ClassVar[dict] = {**pickle._Unpickler.dispatch, pickle.BUILD[0]: load_build}

    def _fill(
        self, array: np.ndarray, version: Any, shape: tuple, of: np.dtype, by_columns: bool, content: Any
    ) -> None:
        content = self._counted(_bytes(content))
        # numpy takes the memory for a shape before it looks for the numbers.
        if of.hasobject or np.ndarray(shape, of, content).nbytes != len(content):
            raise ValueError('an array of another size than it says')
        array.__setstate__((1, shape, of, bool(by_columns), content))

    def _new_record(self, cls: Any, *_: Any) -> Any:
        if cls not in self.RECORDS.values():
            raise NotPlain(f'makes {cls!r}; save dicts of numpy arrays')
        return cls.__new__(cls)

    def _encode(self, text: str, encoding: str) -> bytes:
        if encoding != 'latin1':  # as pickle writes bytes by protocols 0 to 2
            raise NotPlain(f'holds bytes by {encoding!r}; save arrays and containers')
        return self._counted(text.encode(encoding))

    def _counted(self, content: Any) -> Any:
        """The same; one thing may be named often, and be copied each time: a small file for all of the memory."""
        self._left -= len(content)
        if self._left < 0:
            raise NotPlain('makes more than it has bytes for; save it again')
        return content


def _bytes(content: Any) -> bytes:
    """As protocols 3 and on have them; of Python 2, a string."""
    return (
        content.encode('latin1')
        if isinstance(content, str)
        else bytes(content)
        if isinstance(content, bytearray)
        else content
    )


def _dtype(code: str, *_: Any) -> np.dtype:
    if not re.fullmatch(r'[biufc][0-9]{1,2}|[SU][1-9][0-9]*', code):
        raise NotPlain(f'holds an array of {code!r}; save arrays of numbers')
    # A copy, as its order of bytes is set.
    return np.dtype(code, False, True)


def _set_order(of: np.dtype, state: tuple) -> None:
    """Set the order of a dtype's bytes, and nothing else."""
    version, order, *others = state
    plain = (None, None, None, *((of.itemsize, of.alignment) if of.kind in 'SU' else (-1, -1)), of.flags)
    if order not in ('<', '>', '|', '=') or tuple(others[:6]) != plain or len(others) > 6:
        raise NotPlain('holds a garbled kind of numbers; save it again')
    of.__setstate__((version, order, *others))
