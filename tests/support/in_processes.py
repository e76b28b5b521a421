"""What tests run in other processes: they import it, as they cannot import a test."""

import os
import signal
import time
from dataclasses import asdict, dataclass

import numpy as np

from mmsoco.proposals.generators.grid import GridBoxes


@dataclass(frozen=True)
class FragileSearch:
    """A grid of boxes that kills its process at one image and has no memory for another."""

    kills: str
    raises: str

    def describe(self):
        return {'name': 'fragile', **asdict(self)}

    def propose(self, image, file_name):
        if file_name == self.kills:
            os.kill(os.getpid(), signal.SIGKILL)
        if file_name == self.raises:
            raise MemoryError
        return GridBoxes().propose(image, file_name)


@dataclass(frozen=True)
class SlowSearch:
    """A grid of boxes that takes its time."""

    seconds: float

    def describe(self):
        return {'name': 'slow', **asdict(self)}

    def propose(self, image, file_name):
        time.sleep(self.seconds)
        return GridBoxes().propose(image, file_name)


@dataclass(frozen=True)
class HangingSearch:
    """A grid of boxes that comes to no end in one image."""

    hangs: str

    def describe(self):
        return {'name': 'hanging', **asdict(self)}

    def propose(self, image, file_name):
        while file_name == self.hangs:
            time.sleep(60)
        return GridBoxes().propose(image, file_name)


@dataclass(frozen=True)
class WildSearch:
    """A grid of boxes, and one without an area in one image."""

    wild: str

    def describe(self):
        return {'name': 'wild', **asdict(self)}

    def propose(self, image, file_name):
        boxes = GridBoxes().propose(image, file_name)
        return np.concatenate([boxes, [[5, 5, 5, 9]]]) if file_name == self.wild else boxes


def write_pid(folder, name):
    """Leave a file with the process' number."""
    (folder / name).write_text(str(os.getpid()))
    return f'wrote {name}'


def add_all(bad_images, rows, end):
    """Count some images as bad, and stay, as a loader's worker does."""
    for row in rows:
        bad_images.add(row, 1, f'{row}.jpg', 'gone')
    end.wait(60)
