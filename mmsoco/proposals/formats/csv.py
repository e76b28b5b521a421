"""CSV, a box a line: file_name, x1, y1, x2, y2; score, and width and height, may be there; and its many dialects."""

import csv
import re
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from mmsoco.boxes import xywh_to_xyxy
from mmsoco.errors import UserError
from mmsoco.proposals.formats.base import Boxes, BoxFile, BoxFormat
from mmsoco.proposals.formats.dialects import Dialect, find_dialect
from mmsoco.proposals.registry import FORMATS
from mmsoco.proposals.untiled import WholeImages

_CORNERS = ('x1', 'y1', 'x2', 'y2')


@dataclass
class _Lines:
    """What the lines of an image say: numbers in rows, and where they stand."""

    boxes: array = field(default_factory=lambda: array('d'))
    scores: array = field(default_factory=lambda: array('d'))
    numbers: array = field(default_factory=lambda: array('q'))
    size: tuple[int, int] | None = None


class _Kept:
    """Lines of a text, the last of which is kept."""

    def __init__(self, text: Iterable[str]):
        self.text = text
        self.last = ''

    def __iter__(self) -> Iterator[str]:
        for line in self.text:
            self.last = line
            yield line


class _Reader:
    """Takes in the lines of a table.

    Attributes:
        images: What they say, by image.
        commas: A decimal comma, where there were any: one that no thousands can have, if there is such a one.
    """

    def __init__(self, file: BoxFile, dialect: Dialect):
        self.file, self.dialect = file, dialect
        self.images: dict[str, _Lines] = {}
        self.commas: str | None = None

    def take(self, row: Sequence[str], number: int) -> None:
        """A line's cells; ``number`` is its number."""
        dialect, where = self.dialect, f'{self.file.path}, line {number}'
        if len(row) < len(dialect.columns):
            raise UserError(f'{where}: it has fewer columns than the first line names; was the file cut off?')
        if any(map(str.strip, row[len(dialect.columns) :])):
            raise UserError(f'{where}: it has more columns than the first line names; put what has commas in quotes')
        name = row[dialect.name]
        if not name.strip():
            raise UserError(f'{where}: it does not name its image')
        lines = self.images.setdefault(name, _Lines())
        if any(row[column].strip() for column in dialect.box):
            if dialect.group is not None and row[dialect.group].strip() == '1':
                self.file.left_out['of groups (IsGroupOf)'] += 1
            else:
                lines.boxes.extend(self._floats(row, dialect.box, where))
                lines.numbers.append(number)
                if dialect.score is not None and row[dialect.score].strip():
                    lines.scores.extend(self._floats(row, (dialect.score,), where))
        if dialect.size is not None and any(row[column].strip() for column in dialect.size):
            width, height = self._floats(row, dialect.size, where)
            if not (width.is_integer() and height.is_integer()) or lines.size not in (None, (width, height)):
                raise UserError(
                    f"{where}: width and height are not those of the lines before, or broken; if they are the box's, "
                    'call them w and h'
                )
            lines.size = int(width), int(height)

    def _floats(self, row: Sequence[str], columns: Sequence[int], where: str) -> list[float]:
        try:
            return [float(row[column]) for column in columns]
        except ValueError:
            pass
        try:
            return [self._float(row[column]) for column in columns]
        except ValueError:
            names = ', '.join(self.dialect.columns[column] for column in columns)
            raise UserError(f'{where}: {names} are not all numbers') from None

    def _float(self, cell: str) -> float:
        """A number, be it with a decimal comma."""
        if ',' in cell and self.dialect.separator != ',':
            if self.commas is None or not re.fullmatch(r'\s*[-+]?\d{1,3},\d{3}\s*', cell):
                self.commas = cell
            cell = cell.replace(',', '.')
        return float(cell)

    def check_commas(self) -> None:
        """Refuse numbers such as 1,234 where nothing tells whether that is 1.234."""
        if self.commas is None:
            return
        if re.fullmatch(r'\s*[-+]?\d{1,3},\d{3}\s*', self.commas):
            raise UserError(
                f'{self.file.path} has numbers such as {self.commas.strip()}, which may be fractions or thousands; '
                'write a point, or no mark at all'
            )
        self.file.notes.append('commas in numbers are decimal')


@FORMATS.register('csv')
class Csv(BoxFormat):
    """CSV, of a spreadsheet or a script; a line without coordinates names an image without boxes."""

    endings = ('.csv', '.tsv')

    def read(self, file: BoxFile) -> Iterator[Boxes]:
        """Boxes; further columns are passed over."""
        try:
            dialect = find_dialect(file.path)
            reader = _read(file, dialect)
        except FileNotFoundError:
            raise UserError(f'{file.path} does not exist') from None
        except (OSError, UnicodeError, csv.Error) as error:
            raise UserError(f'{file.path} is not a CSV file ({error})') from None
        # Open Images' columns, but somebody's pixels in them.
        parts = dialect.parts and max((max(lines.boxes, default=0) for lines in reader.images.values()), default=0) <= 1
        file.notes.insert(0, f'{dialect}{"; in parts of the sides, as Open Images has them" if parts else ""}')
        for name, lines in reader.images.items():
            boxes = np.array(lines.boxes).reshape(-1, 4)
            if lines.scores and len(lines.scores) != len(boxes):
                raise UserError(f'{file.path}: {name} has {len(lines.scores)} scores for {len(boxes)} boxes')
            if dialect.kind.startswith('centre'):
                boxes[:, :2] -= boxes[:, 2:] / 2
            yield Boxes(
                name,
                boxes if dialect.kind == 'corners' else xywh_to_xyxy(boxes),
                lambda i, n=lines.numbers: f'line {n[i]}',
                np.array(lines.scores) if lines.scores else None,
                lines.size,
                sides=dialect.kind != 'corners',
                parts=parts,
            )

    def write(self, store: WholeImages, file: BoxFile) -> None:
        """Boxes with sizes, without scores."""
        with file.open_to_write() as text:
            writer = csv.writer(text, delimiter='\t' if file.path.suffix.lower() == '.tsv' else ',')
            writer.writerow(('file_name', 'width', 'height', *_CORNERS))
            for row in store:
                for box in row.boxes.tolist() or [[''] * 4]:
                    writer.writerow([row.file_name, row.width, row.height, *box])


def _read(file: BoxFile, dialect: Dialect) -> _Reader:
    """All lines of a table.

    Raises:
        UserError: One is broken, or the last one is cut off.
    """
    reader = _Reader(file, dialect)
    empty = repeated = count = 0
    with file.path.open(newline='', encoding=dialect.encoding) as text:
        for _ in range(dialect.before):
            text.readline()
        lines = _Kept(text)
        rows = csv.reader(lines, delimiter=dialect.separator, skipinitialspace=True)
        for count, row in enumerate(rows, 1):
            if not any(map(str.strip, row)):
                empty += 1
            elif dialect.header is not None and [cell.strip() for cell in row] == dialect.header:
                repeated += 1
            elif dialect.header is None or count > 1:
                reader.take(row, rows.line_num + dialect.before)
        # With a single line, nothing tells how lines end.
        if count > 1 and not lines.last.endswith(('\n', '\r')):
            raise UserError(
                f'{file.path}: its last line has no end; was the file cut off? If it is whole, end that line, too'
            )
    if empty:
        file.notes.append(f'{empty} empty lines passed over')
    if repeated > 1:
        file.notes.append(f'{repeated - 1} lines that name the columns again passed over')
    reader.check_commas()
    return reader
