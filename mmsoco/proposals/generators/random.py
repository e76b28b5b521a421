"""Random boxes, the paper's control for selective search (table 5c)."""

import hashlib
from dataclasses import asdict, dataclass

import numpy as np

from mmsoco.arguments import positive
from mmsoco.errors import UserError
from mmsoco.proposals.generators.base import option
from mmsoco.proposals.registry import GENERATORS


@GENERATORS.register('random')
@dataclass(frozen=True)
class RandomBoxes:
    """Boxes whose edges lie anywhere in the image.

    The paper draws random boxes in each image in place of selective search's,
    and does not say from which distribution. Ours have independent, uniform
    edges, and pass the same filter as selective search's afterwards.

    Args:
        count: Boxes an image, before duplicates go.
        seed: Together with an image's name it decides its boxes, so that they
            do not depend on the order of work.
    """

    count: int = option(200, 'boxes an image, before the filter', type=positive)
    seed: int = option(0, '0 or more; other seed, other boxes')

    def __post_init__(self):
        if self.count < 1 or self.seed < 0:
            raise UserError(f'{self} draws no boxes; give a count from 1 on and a seed from 0 on')

    def describe(self) -> dict:
        """For the header of a proposal file."""
        return {'name': 'random_boxes', **asdict(self)}

    def propose(self, image: np.ndarray, file_name: str) -> np.ndarray:
        """(H, W, 3) image to (N, 4) int32 boxes, xyxy in pixels, sorted, without duplicates."""
        height, width = image.shape[:2]
        name = int.from_bytes(hashlib.sha256(file_name.encode()).digest()[:8], 'big')
        rng = np.random.default_rng([self.seed, name])
        x = np.sort(rng.integers(0, width + 1, (self.count, 2)))
        y = np.sort(rng.integers(0, height + 1, (self.count, 2)))
        boxes = np.stack([x[:, 0], y[:, 0], x[:, 1], y[:, 1]], axis=1).astype(np.int32)
        boxes = np.unique(boxes[(boxes[:, 2:] > boxes[:, :2]).all(axis=1)], axis=0)
        return boxes if len(boxes) else np.array([[0, 0, width, height]], np.int32)
