"""The proposal file: Arrow, opened in no time, read a row at a time.

One row an image: ``file_name`` (POSIX path relative to the root), ``width``,
``height`` and ``boxes``, a list of xyxy boxes in pixels, int16 unless an image
has a side that needs more. The schema's metadata carries a header (JSON): who
made the file, how, from which folder, how many rows, and a checksum over the
header and the rows.
"""

import hashlib
import json
import math
import mmap
import os
import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from mmsoco.errors import UserError, reason
from mmsoco.files import atomic_path, open_regular
from mmsoco.proposals.faults import find_fault, null_row
from mmsoco.proposals.plain_arrow import only_batch

FORMAT = 2
_HEADER_KEY = b'mmsoco.proposals'
_BOX_TYPES = (np.int16, np.uint16, np.int32)


def _schema(box_type: pa.DataType) -> pa.Schema:
    boxes = pa.large_list(pa.list_(box_type, 4))
    return pa.schema({'file_name': pa.large_string(), 'width': pa.int32(), 'height': pa.int32(), 'boxes': boxes})


_SCHEMAS = [_schema(pa.from_numpy_dtype(dtype)) for dtype in _BOX_TYPES]


class ProposalRow(NamedTuple):
    """An image and its proposals: boxes are (N, 4), xyxy in pixels, an integer type."""

    file_name: str
    width: int
    height: int
    boxes: np.ndarray


def _box_type(largest_side: int) -> np.dtype:
    for dtype in _BOX_TYPES:
        if largest_side <= np.iinfo(dtype).max:
            return np.dtype(dtype)
    raise UserError(f'an image has a side of {largest_side} px, more than a proposal file can hold')


class _Columns(NamedTuple):
    """The memory of a file's rows: row i has the boxes from ends[i] to ends[i + 1], and likewise its name."""

    name_ends: np.ndarray
    name_bytes: np.ndarray
    widths: np.ndarray
    heights: np.ndarray
    ends: np.ndarray
    boxes: np.ndarray

    @classmethod
    def of(cls, batch: pa.RecordBatch) -> '_Columns':
        _, ends, content = batch.column('file_name').buffers()
        # Without rows, Arrow may leave the buffers out.
        name_ends = np.frombuffer(ends, np.int64, batch.num_rows + 1) if batch.num_rows else np.zeros(1, np.int64)
        name_bytes = np.frombuffer(content or b'', np.uint8, name_ends[-1])
        boxes = batch.column('boxes')
        return cls(
            name_ends,
            name_bytes,
            batch.column('width').to_numpy(),
            batch.column('height').to_numpy(),
            boxes.offsets.to_numpy(),
            boxes.values.values.to_numpy().reshape(-1, 4),
        )

    def checksum(self, header: dict) -> str:
        """SHA-256 over the header, its own ``checksum`` aside, and the rows."""
        words = {key: value for key, value in header.items() if key != 'checksum'}
        digest = hashlib.sha256(json.dumps(words, sort_keys=True).encode())
        for column in self:
            digest.update(f'{column.dtype}{column.shape}'.encode())
            digest.update(column)
        return digest.hexdigest()


def write_proposals(path: str | os.PathLike, rows: Iterable[ProposalRow], header: dict) -> int:
    """Write a proposal file, under a temporary name first.

    The same rows and header give the same bytes.

    Args:
        rows: The images, in the order in which they are kept.
        header: Provenance, anything JSON can hold; ``format``, ``count`` and
            ``checksum`` are added.

    Returns:
        The number of rows.

    Raises:
        UserError: There is a row that :meth:`ProposalStore.open` would refuse.
    """
    names, sizes, counts, boxes = [], [], [], []
    for row in rows:
        names.append(row.file_name)
        sizes.append((row.width, row.height))
        counts.append(len(row.boxes))
        boxes.append(row.boxes)
    sizes = np.array(sizes, np.int64).reshape(-1, 2)
    dtype = _box_type(int(sizes.max(initial=0)))
    sizes = sizes.astype(np.int32)
    flat = np.concatenate([b.astype(dtype).reshape(-1) for b in boxes] or [np.empty(0, dtype)])
    # 64-bit offsets: a hundred million boxes are no rarity.
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    columns = [
        pa.array(names, pa.large_string()),
        pa.array(sizes[:, 0]),
        pa.array(sizes[:, 1]),
        pa.LargeListArray.from_arrays(offsets, pa.FixedSizeListArray.from_arrays(pa.array(flat), 4)),
    ]
    batch = pa.record_batch(columns, schema=_schema(pa.from_numpy_dtype(dtype)))
    fault = find_fault(batch)
    if fault is not None:
        raise UserError(f'{path} would not be read again: {fault}; mend what makes the rows')
    # Through JSON and back, for the checksum to see what a reader will see.
    header = json.loads(json.dumps({'format': FORMAT, 'count': len(names), **header}))
    header.setdefault('checksum', _Columns.of(batch).checksum(header))
    batch = batch.replace_schema_metadata({_HEADER_KEY: json.dumps(header, sort_keys=True).encode()})
    with atomic_path(path) as temporary, pa.ipc.new_file(str(temporary), batch.schema) as writer:
        writer.write_batch(batch)
    return len(names)


class ProposalStore:
    """A proposal file, open for reading.

    The file is mapped to open it and to go through it from end to end. Single
    rows are read from where they lie: with a map, kernels count whole blocks of
    up to 2 MB around each row as the process' memory, soon the whole file. So a
    store takes next to no memory, and travels to loader workers as its path.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = os.fspath(path)
        self.header, batch, start = self._map()
        # Column -> where it begins in the file, its type, bytes of a row.
        self._layout = {
            name: (column.ctypes.data - start, column.dtype, column.itemsize * math.prod(column.shape[1:]))
            for name, column in _Columns.of(batch)._asdict().items()
        }
        self._file = open_regular(path)

    def _map(self) -> tuple[dict, pa.RecordBatch, int]:
        """Header, rows and the address of the file's first byte, in a map that lives as long as the rows."""
        try:
            with open_regular(self.path) as file:
                content = pa.py_buffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
            batch = only_batch(content)
            header = self._read_header(batch.schema)
            # A wrong length must not be followed out of the file.
            batch.validate()
            missing = null_row(batch)
            if missing is not None:
                raise UserError(f'{self.path}: row {missing} lacks a value; mend what made the file, and make it again')
        except UserError:
            raise
        except FileNotFoundError:
            raise UserError(f'{self.path} does not exist; make it with mmsoco search and mmsoco filter') from None
        # Of a damaged file, Arrow may say anything.
        except Exception as error:
            raise UserError(
                f'{self.path} is not a proposal file, or not all of one ({reason(error, bare=True)})'
            ) from None
        if batch.num_rows != header['count']:
            raise UserError(f'{self.path} should hold {header["count"]} rows but holds {batch.num_rows}')
        return header, batch, content.address

    def _read_header(self, schema: pa.Schema) -> dict:
        words = (schema.metadata or {}).get(_HEADER_KEY)
        if words is None:
            raise UserError(f'{self.path} is an Arrow file but holds no proposals')
        try:
            header = json.loads(words)
            number, _, _ = (header[key] for key in ('format', 'count', 'checksum'))
            if not isinstance(header.get('root', ''), str):
                raise TypeError
        except (ValueError, KeyError, TypeError):
            raise UserError(f'{self.path} has a damaged header; copy or make the file again') from None
        if number != FORMAT:
            raise UserError(f'{self.path} has format {number}, this mmsoco reads {FORMAT}; make the file again')
        if schema.remove_metadata() not in _SCHEMAS:
            raise UserError(f'{self.path} has other columns than a proposal file; copy or make the file again')
        return header

    @classmethod
    def open(cls, path: str | os.PathLike) -> 'ProposalStore':
        """Open a proposal file, and look at all of its rows; workers that are sent the store do not again.

        Raises:
            UserError: There is no such file, or it is something else, cut
                short, of another format, or has a row that cannot be: see
                :mod:`mmsoco.proposals.faults`.
        """
        store = cls(path)
        _, batch, _ = store._map()
        try:
            fault = find_fault(batch)
        except pa.ArrowInvalid as error:
            fault = f'its rows are damaged ({reason(error, bare=True)})'
        if fault is not None:
            raise UserError(f'{store.path}: {fault}; mend what made the file, and make it again')
        return store

    def __reduce__(self):
        return ProposalStore, (self.path,)

    def __len__(self) -> int:
        return self.header['count']

    def __getitem__(self, index: int) -> ProposalRow:
        """Row ``index``."""
        if not 0 <= index < len(self):
            raise IndexError(f'row {index} of {len(self)}')
        name = self._read('name_bytes', *self._numbers('name_ends', index, 2))
        boxes = self._read('boxes', *self._numbers('ends', index, 2))
        (width,), (height,) = (self._numbers(column, index, 1) for column in ('widths', 'heights'))
        _, dtype, _ = self._layout['boxes']
        return ProposalRow(name.decode(), width, height, np.frombuffer(boxes, dtype).reshape(-1, 4))

    def _read(self, column: str, first: int, last: int) -> bytes:
        """Rows ``first`` to ``last`` of a column."""
        start, _, size = self._layout[column]
        if first == last:
            return b''  # an empty column lies nowhere
        # Not seek and read: forked processes share the place in the file.
        return os.pread(self._file.fileno(), (last - first) * size, start + first * size)

    def _numbers(self, column: str, first: int, count: int) -> tuple[int, ...]:
        _, dtype, _ = self._layout[column]
        return struct.unpack(f'{count}{dtype.char}', self._read(column, first, first + count))

    def __iter__(self) -> Iterator[ProposalRow]:
        """All rows in order; their boxes are views of a map, which they keep open."""
        _, batch, _ = self._map()
        columns = _Columns.of(batch)
        names = columns.name_bytes.data
        for i in range(len(self)):
            yield ProposalRow(
                bytes(names[columns.name_ends[i] : columns.name_ends[i + 1]]).decode(),
                int(columns.widths[i]),
                int(columns.heights[i]),
                columns.boxes[columns.ends[i] : columns.ends[i + 1]],
            )

    def names(self) -> Iterator[str]:
        """The images of all rows in order."""
        _, batch, _ = self._map()
        names = batch.column('file_name')
        for start in range(0, len(names), 2**16):
            yield from names[start : start + 2**16].to_pylist()

    def verify(self) -> 'ProposalStore':
        """Compare header and rows with the checksum; reads the whole file.

        Returns:
            This store.

        Raises:
            UserError: They differ: the file was altered.
        """
        header, batch, _ = self._map()
        if _Columns.of(batch).checksum(header) != header['checksum']:
            raise UserError(f'{self.path} does not match its checksum; copy or make the file again')
        return self
