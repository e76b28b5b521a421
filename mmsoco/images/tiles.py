"""Windows of large images, as images of their own."""

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from mmsoco.errors import UserError

#: x, y, width and height in pixels.
Window = tuple[int, int, int, int]
#: How W3C's Media Fragments 1.0 (section 4.2.2) name a part of an image.
_FRAGMENT = re.compile(r'#xywh=(\d+),(\d+),(\d+),(\d+)\Z')


@dataclass(frozen=True)
class Tiling:
    """Square windows that cover an image.

    Args:
        side: In pixels; an image that is smaller has one window, itself.
        overlap: Fraction of a window that its neighbour repeats, at least, so that an object on the border is whole
            in one of them.

    Raises:
        UserError: There are no such windows.
    """

    side: int
    overlap: float = 0.1

    def __post_init__(self):
        if self.side < 32 or not 0 <= self.overlap <= 0.9:
            raise UserError(
                f'tiles of {self.side} px that overlap by {self.overlap:g} cannot be; give 32 px or more, and 0 to 0.9'
            )

    def describe(self) -> dict:
        """For the header of a proposal file."""
        return asdict(self)

    def windows(self, width: int, height: int) -> list[Window]:
        """The windows of an image, row by row; all but those of a smaller image are whole.

        Neighbours are as far apart as the overlap allows, and evenly, so that none is shifted back at the border.
        """
        return [
            (x, y, min(self.side, width), min(self.side, height))
            for y in self._starts(height)
            for x in self._starts(width)
        ]

    def has(self, windows: Iterable[Window], width: int, height: int) -> bool:
        """Whether these, one at least, are among the windows of an image of that size."""
        x, y, widths, heights = map(set, zip(*windows, strict=True))
        sides = {min(self.side, width)}, {min(self.side, height)}
        return (widths, heights) == sides and x <= set(self._starts(width)) and y <= set(self._starts(height))

    def _starts(self, length: int) -> list[int]:
        last = length - self.side
        if last <= 0:
            return [0]
        steps = -(-last // max(1, int(self.side * (1 - self.overlap))))
        return [round(last * i / steps) for i in range(steps + 1)]

    def names(self, image: str, width: int, height: int) -> list[str]:
        """What the windows of an image are called; an image of one window is called as it is."""
        windows = self.windows(width, height)
        if len(windows) == 1:
            return [image]
        return [f'{image}#xywh={",".join(map(str, window))}' for window in windows]


@dataclass(frozen=True)
class FewTiles(Tiling):
    """Some windows of each image, the same as of the :class:`Tiling`, from its first to its last rows: for trials.

    Args:
        most: Of an image.
    """

    most: int = 8

    def describe(self) -> dict:
        """That of the tiling."""
        return Tiling(self.side, self.overlap).describe()

    def names(self, image: str, width: int, height: int) -> list[str]:
        """As those of the tiling, evenly spaced."""
        names = super().names(image, width, height)
        return [names[i] for i in self._some(len(names), self.most)]

    @classmethod
    def count(cls, windows: int, most: int) -> int:
        """How many of so many windows there are."""
        return len(cls._some(windows, most))

    @staticmethod
    def _some(windows: int, most: int) -> range:
        return range(0, windows, -(-windows // most))


def split_name(name: str) -> tuple[str, Window | None]:
    """The image and the window of a tile's name; None for a whole image."""
    match = _FRAGMENT.search(name)
    if match is None:
        return name, None
    return name[: match.start()], tuple(map(int, match.groups()))
