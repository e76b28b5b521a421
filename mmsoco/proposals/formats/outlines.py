"""Boxes of entries as COCO has them: their ``bbox`` or, where there is none, what their ``segmentation`` fills."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mmsoco.errors import UserError
from mmsoco.proposals.formats.base import BoxFile, to_table

#: What entries without boxes hold instead, and what to do.
_OTHERS = {
    'segments_info': 'COCO panoptic annotations; make boxes of them by panopticapi (panoptic2detection_coco_format.py)',
    'caption': 'captions and no boxes; give annotations of objects, such as instances_train2017.json',
    'counts': 'a mask without its entry; give the whole annotations',
}


def boxes_of(file: BoxFile, entries: Sequence[Any], row: Callable[[int], str], name: str) -> np.ndarray:
    """(N, 4) float64 xywh of entries; how many are those of outlines is noted.

    Args:
        row: What to call an entry in a message, by its number.
        name: Of their image.

    Raises:
        UserError: One has neither bbox nor segmentation, or it is broken.
    """
    try:
        table = np.array([entry['bbox'] for entry in entries], np.float64)
        if table.shape == (len(entries), 4):
            return table
    except (TypeError, ValueError, OverflowError, KeyError):
        pass
    boxes = [_box(file, entry, row(i), name) for i, entry in enumerate(entries)]
    return np.concatenate(boxes) if boxes else np.empty((0, 4))


def _box(file: BoxFile, entry: Any, where: str, name: str) -> np.ndarray:
    """(1, 4) of an entry."""
    if not isinstance(entry, dict):
        raise UserError(f'{where}: it is no object with a bbox')
    box = entry.get('bbox')
    # Tools that write masks leave it empty, too.
    if box in (None, []) and entry.get('segmentation'):
        file.taken['from their outlines, as they have no bbox'] += 1
        return bounds(entry['segmentation'], where)
    if box is None:
        for key, words in _OTHERS.items():
            if key in entry:
                raise UserError(f'{where}: it is of {words}')
    table = to_table([box], (4,), where)
    if len(table) != 1:
        raise UserError(f'{where}: a bbox of {name} is empty')
    return table


def bounds(outline: Any, where: str) -> np.ndarray:
    """(1, 4) xywh of what a segmentation fills: polygons, or runs of pixels as COCO writes them.

    Raises:
        UserError: It is neither.
    """
    words = f'{where}: it has no bbox, and its segmentation is neither polygons nor runs of pixels'
    try:
        if isinstance(outline, dict):
            return _bounds_of_runs(**{key: outline[key] for key in ('counts', 'size')})
        points = np.concatenate([np.array(polygon, np.float64).reshape(-1, 2) for polygon in outline])
    except (TypeError, ValueError, OverflowError, KeyError):
        raise UserError(words) from None
    if not len(points):
        raise UserError(words)
    low, high = points.min(axis=0), points.max(axis=0)
    return np.concatenate([low, high - low])[None]


def _bounds_of_runs(counts: str | Sequence[int], size: Sequence[int]) -> np.ndarray:
    """Of a mask's lengths of runs without and with it in turn, column by column."""
    height, width = map(int, size)
    lengths = np.array(_lengths(counts) if isinstance(counts, str) else counts, np.int64)
    ends = lengths.cumsum()
    if (
        lengths.ndim != 1
        or not len(ends)
        or (lengths < 0).any()
        or min(height, width) < 1
        or ends[-1] != height * width
    ):
        raise ValueError('not the runs of such a mask')
    starts, stops = ends[:-1:2], ends[1::2]
    filled = stops > starts
    starts, stops = starts[filled], stops[filled] - 1
    if not len(starts):
        return np.zeros((1, 4))
    # A run that goes on in the next column touches the bottom of the one and the top of the other.
    goes_on = starts // height < stops // height
    x, right = starts[0] // height, stops[-1] // height + 1
    y = 0 if goes_on.any() else (starts % height).min()
    bottom = height if goes_on.any() else (stops % height).max() + 1
    return np.array([[x, y, right - x, bottom - y]], np.float64)


def _lengths(text: str) -> list[int]:
    """The lengths that COCO writes as text: five bits a letter; from the fourth on, what is more than two before."""
    lengths: list[int] = []
    value = shift = 0
    for letter in text.encode('ascii'):
        bits = letter - 48
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            if shift > 60:
                raise ValueError('no length of a run')
            continue
        if bits & 16:
            value -= 1 << shift
        lengths.append(value + (lengths[-2] if len(lengths) > 2 else 0))
        value = shift = 0
    if shift:
        raise ValueError('cut off')
    return lengths
