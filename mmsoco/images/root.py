"""The images of a proposal file: by its names, from a folder."""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mmsoco.images.decoding import Image, image_size, load_image
from mmsoco.images.reading import Reading
from mmsoco.images.tiles import Window, split_name


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
        has_tiles: Whether names may be of tiles; a file may be called so, too.
    """

    folder: Path
    reading: Reading = field(default_factory=Reading)
    has_tiles: bool = False

    @classmethod
    def of(cls, header: dict, folder: str | os.PathLike) -> 'ImageRoot':
        """The images of a proposal file, by its header, wherever they are now."""
        return cls(Path(folder), Reading.of(header), bool(header.get('tiles')))

    def image_of(self, name: str) -> str:
        """The image that a name is of, or of a tile of."""
        return split_name(name)[0] if self.has_tiles else name

    def images_of(self, names: Iterable[str]) -> Iterable[str]:
        """Their images, each once, in order."""
        return dict.fromkeys(map(self.image_of, names)) if self.has_tiles else names

    def place(self, name: str) -> Place:
        """Where a name's pixels are."""
        image, window = split_name(name) if self.has_tiles else (name, None)
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

        Raises:
            UnreadableImage: See :func:`~mmsoco.images.decoding.image_size`.
        """
        path, window = self.place(name)
        return image_size(path) if window is None else window[2:]
