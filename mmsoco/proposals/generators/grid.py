"""A plain grid of boxes: what is left of proposals when they know nothing of the image."""

from dataclasses import asdict, dataclass

import numpy as np

from mmsoco.errors import UserError
from mmsoco.proposals.generators.base import option
from mmsoco.proposals.registry import GENERATORS


@GENERATORS.register('grid')
@dataclass(frozen=True)
class GridBoxes:
    """Boxes of several sizes and shapes at even distances.

    Args:
        scales: Sizes, as sqrt(box area / image area). By default half an
            octave apart, within the filter's bounds.
        ratios: Width / height of a box in a square image. In others boxes
            stretch with it, so that each image has equally many.
        stride: Distance of neighbours, as a part of a box's side, or less where
            the grid would not reach the image's edges.

    Raises:
        UserError: A value is out of range.
    """

    scales: tuple[float, ...] = option((0.35, 0.5, 0.7), 'sqrt(box area / image area)')
    ratios: tuple[float, ...] = option((0.5, 1.0, 2.0), 'width / height')
    stride: float = option(0.5, 'distance of neighbours, in sides of a box')

    def __post_init__(self):
        if not self.scales or not self.ratios or not all(0 < s <= 1 for s in self.scales) or min(self.ratios) <= 0:
            raise UserError(f'{self} makes no boxes; give scales above 0 and up to 1, and ratios above 0')
        if not 0 < self.stride <= 1:
            raise UserError(f'{self} leaves gaps, or never ends; give a stride above 0 and up to 1')

    def describe(self) -> dict:
        """For the header of a proposal file."""
        return {'name': 'grid', **{key: list(v) if isinstance(v, tuple) else v for key, v in asdict(self).items()}}

    def propose(self, image: np.ndarray, file_name: str) -> np.ndarray:
        """(H, W, 3) image to (N, 4) int32 boxes, xyxy in pixels, sorted, without duplicates."""
        height, width = image.shape[:2]
        boxes = []
        for scale in self.scales:
            for ratio in self.ratios:
                w, h = min(1.0, scale * ratio**0.5), min(1.0, scale / ratio**0.5)
                x, y = np.meshgrid(self._starts(w), self._starts(h))
                boxes.append(np.stack([x, y, x + w, y + h], axis=-1).reshape(-1, 4))
        boxes = np.rint(np.concatenate(boxes) * [width, height, width, height]).astype(np.int32)
        # Rounding leaves no pixel to some boxes of tiny images.
        boxes = np.unique(boxes[(boxes[:, 2:] > boxes[:, :2]).all(axis=1)], axis=0)
        return boxes if len(boxes) else np.array([[0, 0, width, height]], np.int32)

    def _starts(self, side: float) -> np.ndarray:
        steps = int(np.ceil((1 - side) / (self.stride * side) - 1e-9))
        return np.linspace(0, 1 - side, steps + 1)
