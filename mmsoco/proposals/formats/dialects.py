"""How a table of boxes is written: encoding, separator, and what its columns are called."""

import codecs
import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from mmsoco.errors import UserError

SEPARATORS = {',': 'commas', ';': 'semicolons', '\t': 'tabs', '|': 'bars'}
#: Columns are compared by small letters and digits alone. Of what an image's may be called, the first one counts.
NAMES = (
    *('filename', 'filepath', 'imagefilename', 'imagefile', 'imagepath', 'imgpath', 'imagename', 'imgname'),
    *('imageid', 'imgid', 'image', 'img', 'picture', 'picturepath', 'path', 'file'),
)
SCORES = ('score', 'confidence', 'conf', 'prob', 'probability', 'predictediou')
#: What a box's columns may be called, by what they give. Of each kind the first that is there counts.
BOXES = {
    'corners': (
        ('x1', 'y1', 'x2', 'y2'),
        ('xmin', 'ymin', 'xmax', 'ymax'),
        ('minx', 'miny', 'maxx', 'maxy'),
        ('left', 'top', 'right', 'bottom'),
        ('xtl', 'ytl', 'xbr', 'ybr'),
        ('x0', 'y0', 'x1', 'y1'),
    ),
    'left, top, width, height': tuple(
        corner + sides
        for sides, corner in product(
            (('w', 'h'), ('width', 'height')), (('x', 'y'), ('left', 'top'), ('xmin', 'ymin'), ('x1', 'y1'))
        )
    ),
    'centre, width, height': (('xcenter', 'ycenter', 'w', 'h'), ('xcenter', 'ycenter', 'width', 'height')),
}
#: And the image's sides.
SIZES = (('imagewidth', 'imageheight'), ('width', 'height'))
#: Open Images': coordinates are parts of the image's sides, and boxes of groups are no instances.
OPEN_IMAGES, GROUP = {'ImageID', 'XMin', 'XMax', 'YMin', 'YMax'}, 'IsGroupOf'


@dataclass
class Dialect:
    """How to read a table.

    Attributes:
        encoding: As Python calls it.
        separator: Between columns.
        columns: What they are called.
        header: The line that says so; None where none does.
        before: How many lines stand before the first that is read.
        name: Number of the column with the image's name.
        box: Numbers of the four columns of a box.
        kind: One of :data:`BOXES`: what these are.
        size: Numbers of the columns with the image's width and height, if any.
        score: Number of the column with a box's score, if any.
        group: Number of the column that is 1 for boxes of groups, if any.
        parts: Whether coordinates are parts of the image's sides by definition.
    """

    encoding: str
    separator: str
    columns: Sequence[str]
    header: list[str] | None
    before: int
    name: int
    box: tuple[int, ...]
    kind: str
    size: tuple[int, ...] | None = None
    score: int | None = None
    group: int | None = None
    parts: bool = False

    def __str__(self) -> str:
        """For the user, who should see what was taken for what."""
        used = {self.name, *self.box, *(self.size or ()), self.score, self.group}

        def named(*numbers: int) -> str:
            return ', '.join(self.columns[i] for i in numbers)

        words = [
            f'separated by {SEPARATORS[self.separator]}, {self.encoding}',
            f'image by {named(self.name)}, box by {named(*self.box)} ({self.kind})',
        ]
        if self.header is None:
            words.insert(1, 'without names of columns, so taken as keras-retinanet has them')
        if self.size is not None:
            words.append(f"the image's size by {named(*self.size)}")
        if self.score is not None:
            words.append(f'score by {named(self.score)}')
        unused = named(*(i for i, column in enumerate(self.columns) if column and i not in used))
        return f'read as {"; ".join(words)}{f"; without use: {unused}" if unused else ""}'


def find_dialect(path: Path) -> Dialect:
    """How a table is written, by its first line with words.

    Raises:
        UserError: It is no table of boxes: the message says what it lacks, or what could be taken in two ways.
    """
    encoding = _encoding(path)
    with path.open(newline='', encoding=encoding, errors='replace') as text:
        lines = ((i, text.readline(2**17)) for i in range(2**16))
        # Excel's own first line says the separator.
        before, first = next(
            (i, line)
            for i, line in lines
            if not line or (line.strip(' \t;,|"\r\n') and not re.fullmatch(r'sep=.\s*', line))
        )
    rows = {separator: _cells(first, separator) for separator in SEPARATORS}
    lacks = []
    # The separator that cuts the line into most pieces is most likely the right one.
    for separator in sorted(SEPARATORS, key=lambda separator: -len(rows[separator])):
        cells = rows[separator]
        if _is_row(cells):
            columns = ('path', 'x1', 'y1', 'x2', 'y2', 'class')[: len(cells)]
            return Dialect(encoding, separator, columns, None, before, **_find_columns(columns))
        try:
            return Dialect(encoding, separator, cells, cells, before, **_find_columns(cells))
        except _LackingColumn as error:
            lacks.append(error)
        except ValueError as error:
            raise UserError(f'{path} {error}') from None
    found = ', '.join(cell[:30] for cell in rows[','] if cell)[:200]
    raise UserError(f'{path} {lacks[0]}; its first line names the columns{f", and here has {found}" if found else ""}')


def _encoding(path: Path) -> str:
    """By the mark that a text begins with, else UTF-8 where that is possible, else Windows' of Western Europe.

    Raises:
        UserError: It is no text.
    """
    with path.open('rb') as file:
        begin = file.read(4096)
        marks = {codecs.BOM_UTF8: 'utf-8-sig', codecs.BOM_UTF16_LE: 'utf-16', codecs.BOM_UTF16_BE: 'utf-16'}
        for mark, encoding in marks.items():
            if begin.startswith(mark):
                return encoding
        # Of Latin letters in UTF-16, every other byte is zero.
        for first, encoding in ((1, 'utf-16-le'), (0, 'utf-16-be')):
            if begin[first::2].count(0) > len(begin) / 4 and not begin[1 - first :: 2].count(0):
                return encoding
        decoder = codecs.getincrementaldecoder('utf-8')()
        try:
            decoder.decode(begin)
            while block := file.read(2**20):
                decoder.decode(block)
            decoder.decode(b'', final=True)
        except UnicodeDecodeError:
            return 'cp1252'
    return 'utf-8'


def _cells(line: str, separator: str) -> list[str]:
    try:
        row = next(csv.reader([line], delimiter=separator, skipinitialspace=True), [])
    except csv.Error:
        return []
    return [cell.strip() for cell in row]


def _is_row(cells: Sequence[str]) -> bool:
    """Whether a first line is a box and no names: ``path,x1,y1,x2,y2,class``, as keras-retinanet has them."""
    number = re.compile(r'[-+]?\d+([.,]\d+)?')
    box = cells[1:5]
    return (
        len(cells) in (5, 6)
        and cells[0] != ''
        and not number.fullmatch(cells[0])
        and (not any(cells[1:]) or all(map(number.fullmatch, box)))
    )


class _LackingColumn(Exception):
    """Another separator may bring it."""


def _canonical(column: str) -> str:
    """One name for the spellings of a column: ``bbox_x1``, ``X 1``, ``img_w``, ``center-x``."""
    plain = re.sub('[^a-z0-9]', '', column.casefold())
    of_box = re.fullmatch('b?(box|b)(x.*|y.*|w|h|width|height|left|top|right|bottom|min.*|max.*)', plain)
    if of_box:
        return {'width': 'w', 'height': 'h'}.get(of_box[2], of_box[2])
    of_image = re.fullmatch('(image|img|im)(w|h)(idth|eight)?', plain)
    if of_image:
        return {'w': 'imagewidth', 'h': 'imageheight'}[of_image[2]]
    centre = re.fullmatch('(?:c|cent(?:er|re)|mid)([xy])|([xy])(?:c|cent(?:er|re)|mid)', plain)
    if centre:
        return f'{centre[1] or centre[2]}center'
    return plain


def _find_columns(cells: Sequence[str]) -> dict:
    """Number of each column that is used, by its attribute of :class:`Dialect`.

    Raises:
        _LackingColumn: There is no image, or no box.
        ValueError: There are two.
    """
    canonical = [_canonical(cell) for cell in cells]
    where = {column: canonical.index(column) for column in canonical if column}
    if {'regionshapeattributes', 'regionattributes'} <= where.keys():
        raise ValueError(
            'is a table of the VGG Image Annotator (VIA); export annotations in COCO format and give these'
        )
    name = next((column for column in NAMES if column in where), None)
    if name is None:
        raise _LackingColumn('has no column file_name, nor filename, image or path')
    kind, box = _find_box(where, cells)
    size = next((pair for pair in SIZES if set(pair) <= where.keys() and not set(pair) & set(box)), None)
    half = next((pair for pair in SIZES if len(set(pair) & where.keys() - set(box)) == 1), None)
    if size is None and half is not None:
        raise ValueError(f'has only one of the columns {" and ".join(half)}; write both, or leave it out')
    score = next((column for column in SCORES if column in where), None)
    parts = set(cells) >= OPEN_IMAGES
    for column in (name, *box, *(size or ())):
        if canonical.count(column) > 1:
            same = ' and '.join(cell for cell, other in zip(cells, canonical, strict=True) if other == column)
            raise ValueError(f'has columns that may mean the same, {same}; leave the one that counts')
    return dict(
        name=where[name],
        box=tuple(where[column] for column in box),
        kind=kind,
        size=None if size is None else tuple(where[column] for column in size),
        score=None if score is None else where[score],
        group=list(cells).index(GROUP) if parts and GROUP in cells else None,
        parts=parts,
    )


def _find_box(where: Mapping[str, int], cells: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """What the columns of a box are, and how they are called."""
    for kind, ways in BOXES.items():
        found = [way for way in ways if set(way) <= where.keys()]
        if kind == 'corners' and len(found) > 1:
            one, other = (', '.join(cells[where[column]] for column in way) for way in found[:2])
            raise ValueError(f'has boxes by {one} and by {other}; leave the columns that are in pixels')
        if found:
            return kind, found[0]
    if {'bbox', 'box'} & where.keys():
        raise ValueError('has all numbers of a box in one column; write a column for each: x1, y1, x2, y2')
    lacking = next((column for column in BOXES['corners'][0] if column not in where), 'x1')
    raise _LackingColumn(f'has no column {lacking}, nor xmin, ymin, xmax, ymax, nor x, y, w, h')
