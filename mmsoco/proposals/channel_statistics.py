"""Mean and standard deviation of the channels of the images that a proposal file names."""

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field

import joblib
import numpy as np

from mmsoco.errors import UserError
from mmsoco.images.decoding import UnreadableImage
from mmsoco.images.root import ImageRoot
from mmsoco.proposals.checks import root_of
from mmsoco.proposals.store import ProposalStore

#: Images that a worker reads before it reports.
_CHUNK = 8


@dataclass
class ChannelStatistics:
    """How often each level is met in each channel: all that mean and deviation need, and exact.

    Attributes:
        levels: (C, 256) int64.
        images: How many were read.
        unreadable: Name -> reason, of those that could not be.
    """

    levels: np.ndarray
    images: int = 0
    unreadable: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, channels: int) -> 'ChannelStatistics':
        """Of no image yet."""
        return cls(np.zeros((channels, 256), np.int64))

    def add_image(self, image: np.ndarray) -> None:
        """Count an image, (H, W, C) uint8."""
        for channel, levels in zip(np.moveaxis(image, 2, 0), self.levels, strict=True):
            levels += np.bincount(channel.ravel(), minlength=256)
        self.images += 1

    def add(self, other: 'ChannelStatistics') -> None:
        """Count what another one has counted."""
        self.levels += other.levels
        self.images += other.images
        self.unreadable.update(other.unreadable)

    @property
    def pixels(self) -> int:
        """How many were counted, in each channel."""
        return int(self.levels[0].sum())

    @property
    def mean(self) -> list[float]:
        """Of each channel, on the scale 0 to 255."""
        return [total / self.pixels for total in (self.levels @ np.arange(256)).tolist()]

    @property
    def std(self) -> list[float]:
        """Of each channel's pixels, all images together, on the scale 0 to 255."""
        n = self.pixels
        totals, squares = (self.levels @ np.arange(256)).tolist(), (self.levels @ np.arange(256) ** 2).tolist()
        # In whole numbers of any size up to the root: nothing cancels.
        return [(n * square - total**2) ** 0.5 / n for total, square in zip(totals, squares, strict=True)]

    def describe(self) -> dict:
        """For a JSON file."""
        counts = {'images': self.images, 'pixels': self.pixels, 'unreadable': len(self.unreadable)}
        return {'channels': len(self.levels), 'mean': self.mean, 'std': self.std, **counts}


def measure_channels(
    proposal_file: str | os.PathLike,
    images: str | os.PathLike | None = None,
    sample: int | None = None,
    jobs: int = 1,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> ChannelStatistics:
    """Read the images of a proposal file as training does, and count their levels.

    One image a process is in memory. Of tiles, what they share is counted as often as training shows it.

    Args:
        images: Their folder; by default the one that the file names.
        sample: Read so many, drawn at random, always the same; all by default.
        jobs: Processes.
        on_progress: Called with the images that are done, and all of them.

    Raises:
        UserError: The file or the folder is missing, none of the images can be read, or a process was lost.
    """
    store = ProposalStore.open(proposal_file)
    root = ImageRoot.of(store.header, root_of(store, images))
    names = list(store.names())
    if sample is not None and sample < len(names):
        chosen = np.random.default_rng(0).choice(len(names), sample, replace=False)
        names = [names[i] for i in sorted(chosen.tolist())]
    total = ChannelStatistics.of(root.reading.channels)
    done = 0
    on_progress(done, len(names))
    for part in _counted(root, names, jobs):
        total.add(part)
        done += part.images + len(part.unreadable)
        on_progress(done, len(names))
    if not total.images:
        name, reason = next(iter(total.unreadable.items()), ('', 'it names none'))
        raise UserError(
            f'none of the {len(names)} images of {proposal_file} could be read; the first: {name}: {reason}'
        )
    return total


def _counted(root: ImageRoot, names: Sequence[str], jobs: int) -> Iterable[ChannelStatistics]:
    """The statistics of some images after the others, as they are done."""
    chunks = [names[i : i + _CHUNK] for i in range(0, len(names), _CHUNK)]
    try:
        with joblib.parallel_config('loky', n_jobs=min(jobs, len(chunks) or 1), inner_max_num_threads=1):
            yield from joblib.Parallel(return_as='generator_unordered', batch_size=1)(
                joblib.delayed(_count)(root, chunk) for chunk in chunks
            )
    except BrokenProcessPool as error:
        raise UserError(f'a process was lost ({str(error).splitlines()[0]}); start again, with fewer --jobs') from None


def _count(root: ImageRoot, names: Sequence[str]) -> ChannelStatistics:
    statistics = ChannelStatistics.of(root.reading.channels)
    for name in names:
        try:
            statistics.add_image(root.read(name))
        except UnreadableImage as error:
            statistics.unreadable[name] = error.reason
    return statistics
