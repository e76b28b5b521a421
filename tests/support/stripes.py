"""A generator that is no part of the library: what a new one takes, in a file that worker processes can import."""

from dataclasses import asdict, dataclass

import numpy as np

from mmsoco.arguments import positive
from mmsoco.proposals.generators.base import option


@dataclass(frozen=True)
class Stripes:
    """Upright stripes side by side, or lying ones on each other."""

    count: int = option(4, 'stripes an image', type=positive)
    width: float = option(0.5, 'part of its place that a stripe takes')
    lying: bool = option(False, 'lay them down')

    def describe(self):
        return {'name': 'stripes', **asdict(self)}

    def propose(self, image, file_name):
        height, width = image.shape[:2]
        long, across = (height, width) if self.lying else (width, height)
        starts = np.arange(self.count) * long / self.count
        ends = starts + self.width * long / self.count
        zeros = np.zeros(self.count)
        boxes = np.stack([starts, zeros, ends, zeros + across], axis=1)
        return np.rint(boxes[:, [1, 0, 3, 2]] if self.lying else boxes).astype(np.int32)
