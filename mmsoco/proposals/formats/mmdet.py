"""mmdet's pickle, as its DumpProposals writes and its data sets read: {folder/name: dict or InstanceData}."""

import pickle
import re
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mmsoco.errors import UserError
from mmsoco.proposals.formats.base import Boxes, BoxFile, BoxFormat, to_scores, to_table
from mmsoco.proposals.registry import FORMATS
from mmsoco.proposals.store import ProposalStore


class _Plain:
    """What stands in for an InstanceData: its attributes, none of its code."""


class _Type:
    """What stands in for a dtype: of plain numbers."""

    def __init__(self, name: str, *_: Any):
        if not re.fullmatch(r'[fiu][1248]|b1', name):
            raise UserError(f'it holds an array of {name!r}; save arrays of numbers')
        self.type = np.dtype(name)

    def __setstate__(self, state: tuple) -> None:
        self.type = self.type.newbyteorder(state[1])


class _Array:
    """What stands in for an array: numpy's own takes as much memory as a pickle asks for, before it has the numbers."""

    def __init__(self):
        self.array = np.empty(0)

    def __setstate__(self, state: tuple) -> None:
        _, shape, of, is_fortran, content = state
        # Not more numbers than there are bytes of.
        self.array = np.ndarray(shape, of.type, content, order='F' if is_fortran else 'C')

    def __array__(self, dtype: np.dtype | None = None, copy: bool | None = None) -> np.ndarray:
        return self.array if dtype is None else self.array.astype(dtype)


def _array_5(content: bytes, of: _Type, shape: tuple, order: str) -> _Array:
    """An array of pickle protocol 5."""
    array = _Array()
    array.array = np.ndarray(shape, of.type, content, order=order)
    return array


def _scalar(of: _Type, content: bytes) -> np.generic:
    return np.ndarray((), of.type, content)[()]


_STAND_INS = {
    ('multiarray', '_reconstruct'): lambda *_: _Array(),
    ('multiarray', 'scalar'): _scalar,
    ('numeric', '_frombuffer'): _array_5,
}


# The pure-Python one: that in C takes memory for as many objects as a pickle says it will number.
class _DataUnpickler(pickle._Unpickler):
    """Loads arrays and containers, and nothing that could run code or takes more memory than the file has bytes."""

    _KNOWN = {
        **{
            (f'numpy.{core}.{module}', name): _STAND_INS[module, name]
            for core in ('core', '_core')
            for module, name in _STAND_INS
        },
        # Only named, as the class of what _reconstruct makes.
        ('numpy', 'ndarray'): None,
        ('numpy', 'dtype'): _Type,
        # How bytes are written by protocol 2, which mmengine takes.
        ('_codecs', 'encode'): lambda text, _: text.encode('latin1'),
        ('builtins', 'set'): set,
        ('collections', 'OrderedDict'): OrderedDict,
    }

    def load_build(self) -> None:
        """Give an object its state; classes and functions are not to be changed."""
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, _Type | _Array):
            target.__setstate__(state)
        elif isinstance(target, _Plain) and isinstance(state, dict):
            vars(target).update(state)
        else:
            raise UserError(f'it sets a state of {type(target).__name__}; save dicts of numpy arrays')

    dispatch = {**pickle._Unpickler.dispatch, pickle.BUILD[0]: load_build}

    def find_class(self, module: str, name: str) -> Any:
        if name == 'InstanceData' and module.startswith('mmengine.structures'):
            return _Plain
        if (module, name) in self._KNOWN:
            return self._KNOWN[module, name]
        raise UserError(f'it holds {module}.{name}, which is not read, as it could run code; save numpy arrays')


@FORMATS.register('mmdet')
class MMDet(BoxFormat):
    """mmdet's proposal file."""

    endings = ('.pkl', '.pickle')

    def read(self, file: BoxFile) -> Iterator[Boxes]:
        """Boxes, without running code that may be in the file."""
        path = file.path
        try:
            with path.open('rb') as pickled:
                content = _DataUnpickler(pickled).load()
        except FileNotFoundError:
            raise UserError(f'{path} does not exist') from None
        except UserError as error:
            raise UserError(f'{path} is not loaded: {error}') from None
        except Exception as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise UserError(f'{path} is not a pickle, or not all of one ({reason})') from None
        if not isinstance(content, dict):
            raise UserError(
                f'{path} does not say which image its boxes are of; write it with mmdet 3, by DumpProposals'
            )
        left = path.stat().st_size
        for name, entry in content.items():
            fields = entry if isinstance(entry, dict) else vars(entry) if isinstance(entry, _Plain) else {}
            if not isinstance(name, str) or 'bboxes' not in fields:
                raise UserError(f'{path}, {name if isinstance(name, str) else type(name)}: it has no bboxes')
            arrays = [value for value in (fields['bboxes'], fields.get('scores')) if value is not None]
            if not all(isinstance(value, _Array) for value in arrays):
                raise UserError(f'{path}, {name}: its bboxes or scores are no numpy array; save bboxes.numpy()')
            # One array may stand for many: a small file for all of the memory.
            left -= sum(value.array.size for value in arrays)
            if left < 0:
                raise UserError(f'{path} names more boxes than it has bytes; write it with mmdet 3, by DumpProposals')
            boxes = to_table(fields['bboxes'], (4,), f'{path}, {name}')
            scores = fields.get('scores')
            if scores is not None:
                scores = to_scores(scores, len(boxes), f'{path}, {name}')
            yield Boxes(name, boxes, lambda i, name=name: f'{name}, box {i + 1}', scores)

    def key(self, root: Path, file_name: str) -> str:
        """Its folder and its name."""
        return '/'.join((root / file_name).parts[-2:])

    def write(self, store: ProposalStore, file: BoxFile) -> None:
        """Plain dicts; all scores are 1."""
        content: dict[str, dict[str, np.ndarray]] = {}
        for row in store:
            key = self.key(Path(store.header['root']), row.file_name)
            if key in content:
                raise UserError(f'two images are called {key}, which mmdet cannot tell apart; choose another format')
            content[key] = dict(bboxes=row.boxes.astype(np.float32), scores=np.ones(len(row.boxes), np.float32))
        with file.path.open('wb') as pickled:
            pickle.dump(content, pickled, protocol=4)
