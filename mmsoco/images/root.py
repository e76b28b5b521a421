"""The images of a proposal file: by its names, from a folder."""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mmsoco.images.decoding import Image, image_size, load_image
from mmsoco.images.reading import Reading
from mmsoco.images.tiles import Tiling, Window, split_name


class Place(NamedTuple):
    """Where an image, or a tile of one, is: a path, and x, y, width and height, or None for all."""

    path: str
    window: Window | None


@dataclass(frozen=True)
class ImageRoot:
    """A folder, and how its images are named and read.

    Args:
        folder: What names are relative to.
        reading: See :class:`~mmsoco.images.reading.Reading`.
        tiling: Of which tiles names may be. Without, a file may be called as a tile would be.
    """

    folder: Path
    reading: Reading = field(default_factory=Reading)
    tiling: Tiling | None = None

    @classmethod
    def of(cls, header: dict, folder: str | os.PathLike) -> 'ImageRoot':
        """The images of a proposal file, by its header, wherever they are now."""
        tiles = header.get('tiles')
        return cls(Path(folder), Reading.of(header), Tiling(**tiles) if tiles else None)

    def image_of(self, name: str) -> str:
        """The image that a name is of, or of a tile of."""
        return split_name(name)[0] if self.tiling else name

    def images_of(self, names: Iterable[str]) -> Iterable[str]:
        """Their images, each once, in order."""
        return dict.fromkeys(map(self.image_of, names)) if self.tiling else names

    def place(self, name: str) -> Place:
        """Where a name's pixels are."""
        image, window = split_name(name) if self.tiling else (name, None)
        # Not Path, which takes ten times as long.
        return Place(f'{self.folder}/{image}', window)

    def load(self, name: str) -> Image:
        """The image or tile, with what its reader should know.

        Raises:
            UnreadableImage: See :func:`~mmsoco.images.decoding.read_image`.
        """
        path, window = self.place(name)
        return load_image(path, self.reading, window)

    def read(self, name: str) -> np.ndarray:
        """(H, W, channels) uint8 of the image or tile.

        Raises:
            UnreadableImage: See :func:`~mmsoco.images.decoding.read_image`.
        """
        return self.load(name).pixels

    def size(self, name: str) -> tuple[int, int]:
        """(width, height) of the image or tile, by the header of its file.

        An image that would be cut into other tiles now has no such tile; of it, the whole size is given.

        Raises:
            UnreadableImage: See :func:`~mmsoco.images.decoding.image_size`.
        """
        path, window = self.place(name)
        size = image_size(path)
        return size if window is None or window not in self.tiling.windows(*size) else window[2:]
