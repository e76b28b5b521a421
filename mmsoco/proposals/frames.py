"""Whether boxes lie in their images, and if not, why: turned or larger images, or numbers read in another order."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mmsoco.boxes import xywh_to_xyxy, xyxy_to_xywh
from mmsoco.proposals.checks import ADVICE
from mmsoco.proposals.formats.base import Boxes

#: How far outside of its image a box may lie, in pixels: half a pixel on each side is rounding.
TOLERANCE = 0.5
#: Part of a side by which boxes of the right images may leave them: tools round, and detectors guess a little further.
SLIGHTLY = 0.05
#: So many boxes, and this part of all, are more than slips.
MANY, SHARE = 20, 0.01


class Framed(NamedTuple):
    """An entry of a file of boxes, and its image's (width, height)."""

    entry: Boxes
    size: tuple[int, int]

    @property
    def boxes(self) -> np.ndarray:
        """(N, 4) of the entry."""
        return self.entry.boxes


def leaves(boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(N,) bool: which of (N, 4) boxes leave their image."""
    limit = np.array([*size, *size], np.float64)
    return ((boxes < -TOLERANCE) | (boxes > limit + TOLERANCE)).any(axis=1)


def is_flat(boxes: np.ndarray) -> np.ndarray:
    """(N,) bool: which of (N, 4) boxes have no area."""
    return ~(boxes[:, 2:] > boxes[:, :2]).all(axis=1)


@dataclass
class Misfit:
    """What is wrong with the boxes of a file.

    Attributes:
        where: The first such box, as the file calls it.
        words: What is wrong with it, and with how many others.
        advice: What to do.
        outside: Whether boxes leave their images, so that they could be cut.
        explained: Whether the images, or how numbers are read, are the cause: cutting boxes would spoil them.
    """

    where: str
    words: str
    advice: str
    outside: bool
    explained: bool


def find_misfit(images: Sequence[Framed]) -> Misfit | None:
    """Why boxes leave their images, or are turned inside out as if read in another order; None where none is.

    Args:
        images: All that the file has; their boxes are finite.
    """
    inverted = _bad(images, lambda boxes, _: (boxes[:, 2:] < boxes[:, :2]).any(axis=1))
    if inverted and _all_fit(images, lambda entry: None if entry.sides else xywh_to_xyxy(entry.boxes)):
        advice = 'all boxes of the file fit if its numbers are x, y, w, h; call them so, or write x2 = x + w'
        return _misfit(inverted, 'has no area in its image', advice)
    out = _bad(images, leaves)
    if not out:
        return None
    beyond = max(_overshoot(*image) for image, _ in out)
    count = sum(int(flags.sum()) for _, flags in out)
    slips = beyond <= SLIGHTLY
    turned = all(_fits(_with_area(image.boxes), image.size[::-1]) for image, _ in out)
    if slips and turned:
        advice = f'such boxes fit these images when turned: {ADVICE["turned"]}; if they are not, --clip cuts such boxes'
    elif slips and (count < MANY or count <= SHARE * sum(len(image.boxes) for image in images)):
        advice = 'cut such boxes by --clip'
    elif slips:
        advice = (
            f'if the images were {1 + beyond:.3g} times as large, {ADVICE["resized"]}; if not, --clip cuts such boxes'
        )
    elif _all_fit(images, lambda entry: xyxy_to_xywh(entry.boxes) if entry.sides else None):
        advice = 'all boxes of the file fit if its numbers are corners and not x, y, w, h; write w = x2 - x1'
    elif turned:
        advice = f'such boxes fit these images when turned: {ADVICE["turned"]}'
    else:
        advice = f'such boxes are of images at least {1 + beyond:.3g} times as large: {ADVICE["resized"]}'
    return _misfit(out, 'leaves its image', advice, outside=True, explained=not slips)


def _fits(boxes: np.ndarray, size: tuple[int, int]) -> bool:
    return not (leaves(boxes, size) | is_flat(boxes)).any()


def _with_area(boxes: np.ndarray) -> np.ndarray:
    return boxes[~is_flat(boxes)]


def _all_fit(images: Sequence[Framed], read: Callable[[Boxes], np.ndarray | None]) -> bool:
    """Whether all boxes of a file lie in their images when its numbers are read in another way."""
    others = ((read(image.entry), image.size) for image in images)
    return all(boxes is not None and _fits(boxes, size) for boxes, size in others)


def _overshoot(entry: Boxes, size: tuple[int, int]) -> float:
    """The largest part of a side by which a box leaves its image."""
    sides = np.array(size, np.float64)
    return float(np.maximum(-entry.boxes[:, :2] / sides, entry.boxes[:, 2:] / sides - 1).max())


def _bad(
    images: Sequence[Framed], test: Callable[[np.ndarray, tuple[int, int]], np.ndarray]
) -> list[tuple[Framed, np.ndarray]]:
    """The images with bad boxes, and which of their boxes are."""
    found = ((image, test(image.boxes, image.size)) for image in images)
    return [(image, flags) for image, flags in found if flags.any()]


def _misfit(
    bad: Sequence[tuple[Framed, np.ndarray]], what: str, advice: str, outside: bool = False, explained: bool = True
) -> Misfit:
    image, flags = bad[0]
    first = int(flags.argmax())
    others = sum(int(flags.sum()) for _, flags in bad) - 1
    more = f' (and {others} more, in {len(bad)} images)' if others else ''
    words = f'the box {image.boxes[first].tolist()} (x1, y1, x2, y2){more} {what} of {image.size[0]}x{image.size[1]}'
    return Misfit(image.entry.row(first), words, advice, outside, explained)
