"""Samples of any type to 8 bits."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

#: Bits that cameras and scanners have, in wider types that do not tell.
BITS = (8, 10, 12, 14, 16, 24, 32)
#: As QGIS and others stretch what they draw.
PERCENTILES = (2, 98)


class Met(NamedTuple):
    """Values of more than 8 bits, as they were met.

    Attributes:
        kind: Their type, such as ``uint16``.
        low, high: The smallest and the largest.
        by: What became 0 and 255, such as ``0..4095``.
    """

    kind: str
    low: float
    high: float
    by: str


def to_8_bits(
    samples: np.ndarray,
    value_range: str | tuple[float, float] = 'file',
    declared: tuple[float, float] | None = None,
    nodata: float | None = None,
) -> tuple[np.ndarray, Met | None]:
    """Scale samples to 0 to 255; what lies outside of the range is cut, what is no number becomes 0.

    Args:
        samples: (H, W, C) of any type of real numbers.
        value_range: See :class:`~mmsoco.images.reading.Reading`.
        declared: The values that the file says are its lowest and highest.
        nodata: The value of pixels that are no part of the image; it counts for no range, and becomes 0.

    Returns:
        (H, W, C) uint8, and what was met; None of that for 8 bits that stay as they are.
    """
    if samples.dtype == bool:
        return samples.astype(np.uint8) * np.uint8(255), None
    if samples.dtype == np.uint8 and declared is None and value_range in ('file', 'type'):
        return samples, None
    if not np.issubdtype(samples.dtype, np.integer):
        samples = samples.astype(np.float64 if samples.dtype.itemsize > 4 else np.float32, copy=False)
    outside = _where(samples, nodata)
    known = samples if outside is None else samples[~outside]
    low, high = _extremes(known)
    if value_range == 'percentiles':
        # Channel by channel: each may be on a scale of its own.
        ranges = [
            _percentiles(samples[..., i] if outside is None else samples[..., i][~outside[..., i]])
            for i in range(samples.shape[2])
        ]
        by = f'percentiles {PERCENTILES[0]}..{PERCENTILES[1]}'
    else:
        if value_range == 'file':
            found = declared or _range_of(samples.dtype, low, high)
        elif value_range == 'type':
            found = _type_range(samples.dtype)
        else:
            found = value_range
        ranges = [found] * samples.shape[2]
        by = '..'.join(map(_short, found))
    channels = [_scale(samples[..., i], *ends) for i, ends in enumerate(ranges)]
    scaled = np.stack(channels, axis=2)
    if outside is not None:
        scaled[outside] = 0
    return scaled, Met(str(samples.dtype), low, high, by)


def _where(samples: np.ndarray, value: float | None) -> np.ndarray | None:
    """Which samples have a value; None where none can, or where it is none."""
    if value is None or not np.isfinite(value):
        return None
    limits = np.iinfo(samples.dtype) if np.issubdtype(samples.dtype, np.integer) else None
    if limits is not None and not (limits.min <= value <= limits.max and value == int(value)):
        return None
    return samples == np.array(value, samples.dtype)


def _short(number: float) -> str:
    return str(number) if isinstance(number, int) else f'{number:g}'


def _extremes(samples: np.ndarray) -> tuple[float, float]:
    """The smallest and the largest finite value; 0 and 0 where there is none."""
    if np.issubdtype(samples.dtype, np.integer):
        return (int(samples.min()), int(samples.max())) if samples.size else (0, 0)
    finite = samples[np.isfinite(samples)]
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)


def _range_of(dtype: np.dtype, low: float, high: float) -> tuple[float, float]:
    """What the values of a file that declares nothing else say."""
    if np.issubdtype(dtype, np.integer) and low >= 0:
        bits = next((bits for bits in BITS if high < 2**bits), 64)
        return 0, min(2**bits - 1, np.iinfo(dtype).max)
    if not np.issubdtype(dtype, np.integer) and 0 <= low and high <= 1:
        return 0, 1
    return low, high


def _type_range(dtype: np.dtype) -> tuple[float, float]:
    if np.issubdtype(dtype, np.integer):
        return np.iinfo(dtype).min, np.iinfo(dtype).max
    return 0, 1


def _percentiles(channel: np.ndarray) -> tuple[float, float]:
    finite = channel[np.isfinite(channel)]
    return tuple(np.percentile(finite, PERCENTILES).tolist()) if finite.size else (0.0, 0.0)


def _scale(channel: np.ndarray, low: float, high: float) -> np.ndarray:
    """(H, W) to uint8; a range without width gives 0."""
    if channel.dtype.itemsize <= 2 and np.issubdtype(channel.dtype, np.integer):
        # A table of all values is faster than arithmetic on all pixels.
        first = np.iinfo(channel.dtype).min
        table = _scale_values(np.arange(first, np.iinfo(channel.dtype).max + 1, dtype=np.float64), low, high)
        return table[channel.astype(np.int64) - first] if first else table[channel]
    return _scale_values(channel.astype(np.float64), low, high)


def _scale_values(values: np.ndarray, low: float, high: float) -> np.ndarray:
    values = (values - low) * (255 / (high - low) if high > low else 0)
    return np.nan_to_num(np.rint(values), nan=0, posinf=255, neginf=0).clip(0, 255).astype(np.uint8)


def summarise(met: Iterable[Met]) -> dict[str, dict]:
    """Type -> number of images, smallest and largest value, and how many of them each range scaled; plain values."""
    kinds: dict[str, dict] = {}
    for one in met:
        add = {'images': 1, 'low': one.low, 'high': one.high, 'by': {one.by: 1}}
        kinds[one.kind] = _joined(kinds[one.kind], add) if one.kind in kinds else add
    return kinds


def join(*summaries: dict[str, dict]) -> dict[str, dict]:
    """Several of :func:`summarise` as one."""
    kinds: dict[str, dict] = {}
    for summary in summaries:
        for kind, entry in summary.items():
            kinds[kind] = _joined(kinds[kind], entry) if kind in kinds else entry
    return kinds


def _joined(one: dict, other: dict) -> dict:
    by = {key: one['by'].get(key, 0) + other['by'].get(key, 0) for key in sorted({**one['by'], **other['by']})}
    return {
        'images': one['images'] + other['images'],
        'low': min(one['low'], other['low']),
        'high': max(one['high'], other['high']),
        'by': by,
    }


def words(kinds: dict[str, dict], unit: str = 'image') -> list[str]:
    """Lines that say what values were met, and how they were scaled; of images, or of tiles."""
    lines = []
    for kind, entry in sorted(kinds.items()):
        by = ', '.join(f'{count} by {name}' for name, count in entry['by'].items())
        advice = ''
        # Tiles of one range are those of an image by chance.
        if len(entry['by']) > 1 or unit == 'tile':
            advice = f'; to scale all alike: --value-range={_short(entry["low"])}..{_short(entry["high"])}'
        values = f'{_short(entry["low"])} to {_short(entry["high"])}'
        lines.append(f'{entry["images"]} {unit}s of {kind}, values {values}, scaled to 8 bits ({by}){advice}')
    return lines
