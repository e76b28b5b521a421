"""What no row of a proposal file may be: looked for in all rows at once, in flat memory."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mmsoco.images.folders import NO_PATH_BELOW

#: Boxes that are looked at together.
CHUNK = 2**18


def null_row(batch: pa.RecordBatch) -> int | None:
    """The first row of which something is missing, None where nothing is."""
    boxes = batch.column('boxes')
    if not any(part.null_count for part in (*batch.columns, boxes.values, boxes.values.values)):
        return None
    for column in batch.columns:
        if column.null_count:
            return pc.index(column.is_null(), True).as_py()
    quads = boxes.values
    box = quads.is_null() if quads.null_count else quads.values.is_null()
    number = pc.index(box, True).as_py() // (1 if quads.null_count else 4)
    return int(np.searchsorted(boxes.offsets.to_numpy(), number, side='right')) - 1


def find_fault(batch: pa.RecordBatch) -> str | None:
    """What is wrong with the first bad row, in words; None where all are good.

    Args:
        batch: All rows, of the columns of a proposal file, without nulls.

    Raises:
        pyarrow.ArrowInvalid: Offsets are out of order, or a name is not UTF-8.
    """
    batch.validate(full=True)
    return next(_faults(batch), None)


def _faults(batch: pa.RecordBatch) -> Iterator[str]:
    """The first of each kind."""
    names, boxes = batch.column('file_name'), batch.column('boxes')
    sides = np.stack([batch.column(side).to_numpy() for side in ('width', 'height')], axis=1)

    def row(number: int) -> str:
        return f'row {number} ({names[number].as_py()[:200]!r})'

    bad = pc.index(pc.match_substring_regex(names, NO_PATH_BELOW), True).as_py()
    if bad >= 0:
        yield f'{row(bad)} is no path below a folder'
    flat = (sides < 1).any(axis=1)
    if flat.any():
        bad = int(flat.argmax())
        yield f'{row(bad)} is an image of {sides[bad, 0]}x{sides[bad, 1]}'
    bad = _bad_box(sides, boxes.offsets.to_numpy(), boxes.values.values.to_numpy().reshape(-1, 4))
    if bad is not None:
        number, box, words = bad
        yield f'{row(number)} has the box {box.tolist()} (x1, y1, x2, y2), which {words}'
    bad = _repeated(names)
    if bad is not None:
        yield f'{row(bad)} is there twice'


def _repeated(names: pa.LargeStringArray) -> int | None:
    """The first row whose name another one before it has."""
    # As searches have them: in order, so that neighbours tell.
    if pc.all(pc.less(names[:-1], names[1:])).as_py():
        return None
    # Numbers instead of names, which would take hundreds of MB in a set.
    parts = (names[start : start + CHUNK].to_pylist() for start in range(0, len(names), CHUNK))
    hashes = np.fromiter((hash(name) for part in parts for name in part), np.int64, len(names))
    order = hashes.argsort(kind='stable')
    twice = np.flatnonzero(np.diff(hashes[order]) == 0) + 1
    # Those with equal numbers are looked at by name: two names may share one.
    seen: dict[str, int] = {}
    for number in sorted({*order[twice].tolist(), *order[twice - 1].tolist()}):
        if seen.setdefault(names[number].as_py(), number) != number:
            return number
    return None


def _bad_box(sides: np.ndarray, ends: np.ndarray, boxes: np.ndarray) -> tuple[int, np.ndarray, str] | None:
    """Row, box and what is wrong with it, of the first bad one.

    Args:
        sides: (N, 2) width and height of the images.
        ends: (N + 1,) row i has the boxes from ends[i] to ends[i + 1].
        boxes: (M, 4) of any integer type.
    """
    # In the boxes' type, which takes a fraction of the time.
    limits = sides.clip(max=np.iinfo(boxes.dtype).max).astype(boxes.dtype)
    for start in range(int(ends[0]), int(ends[-1]), CHUNK):
        stop = min(start + CHUNK, int(ends[-1]))
        first, last = np.searchsorted(ends, (start, stop - 1), side='right') - 1
        counts = np.diff(ends[first : last + 2].clip(start, stop))
        width, height = (limit[first : last + 1].repeat(counts) for limit in limits.T)
        x1, y1, x2, y2 = boxes[start:stop].T
        checks = {
            'has no area': (x1 >= x2) | (y1 >= y2),
            'lies outside of its image': (x1 < 0) | (y1 < 0) | (x2 > width) | (y2 > height),
        }
        for words, flags in checks.items():
            if flags.any():
                box = start + int(flags.argmax())
                return int(np.searchsorted(ends, box, side='right')) - 1, boxes[box], words
    return None
