"""What a format of files of boxes is.

A new one is a file beside this one, with a class::

    @FORMATS.register('lines')
    class Lines(BoxFormat):
        endings = ('.txt',)

        def read(self, file: BoxFile) -> Iterator[Boxes]: ...

        def write(self, store: WholeImages, file: BoxFile) -> None: ...

``data_pipelines/convert_proposals.py boxes.txt data/proposals.arrow --images IMAGES`` then reads it.
"""

import json
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from mmsoco.errors import UserError
from mmsoco.proposals.untiled import WholeImages


@dataclass
class Boxes:
    """An image's boxes as a file has them.

    Attributes:
        name: What the file calls the image.
        boxes: (N, 4) float64 xyxy in pixels; anything may be in it.
        row: What to call a box in a message, by its number.
        scores: (N,), where the file has them.
        size: (width, height), where the file has it.
        labels: N numbers of categories, where the file has them; anything may be in it.
        also: Other names that the image may have, where the file does not tell which.
        sides: Whether the file gives width and height, not the far corner: for messages, the boxes are xyxy.
        parts: Whether the boxes are in parts of the image's sides, not in pixels, as the format says.
    """

    name: str
    boxes: np.ndarray
    row: Callable[[int], str]
    scores: np.ndarray | None = None
    size: tuple[int, int] | None = None
    labels: list | None = None
    also: tuple[str, ...] = ()
    sides: bool = False
    parts: bool = False

    @property
    def negative(self) -> np.ndarray:
        """(N,) bool: which have a negative width or height, as the file gives these."""
        return (self.boxes[:, 2:] < self.boxes[:, :2]).any(axis=1) & self.sides


#: Why these are left out.
NEGATIVE = 'with negative width or height'


def join(entries: Sequence[Boxes], source: Path) -> Boxes:
    """What a file says of an image at several places.

    Raises:
        UserError: It says different things.
    """
    first = entries[0]
    if len(entries) == 1:
        return first
    sizes = {entry.size: entry for entry in entries if entry.size is not None}
    if len(sizes) > 1:
        one, other, *_ = (f'{w}x{h} (as {entry.name!r})' for (w, h), entry in sizes.items())
        raise UserError(f'{source} has an image twice, of {one} and of {other}; name each image once')
    entries = [entry for entry in entries if len(entry.boxes)] or [first]
    for what in ('scores', 'labels'):
        if len({getattr(entry, what) is None for entry in entries}) > 1:
            raise UserError(f'{source} has {first.name} twice, with and without {what}; name each image once')
    rows = [(entry.row, i) for entry in entries for i in range(len(entry.boxes))]
    return replace(
        first,
        boxes=np.concatenate([entry.boxes for entry in entries]),
        row=lambda i: rows[i][0](rows[i][1]),
        scores=None if entries[0].scores is None else np.concatenate([entry.scores for entry in entries]),
        size=next(iter(sizes), None),
        labels=None if entries[0].labels is None else [label for entry in entries for label in entry.labels],
    )


@dataclass
class BoxFile:
    """A file to read or to write.

    Args:
        path: The file.
        annotations: COCO file with the images that COCO results refer to.

    Attributes:
        notes: How a reader took what could be taken in several ways; sentences for the user.
        left_out: Why a reader left boxes out, and how many.
        taken: How a reader took boxes that are not there as such, and how many.
    """

    path: Path
    annotations: Path | None = None
    notes: list[str] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    taken: Counter[str] = field(default_factory=Counter)

    def __post_init__(self):
        for path in self.inputs:
            # A pipe would be waited for, and is read more than once.
            if path.exists() and not (path.is_file() or path.is_dir()):
                raise UserError(f'{path} is no regular file; write what it gives to a file first')

    @property
    def inputs(self) -> list[Path]:
        """All files that are read."""
        return [self.path] if self.annotations is None else [self.path, self.annotations]

    @cached_property
    def json(self) -> Any:
        """Its content, loaded once.

        Raises:
            UserError: There is no such file, or it is no JSON.
        """
        return read_json(self.path)

    def open_to_write(self) -> TextIO:
        """The file as text that means the same everywhere."""
        return self.path.open('w', newline='', encoding='utf-8')


class BoxFormat(ABC):
    """A format of files of boxes.

    A reader yields :class:`Boxes`, one an image, as they stand in the file;
    whether they make sense is for :mod:`mmsoco.proposals.convert` to say.

    Attributes:
        endings: Of names of such files, in lower case.
        takes_folders: Whether a folder of such files is read, too.
    """

    endings: tuple[str, ...]
    takes_folders = False

    def recognises(self, file: BoxFile) -> bool | None:
        """Whether a file is of this format, by its content; None, the default, where that does not tell.

        It is asked of formats that share an ending. One that is sure comes
        before others that do not know.
        """
        return None

    @abstractmethod
    def read(self, file: BoxFile) -> Iterator[Boxes]:
        """The boxes of each image.

        Raises:
            UserError: The file is missing, or is not of this format.
        """

    def key(self, root: Path, file_name: str) -> str:
        """What such a file calls an image; by default its path relative to the folder.

        Args:
            root: The folder, absolute.
            file_name: The image, relative to it.
        """
        return file_name

    @abstractmethod
    def write(self, store: WholeImages, file: BoxFile) -> None:
        """Write the boxes of a proposal file.

        Raises:
            UserError: The format cannot hold them.
        """


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        UserError: There is no such file, or it is no JSON.
    """
    try:
        return json.loads(path.read_bytes(), object_pairs_hook=_object)
    except FileNotFoundError:
        raise UserError(f'{path} does not exist') from None
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f'{path} is not a JSON file ({error})') from None


def _object(pairs: list[tuple[str, Any]]) -> dict:
    """What a dict would keep the last of in silence is no dict."""
    content = dict(pairs)
    if len(content) < len(pairs):
        twice = next(key for key, number in Counter(key for key, _ in pairs).items() if number > 1)
        raise ValueError(f'an object in it has the key {twice[:80]!r} twice')
    return content


def _floats(values: Any, words: str) -> np.ndarray:
    """An array of numbers, or an error in these words."""
    try:
        return np.array(values, np.float64)
    except (TypeError, ValueError, OverflowError):
        raise UserError(words) from None


def to_table(values: Any, columns: tuple[int, ...], name: str) -> np.ndarray:
    """(N, C) float64 of nested lists, C one of ``columns``.

    Raises:
        UserError: They hold something else; ``name`` says what they are.
    """
    words = f'{name}: its boxes are not rows of {columns[0]} numbers'
    table = _floats(values, words)
    if table.size == 0:
        return np.empty((0, columns[0]))
    if table.ndim != 2 or table.shape[1] not in columns:
        raise UserError(words)
    return table


def to_scores(values: Any, count: int, name: str) -> np.ndarray:
    """(N,) float64 of a list of as many scores as there are boxes.

    Raises:
        UserError: They are something else; ``name`` says what they are.
    """
    scores = _floats(values, f'{name}: its scores are not all numbers')
    if scores.shape != (count,):
        raise UserError(f'{name}: it has {scores.size} scores for {count} boxes')
    return scores
