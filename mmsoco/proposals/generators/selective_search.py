"""Selective search (Uijlings et al. 2013): OpenCV's segmentation, and OpenCV's grouping made faster."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import NamedTuple

import cv2
import numpy as np

from mmsoco.arguments import positive
from mmsoco.errors import UserError
from mmsoco.proposals.generators.base import option
from mmsoco.proposals.generators.grouping import MEASURES, group
from mmsoco.proposals.registry import GENERATORS

WITHOUT_COLOR = ('fill', 'texture', 'size')


class Mode(NamedTuple):
    """What is searched: every image of ``spaces`` with k, 2k, ... up to ``scales`` * k, grouped by every strategy."""

    spaces: tuple[str, ...]
    scales: int
    strategies: tuple[tuple[str, ...], ...]


#: ``single`` is the paper's; ``fast`` and ``quality`` are OpenCV's sets of several,
#: with blue where OpenCV means the hue but overwrites it.
MODES = {
    'single': Mode(('hsv',), 1, (MEASURES,)),
    'fast': Mode(('hsv', 'lab'), 3, (MEASURES, WITHOUT_COLOR)),
    'quality': Mode(
        ('hsv', 'lab', 'grey', 'blue', 'red_green_grey'), 5, (MEASURES, WITHOUT_COLOR, ('fill',), ('size',))
    ),
}


@GENERATORS.register('selective_search')
@dataclass(frozen=True)
class SearchParameters:
    """Parameters of the search; the defaults are the paper's (appendix A.1).

    Args:
        mode: One of :data:`MODES`.
        k: Segmentation scale: larger means larger segments.
        sigma: Gaussian smoothing before the segmentation, in pixels.
        min_size: Smallest segment, in pixels.
        max_side: Search a copy whose longer side has at most so many pixels;
            ``k`` and ``min_size`` are meant for the full size: ``k`` shrinks
            with the sides, ``min_size`` with the area. None (the paper's way)
            searches the full size.

    Raises:
        UserError: A value is out of range.
    """

    mode: str = option('single', "the paper's is single", choices=MODES)
    k: int = option(300, 'segmentation scale')
    sigma: float = option(0.9, 'smoothing in pixels')
    min_size: int = option(100, 'smallest segment in pixels')
    max_side: int | None = option(None, 'search a copy with this longer side: faster, other boxes', type=positive)

    def __post_init__(self):
        if self.mode not in MODES:
            raise UserError(f"mode '{self.mode}' is unknown; choose one of {', '.join(MODES)}")
        if self.k <= 0 or self.sigma <= 0 or self.min_size < 0:
            raise UserError(f'{self} segments nothing; give k and sigma above 0 and min_size from 0 on')
        if self.max_side is not None and self.max_side < 1:
            raise UserError(f'max_side {self.max_side} leaves nothing of an image; give 1 or more')

    def describe(self) -> dict:
        """For the header of a proposal file.

        Raises:
            UserError: This OpenCV has no selective search.
        """
        require_selective_search()
        return {'name': 'selective_search', **asdict(self), 'opencv': cv2.__version__}

    def propose(self, image: np.ndarray, file_name: str) -> np.ndarray:
        """:func:`selective_search` with these parameters; the name plays no part."""
        return selective_search(image, self)


def require_selective_search() -> None:
    """Raise a :class:`UserError` that says what to run when OpenCV lacks selective search."""
    # cv2.ximgproc alone proves nothing: it survives when another opencv package
    # has written over the contrib one.
    try:
        _ = cv2.ximgproc.segmentation.createGraphSegmentation
    except AttributeError:
        raise UserError(
            'this cv2 has no selective search, another opencv package has overwritten it; run: mmsoco doctor --fix'
        ) from None


#: A longer side is searched in a smaller copy: texture is measured in a square as wide as both
#: sides together by sqrt(2), which takes memory, and OpenCV turns none of 2^15 pixels or more.
_LONGEST = 16_000


@contextmanager
def portable_arithmetic() -> Iterator[None]:
    """Keep OpenCV to the instructions that all x86-64 machines have.

    With others, the smoothing before the segmentation rounds differently, and
    some images get other boxes.
    """
    before = cv2.useOptimized()
    cv2.setUseOptimized(False)
    try:
        yield
    finally:
        cv2.setUseOptimized(before)


@portable_arithmetic()
def selective_search(image: np.ndarray, parameters: SearchParameters = SearchParameters()) -> np.ndarray:
    """Propose boxes for one image.

    Args:
        image: (H, W, 3) uint8 RGB.

    Returns:
        (N, 4) int32 boxes, xyxy in pixels, N >= 1, without duplicates and
        sorted: the boxes that OpenCV returns in random order. An image has the
        same ones on every x86-64 machine.
    """
    height, width = image.shape[:2]
    longest = min(parameters.max_side or _LONGEST, _LONGEST)
    shrink = min(1.0, longest / max(height, width))
    if shrink < 1:
        size = max(1, round(width * shrink)), max(1, round(height * shrink))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    mode = MODES[parameters.mode]
    found = []
    for colors in _spaces(image, mode.spaces):
        for multiple in range(1, mode.scales + 1):
            segmentation = cv2.ximgproc.segmentation.createGraphSegmentation(
                parameters.sigma, multiple * parameters.k * shrink, round(parameters.min_size * shrink**2)
            )
            found.append(group(colors, segmentation.processImage(colors), mode.strategies))
    boxes = np.concatenate(found)
    if shrink < 1:
        # Outwards, so that no box loses its last pixel.
        scale = np.array([width / size[0], height / size[1]])
        boxes = np.concatenate([np.floor(boxes[:, :2] * scale), np.ceil(boxes[:, 2:] * scale)], axis=1)
        boxes = np.minimum(boxes, [width, height] * 2).astype(np.int32)
    return np.unique(boxes, axis=0)


def _spaces(image: np.ndarray, names: tuple[str, ...]) -> Iterator[np.ndarray]:
    """An RGB image as each of some colour spaces has it: (H, W, C) or (H, W) uint8."""
    for name in names:
        if name == 'hsv':
            yield cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
        elif name == 'lab':
            yield cv2.cvtColor(image, cv2.COLOR_RGB2Lab)
        elif name == 'grey':
            yield cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        elif name == 'blue':
            yield cv2.extractChannel(image, 2)
        elif name == 'red_green_grey':
            yield np.dstack([image[..., :2], cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)])
        else:
            raise ValueError(name)
