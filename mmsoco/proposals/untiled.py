"""Boxes of tiles, put back where they lie in their image."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache
from itertools import groupby
from typing import NamedTuple

import numpy as np

from mmsoco.images.decoding import UnreadableImage, image_size
from mmsoco.images.root import ImageRoot
from mmsoco.images.tiles import Tiling, Window
from mmsoco.proposals.store import ProposalRow, ProposalStore


class Untiled(NamedTuple):
    """An image of which there are rows.

    Attributes:
        row: All of its boxes, each once, int64; as wide and high as its tiles reach.
        windows: Those of its tiles that there are; none of an image that is one whole row.
    """

    row: ProposalRow
    windows: list[Window]

    def fits(self, size: tuple[int, int], tiling: Tiling | None) -> bool:
        """Whether the image may be of that (width, height): of tiles, some may be missing, also at its border."""
        if self.windows:
            return tiling.has(self.windows, *size)
        return size == (self.row.width, self.row.height)


def untiled(rows: Iterable[ProposalRow], images: ImageRoot) -> Iterator[Untiled]:
    """The images of rows, in order; the tiles of one lie together, as they were searched."""
    for name, tiles in groupby(rows, key=lambda row: images.image_of(row.file_name)):
        boxes, windows, width, height = [], [], 0, 0
        for row in tiles:
            window = images.place(row.file_name).window
            x, y = (0, 0) if window is None else window[:2]
            boxes.append(row.boxes.astype(np.int64) + np.array([x, y, x, y]))
            width, height = max(width, x + row.width), max(height, y + row.height)
            windows += [] if window is None else [window]
        together = np.concatenate(boxes)
        yield Untiled(ProposalRow(name, width, height, np.unique(together, axis=0) if windows else together), windows)


class WholeImages:
    """A proposal file as one of whole images, to go through.

    Sizes of images in tiles are those of their files. Where one cannot be read, or was changed, it is as large as its
    tiles reach.

    Attributes:
        header: The file's.
    """

    def __init__(self, store: ProposalStore):
        self.header = store.header
        self._store = store
        self._images = ImageRoot.of(store.header, store.header.get('root', ''))
        # Some formats are written in two passes.
        self._size = cache(self._read_size)

    def __len__(self) -> int:
        return sum(1 for _ in self._images.images_of(self._store.names()))

    def __iter__(self) -> Iterator[ProposalRow]:
        for image in untiled(self._store, self._images):
            size = self._size(image.row.file_name) if image.windows else None
            if size is not None and image.fits(size, self._images.tiling):
                yield image.row._replace(width=size[0], height=size[1])
            else:
                yield image.row

    def _read_size(self, name: str) -> tuple[int, int] | None:
        with suppress(UnreadableImage):
            return image_size(self._images.place(name).path)
        return None
