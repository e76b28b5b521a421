"""Proposals on their images, and how many and how large they are (paper, figures 2 and 3)."""

import os
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import matplotlib
import numpy as np

from mmsoco.errors import UserError
from mmsoco.files import atomic_path
from mmsoco.images.channels import to_triple
from mmsoco.images.decoding import UnreadableImage
from mmsoco.images.root import ImageRoot
from mmsoco.proposals.source import read_raw
from mmsoco.proposals.store import ProposalRow
from mmsoco.visualization.drawing import PALETTE, contact_sheet, draw_boxes

matplotlib.use('Agg')
from matplotlib import pyplot

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass
class Statistics:
    """Counts and sizes of proposals.

    Attributes:
        counts: (images,) boxes of an image.
        sizes: (10000,) how many boxes have which sqrt(box area / image area),
            in even steps from 0 to 1: a hundred million boxes need no more.
    """

    counts: np.ndarray
    sizes: np.ndarray

    def describe(self) -> dict:
        """Numbers of images and boxes, mean and ``QUANTILES`` of both distributions."""
        values, numbers = np.unique(self.counts, return_counts=True)
        return {
            'images': len(self.counts),
            'boxes': int(self.counts.sum()),
            'boxes an image': _describe(values, numbers),
            'size': _describe((np.arange(len(self.sizes)) + 0.5) / len(self.sizes), self.sizes),
        }

    def __str__(self) -> str:
        about = self.describe()
        lines = [f'{about["boxes"]} boxes of {about["images"]} images']
        for name in ('boxes an image', 'size'):
            lines.append(f'  {name}: ' + ', '.join(f'{key} {value:.3g}' for key, value in about[name].items()))
        return '\n'.join(lines)


def _describe(values: np.ndarray, numbers: np.ndarray) -> dict[str, float]:
    """Mean and quantiles of values of which there are several each."""
    if not numbers.sum():
        return {}
    below = numbers.cumsum() / numbers.sum()
    quantiles = values[np.searchsorted(below, QUANTILES)].tolist()
    mean = float(np.average(values, weights=numbers))
    return {'mean': mean, **{f'{100 * q:g} %': float(v) for q, v in zip(QUANTILES, quantiles, strict=True)}}


def measure(source: str | os.PathLike) -> Statistics:
    """Statistics of a proposal file, or of a folder of raw proposals.

    Raises:
        UserError: See :func:`~mmsoco.proposals.source.read_raw`.
    """
    counts, sizes = array('q'), np.zeros(10_000, np.int64)
    for row in read_raw(source)[2]:
        sides = row.boxes[:, 2:].astype(np.float64) - row.boxes[:, :2]
        relative = np.sqrt(sides.prod(axis=1) / (row.width * row.height))
        counts.append(len(row.boxes))
        np.add.at(sizes, (relative * len(sizes)).astype(int).clip(0, len(sizes) - 1), 1)
    return Statistics(np.array(counts, np.int64), sizes)


def plot_statistics(statistics: Mapping[str, Statistics], out: str | os.PathLike) -> None:
    """Both distributions of some sources over each other, as an image file.

    Args:
        statistics: What to call a source -> its statistics.
    """
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4), layout='constrained')
    colors = [tuple(channel / 255 for channel in color) for color in (PALETTE[0], PALETTE[6], *PALETTE[1:6])]
    # From few to many: on an even scale, raw proposals would press the filtered ones into a corner.
    counts = np.concatenate([part.counts for part in statistics.values()]).clip(1)
    bins = np.geomspace(counts.min(), counts.max() + 1, 40)
    edges = np.linspace(0, 1, 51)
    for i, (name, part) in enumerate(statistics.items()):
        style = dict(histtype='stepfilled', color=colors[i % len(colors)], alpha=0.45, label=name)
        left.hist(part.counts.clip(1), bins, weights=np.full(len(part.counts), 1 / len(part.counts)), **style)
        shares = part.sizes.reshape(50, -1).sum(axis=1) / max(part.sizes.sum(), 1)
        right.hist(edges[:-1], edges, weights=shares, **style)
    left.set(xlabel='boxes an image', ylabel='share of images', xscale='log')
    right.set(xlabel='size: sqrt(box area / image area)', ylabel='share of boxes', xlim=(0, 1))
    for axes in (left, right):
        axes.legend()
    with atomic_path(out) as temporary:
        figure.savefig(temporary, dpi=100)
    pyplot.close(figure)


def choose_rows(source: str | os.PathLike, total: int, count: int, seed: int) -> list[ProposalRow]:
    """Some images at random, in order; the same ones for sources with the same images.

    Args:
        total: How many images the source has.
    """
    chosen = set(np.random.default_rng(seed).permutation(total)[:count].tolist())
    # Copies, so that no shard stays open.
    return [row._replace(boxes=row.boxes.copy()) for i, row in enumerate(read_raw(source)[2]) if i in chosen]


def draw_proposals(
    rows: Sequence[ProposalRow],
    images: ImageRoot,
    boxes: int = 12,
    columns: int = 4,
    side: int = 320,
    seed: int = 0,
) -> np.ndarray:
    """Images with some of their boxes each, as one sheet.

    Args:
        rows: The images; those that cannot be read, or have another size by now, are passed over.
        images: Where they are; those of other than three channels are drawn as the search saw them.
        boxes: Most boxes to draw on an image, chosen at random.
        columns: Images in a row.
        side: Longest side of an image on the sheet, in pixels.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        UserError: None of the images is as it was searched.
    """
    cells = []
    for row in rows:
        try:
            image = to_triple(images.read(row.file_name), images.reading.triple)
        except UnreadableImage as error:
            reason = error
            continue
        height, width = image.shape[:2]
        if (width, height) != (row.width, row.height):
            reason = f'{row.file_name} has {width} x {height} pixels, and had {row.width} x {row.height} when searched'
            continue
        rng = np.random.default_rng([seed, len(cells)])
        chosen = rng.permutation(row.boxes)[:boxes].astype(np.float64)
        scale = side / max(height, width)
        size = max(1, round(width * scale)), max(1, round(height * scale))
        shown = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        cells.append(draw_boxes(shown, chosen * scale, PALETTE, thickness=2))
    if not cells:
        raise UserError(f'no image can be drawn: {reason if rows else "there are none"}')
    return contact_sheet(cells, columns)
