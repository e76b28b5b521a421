"""CSV, a box a line: file_name, x1, y1, x2, y2; score, and width and height, may be there."""

import csv
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mmsoco.errors import UserError
from mmsoco.proposals.formats.base import Boxes, BoxFile, BoxFormat
from mmsoco.proposals.registry import FORMATS
from mmsoco.proposals.store import ProposalStore

_CORNERS = ('x1', 'y1', 'x2', 'y2')


@dataclass
class _Lines:
    """What the lines of an image say: numbers in rows, and where they stand."""

    boxes: array = field(default_factory=lambda: array('d'))
    scores: array = field(default_factory=lambda: array('d'))
    numbers: array = field(default_factory=lambda: array('q'))
    size: tuple[int, int] | None = None

    def add(self, line: Mapping[str, str | None], number: int, path: Path) -> None:
        """Take a line in; ``number`` is its number."""
        if any((line[column] or '').strip() for column in _CORNERS):
            self.boxes.extend(_floats(line, _CORNERS, number, path))
            self.numbers.append(number)
            if (line.get('score') or '').strip():
                self.scores.extend(_floats(line, ('score',), number, path))
        if (line.get('width') or '').strip():
            width, height = _floats(line, ('width', 'height'), number, path)
            if not (width.is_integer() and height.is_integer()) or self.size not in (None, (width, height)):
                raise UserError(f'{path}, line {number}: width and height are not those of the lines before, or broken')
            self.size = int(width), int(height)


class _Kept:
    """Lines of a text, the last of which is kept."""

    def __init__(self, text: Iterable[str]):
        self.text = text
        self.last = ''

    def __iter__(self) -> Iterator[str]:
        for line in self.text:
            self.last = line
            yield line


def _floats(line: Mapping[str, str | None], columns: Sequence[str], number: int, path: Path) -> list[float]:
    try:
        return [float(line[column]) for column in columns]
    except (TypeError, ValueError, KeyError):
        raise UserError(f'{path}, line {number}: {", ".join(columns)} are not all numbers') from None


@FORMATS.register('csv')
class Csv(BoxFormat):
    """CSV, of a spreadsheet or a script; a line without coordinates names an image without boxes."""

    endings = ('.csv',)

    def read(self, file: BoxFile) -> Iterator[Boxes]:
        """Boxes; further columns are passed over."""
        path = file.path
        images: dict[str, _Lines] = {}
        try:
            with path.open(newline='', encoding='utf-8-sig') as text:
                lines = _Kept(text)
                reader = csv.DictReader(lines)
                missing = {'file_name', *_CORNERS} - set(reader.fieldnames or ())
                if missing:
                    raise UserError(f'{path} has no column {min(missing)}; its first line names the columns')
                for line in reader:
                    if None in line.values():
                        raise UserError(
                            f'{path}, line {reader.line_num}: it has fewer columns than the first line names; '
                            'was the file cut off?'
                        )
                    images.setdefault(line['file_name'], _Lines()).add(line, reader.line_num, path)
                # With a single line, nothing tells how lines end.
                if reader.line_num > 1 and not lines.last.endswith(('\n', '\r')):
                    raise UserError(
                        f'{path}: its last line has no end; was the file cut off? If it is whole, end that line, too'
                    )
        except FileNotFoundError:
            raise UserError(f'{path} does not exist') from None
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise UserError(f'{path} is not a CSV file ({error})') from None
        for name, image in images.items():
            boxes = np.array(image.boxes).reshape(-1, 4)
            if image.scores and len(image.scores) != len(boxes):
                raise UserError(f'{path}: {name} has {len(image.scores)} scores for {len(boxes)} boxes')
            scores = np.array(image.scores) if image.scores else None
            yield Boxes(name, boxes, lambda i, n=image.numbers: f'line {n[i]}', scores, image.size)

    def write(self, store: ProposalStore, file: BoxFile) -> None:
        """Boxes with sizes, without scores."""
        with file.open_to_write() as text:
            writer = csv.writer(text)
            writer.writerow(('file_name', 'width', 'height', *_CORNERS))
            for row in store:
                for box in row.boxes.tolist() or [[''] * 4]:
                    writer.writerow([row.file_name, row.width, row.height, *box])
