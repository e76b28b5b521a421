"""The proposal file: Arrow, memory-mapped, read a row at a time.

One row a picture: ``file_name`` (POSIX path relative to the root), ``width``,
``height`` and ``boxes``, a list of xyxy boxes in pixels, int16 unless a picture
has a side that needs more. The schema's metadata carries a header (JSON): who
made the file, how, from which folder, how many rows and a checksum over them.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from mmsoco.errors import UserError
from mmsoco.files import atomic_path

FORMAT = 1
_HEADER_KEY = b'mmsoco.proposals'


class ProposalRow(NamedTuple):
    """A picture and its proposals: boxes are (N, 4), xyxy in pixels, an integer type."""

    file_name: str
    width: int
    height: int
    boxes: np.ndarray


def _box_type(largest_side: int) -> np.dtype:
    for dtype in (np.int16, np.uint16, np.int32):
        if largest_side <= np.iinfo(dtype).max:
            return np.dtype(dtype)
    raise UserError(f'a picture has a side of {largest_side} px, more than a proposal file can hold')


def _checksum(columns: Iterable[np.ndarray | bytes]) -> str:
    digest = hashlib.sha256()
    for column in columns:
        digest.update(column)
    return digest.hexdigest()


def write_proposals(path: str | os.PathLike, rows: Iterable[ProposalRow], header: dict) -> int:
    """Write a proposal file, under a temporary name first.

    The same rows and header give the same bytes.

    Args:
        rows: The pictures, in the order in which they are kept.
        header: Provenance, anything JSON can hold; ``format``, ``count`` and
            ``checksum`` are added.

    Returns:
        The number of rows.
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
    columns = {
        'file_name': pa.array(names, pa.large_string()),
        'width': pa.array(sizes[:, 0]),
        'height': pa.array(sizes[:, 1]),
        'boxes': pa.LargeListArray.from_arrays(offsets, pa.FixedSizeListArray.from_arrays(pa.array(flat), 4)),
    }
    header = {
        'format': FORMAT,
        'count': len(names),
        'checksum': _checksum(('\0'.join(names).encode(), np.ascontiguousarray(sizes), offsets, flat)),
        **header,
    }
    schema = pa.schema(
        [(name, column.type) for name, column in columns.items()],
        metadata={_HEADER_KEY: json.dumps(header, sort_keys=True).encode()},
    )
    batch = pa.record_batch(list(columns.values()), schema=schema)
    with atomic_path(path) as temporary, pa.ipc.new_file(str(temporary), schema) as writer:
        writer.write_batch(batch)
    return len(names)


class ProposalStore:
    """A proposal file, open for reading.

    The file is mapped, not read: opening is instant, processes share the pages,
    and a store travels to loader workers as its path.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = os.fspath(path)
        try:
            # Kept: when the map is collected, so are the arrays' pages.
            self._map = pa.memory_map(self.path)
            reader = pa.ipc.open_file(self._map)
        except FileNotFoundError:
            raise UserError(
                f'{self.path} does not exist; make it with data_pipelines/selective_search.py and filter_proposals.py'
            ) from None
        except (pa.ArrowInvalid, OSError) as error:
            reason = str(error).splitlines()[0]
            raise UserError(f'{self.path} is not a proposal file, or not all of one ({reason})') from None
        header = (reader.schema.metadata or {}).get(_HEADER_KEY)
        if header is None:
            raise UserError(f'{self.path} is an Arrow file but holds no proposals')
        self.header: dict = json.loads(header)
        if self.header['format'] != FORMAT:
            raise UserError(
                f'{self.path} has format {self.header["format"]}, this mmsoco reads {FORMAT}; make the file again'
            )
        batch = reader.get_batch(0)
        if batch.num_rows != self.header['count']:
            raise UserError(f'{self.path} should hold {self.header["count"]} rows but holds {batch.num_rows}')
        boxes = batch.column('boxes')
        self._names = batch.column('file_name')
        self._widths = batch.column('width').to_numpy()
        self._heights = batch.column('height').to_numpy()
        self._offsets = boxes.offsets.to_numpy()
        self._boxes = boxes.values.values.to_numpy().reshape(-1, 4)

    @classmethod
    def open(cls, path: str | os.PathLike) -> 'ProposalStore':
        """Open a proposal file.

        Raises:
            UserError: There is no such file, or it is something else, cut
                short, or of another format.
        """
        return cls(path)

    def __reduce__(self):
        return ProposalStore, (self.path,)

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, index: int) -> ProposalRow:
        """Row ``index``; its boxes are a view of the mapped file, not a copy."""
        if not 0 <= index < len(self):
            raise IndexError(f'row {index} of {len(self)}')
        return ProposalRow(
            self._names[int(index)].as_py(),
            int(self._widths[index]),
            int(self._heights[index]),
            self._boxes[self._offsets[index] : self._offsets[index + 1]],
        )

    def __iter__(self) -> Iterator[ProposalRow]:
        return (self[i] for i in range(len(self)))

    def verify(self) -> None:
        """Compare the rows with the header's checksum.

        Raises:
            UserError: They differ: the file was altered.
        """
        sizes = np.stack([self._widths, self._heights], axis=1)
        names = '\0'.join(self._names.to_pylist()).encode()
        boxes = np.ascontiguousarray(self._boxes)
        if _checksum((names, sizes, np.ascontiguousarray(self._offsets), boxes)) != self.header['checksum']:
            raise UserError(f'{self.path} does not match its checksum; copy or make the file again')

    def check_root(self, root: str | os.PathLike, sample: int = 16) -> None:
        """Refuse pictures that the proposals were not made for.

        Looks for ``sample`` evenly spaced files. A few missing ones are a data
        set with gaps; when most are missing, it is another folder.

        Raises:
            UserError: With both folders named.
        """
        if not Path(root).is_dir():
            raise UserError(f'{root} is not a folder; give the folder that holds the pictures of {self.path}')
        rows = np.unique(np.linspace(0, len(self) - 1, sample).astype(int)) if len(self) else []
        missing = [name for i in rows if not Path(root, name := self._names[int(i)].as_py()).is_file()]
        if 2 * len(missing) > len(rows):
            raise UserError(
                f'{self.path} was made for {self.header["root"]}, but {root} has not its pictures '
                f'({missing[0]} is missing); give the folder it was made for'
            )
