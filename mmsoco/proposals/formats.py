"""Other tools' files of boxes, read and written.

A reader yields :class:`Boxes`, one an image, as they stand in the file; whether
they make sense is for :mod:`mmsoco.proposals.convert` to say.
"""

import csv
import json
import pickle
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any, BinaryIO, TextIO

import numpy as np

from mmsoco.boxes import xywh_to_xyxy, xyxy_to_xywh
from mmsoco.errors import UserError
from mmsoco.proposals.store import ProposalRow


@dataclass
class Boxes:
    """An image's boxes as a file has them.

    Attributes:
        name: What the file calls the image.
        boxes: (N, 4) float64 xyxy in pixels; anything may be in it.
        row: What to call a box in a message, by its number.
        scores: (N,), where the file has them.
        size: (width, height), where the file has it.
    """

    name: str
    boxes: np.ndarray
    row: Callable[[int], str]
    scores: np.ndarray | None = None
    size: tuple[int, int] | None = None


def _numbers(values: Any, columns: tuple[int, ...], name: str) -> np.ndarray:
    """(N, C) float64 of nested lists, C one of ``columns``."""
    try:
        table = np.array(values, np.float64)
    except (TypeError, ValueError):
        raise UserError(f'{name}: its boxes are not rows of {columns[0]} numbers') from None
    if table.size == 0:
        return np.empty((0, columns[0]))
    if table.ndim != 2 or table.shape[1] not in columns:
        raise UserError(f'{name}: its boxes are not rows of {columns[0]} numbers')
    return table


def _scores(values: Any, count: int, name: str) -> np.ndarray:
    """(N,) float64 of a list of as many scores as there are boxes."""
    try:
        scores = np.array(values, np.float64)
    except (TypeError, ValueError):
        raise UserError(f'{name}: its scores are not all numbers') from None
    if scores.shape != (count,):
        raise UserError(f'{name}: it has {scores.size} scores for {count} boxes')
    return scores


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        UserError: There is no such file, or it is no JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise UserError(f'{path} does not exist') from None
    except (OSError, ValueError) as error:
        raise UserError(f'{path} is not a JSON file ({error})') from None


# The released code's JSON: {name without ending: [[x, y, w, h], ...]}.


def stem(file_name: str) -> str:
    """The released code's name for an image: up to the first dot, without folders."""
    return PurePath(file_name).name.split('.')[0]


def read_released(path: Path, content: Any) -> Iterator[Boxes]:
    """Boxes of the released code's JSON, x2 being x + w."""
    if not isinstance(content, dict):
        raise UserError(f'{path} is not like {{"name": [[x, y, w, h], ...]}}')
    for name, boxes in content.items():
        # A fifth number, of detectors, is a score.
        table = _numbers(boxes, (4, 5), f'{path}, {name}')
        scores = table[:, 4] if table.shape[1] == 5 else None
        yield Boxes(name, xywh_to_xyxy(table[:, :4]), lambda i, name=name: f'{name}, box {i + 1}', scores)


def write_released(rows: Iterable[ProposalRow], file: TextIO) -> None:
    """The released code's JSON, ``convert_props`` of which makes x2 = x + w - 1."""
    seen = set()
    for row in rows:
        name = stem(row.file_name)
        if name in seen:
            raise UserError(
                f'two images are called {name}, which the released format cannot tell apart; choose another format'
            )
        file.write(f'{", " if seen else "{"}{json.dumps(name)}: {xyxy_to_xywh(row.boxes.astype(np.int64)).tolist()}')
        seen.add(name)
    file.write('}' if seen else '{}')


# COCO: annotations (a dict with images), or results (a list that refers to the images of such a dict).


def read_coco(path: Path, content: Any, images: Any = None) -> Iterator[Boxes]:
    """Boxes of COCO's annotations or results; regions marked as crowds are left out.

    Args:
        images: Content of the annotation file that results refer to.
    """
    if not isinstance(content, (list, dict)):
        raise UserError(f'{path} holds neither COCO annotations nor results')
    results = isinstance(content, list)
    annotated = images if results else content
    entries = content if results else content.get('annotations', [])
    kind = 'results' if results else 'annotations'
    known = _images(path, annotated)
    found: dict[Any, list[int]] = {key: [] for key in known}
    if not isinstance(entries, list):
        raise UserError(f'{path}: its {kind} are not a list')
    for i, entry in enumerate(entries):
        # A list, say, could not even be looked up.
        key = entry.get('image_id') if isinstance(entry, dict) else None
        if not isinstance(key, (int, str)) or key not in known:
            raise UserError(f'{path}, {kind}[{i}]: its image_id is missing or unknown')
        if not entry.get('iscrowd'):
            found[key].append(i)
    for key, numbers in found.items():
        image = known[key]
        try:
            name, size = str(image['file_name']), (int(image['width']), int(image['height']))
        except (KeyError, TypeError, ValueError, OverflowError):
            raise UserError(f'{path}: image {key} lacks file_name, width or height') from None
        boxes = [_numbers([entries[i].get('bbox')], (4,), f'{path}, {kind}[{i}]') for i in numbers]
        table = np.concatenate(boxes) if boxes else np.empty((0, 4))
        if len(table) != len(numbers):
            raise UserError(f'{path}: a bbox of {name} is empty')
        scores = [entries[i].get('score', 1.0) for i in numbers]
        yield Boxes(
            name,
            xywh_to_xyxy(table),
            lambda i, n=numbers: f'{kind}[{n[i]}]',
            _scores(scores, len(numbers), f'{path}, {name}') if results else None,
            size,
        )


def _images(path: Path, content: Any) -> dict[Any, dict]:
    """Id -> entry of the images of an annotation file."""
    try:
        return {image['id']: image for image in content['images']}
    except (TypeError, KeyError):
        raise UserError(f'{path}: its list of images is missing, or one has no id') from None


def write_coco(rows: Sequence[ProposalRow], file: TextIO) -> None:
    """COCO's annotations, of one category."""
    file.write('{"categories": [{"id": 1, "name": "proposal"}], "images": [')
    for number, row in enumerate(rows, 1):
        image = dict(id=number, file_name=row.file_name, width=row.width, height=row.height)
        file.write(f'{", " if number > 1 else ""}{json.dumps(image)}')
    file.write('], "annotations": [')
    count = 0
    for number, row in enumerate(rows, 1):
        for box in xyxy_to_xywh(row.boxes.astype(np.int64)).tolist():
            count += 1
            entry = dict(id=count, image_id=number, category_id=1, bbox=box, area=box[2] * box[3], iscrowd=0)
            file.write(f'{", " if count > 1 else ""}{json.dumps(entry)}')
    file.write(']}')


def write_coco_results(rows: Iterable[ProposalRow], file: TextIO, path: Path, images: Any) -> None:
    """COCO's results, of score 1, for the images of an annotation file."""
    numbers = {image.get('file_name'): key for key, image in _images(path, images).items()}
    first = True
    for row in rows:
        if row.file_name not in numbers:
            raise UserError(f'{row.file_name} is not among the images of {path}')
        for box in xyxy_to_xywh(row.boxes.astype(np.int64)).tolist():
            entry = dict(image_id=numbers[row.file_name], category_id=1, bbox=box, score=1.0)
            file.write(f'{"[" if first else ", "}{json.dumps(entry)}')
            first = False
    file.write('[]' if first else ']')


# mmdet's pickle, as its DumpProposals writes and its data sets read: {folder/name: dict or InstanceData}.


class _Plain:
    """What stands in for an InstanceData: its attributes, none of its code."""


class _DataUnpickler(pickle.Unpickler):
    """Loads arrays and containers, and nothing that could run code."""

    _ARRAYS = frozenset(
        (f'numpy.{core}.{module}', name)
        for core in ('core', '_core')
        for module, name in (('multiarray', '_reconstruct'), ('multiarray', 'scalar'), ('numeric', '_frombuffer'))
    ) | {('numpy', 'ndarray'), ('numpy', 'dtype')}
    _CONTAINERS = frozenset({('builtins', 'set'), ('collections', 'OrderedDict')})

    def find_class(self, module: str, name: str) -> Any:
        if name == 'InstanceData' and module.startswith('mmengine.structures'):
            return _Plain
        if (module, name) in self._ARRAYS | self._CONTAINERS:
            return super().find_class(module, name)
        raise UserError(f'it holds {module}.{name}, which is not read, as it could run code; save numpy arrays')


def mmdet_key(root: Path, file_name: str) -> str:
    """mmdet's name for an image: its folder and its name."""
    return '/'.join((root / file_name).parts[-2:])


def read_mmdet(path: Path) -> Iterator[Boxes]:
    """Boxes of mmdet's proposal file, without running code that may be in it."""
    try:
        with path.open('rb') as file:
            content = _DataUnpickler(file).load()
    except FileNotFoundError:
        raise UserError(f'{path} does not exist') from None
    except UserError as error:
        raise UserError(f'{path} is not loaded: {error}') from None
    except Exception as error:
        raise UserError(f'{path} is not a pickle, or not all of one ({error})') from None
    if not isinstance(content, dict):
        raise UserError(f'{path} does not say which image its boxes are of; write it with mmdet 3, by DumpProposals')
    for name, entry in content.items():
        fields = entry if isinstance(entry, dict) else vars(entry) if isinstance(entry, _Plain) else {}
        if 'bboxes' not in fields:
            raise UserError(f'{path}, {name}: it has no bboxes')
        boxes = _numbers(fields['bboxes'], (4,), f'{path}, {name}')
        scores = fields.get('scores')
        if scores is not None:
            scores = _scores(scores, len(boxes), f'{path}, {name}')
        yield Boxes(str(name), boxes, lambda i, name=name: f'{name}, box {i + 1}', scores)


def write_mmdet(rows: Iterable[ProposalRow], file: BinaryIO, root: Path) -> None:
    """mmdet's proposal file, of plain dicts; all scores are 1."""
    content: dict[str, dict[str, np.ndarray]] = {}
    for row in rows:
        key = mmdet_key(root, row.file_name)
        if key in content:
            raise UserError(f'two images are called {key}, which mmdet cannot tell apart; choose another format')
        content[key] = dict(bboxes=row.boxes.astype(np.float32), scores=np.ones(len(row.boxes), np.float32))
    pickle.dump(content, file, protocol=4)


# CSV, a box a line.

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


def _floats(line: Mapping[str, str | None], columns: Sequence[str], number: int, path: Path) -> list[float]:
    try:
        return [float(line[column]) for column in columns]
    except (TypeError, ValueError, KeyError):
        raise UserError(f'{path}, line {number}: {", ".join(columns)} are not all numbers') from None


def read_csv(path: Path) -> Iterator[Boxes]:
    """Boxes of a CSV file: file_name, x1, y1, x2, y2; score, and width and height, may be there.

    A line without coordinates names an image without boxes.
    """
    images: dict[str, _Lines] = {}
    try:
        with path.open(newline='', encoding='utf-8-sig') as file:
            reader = csv.DictReader(file)
            missing = {'file_name', *_CORNERS} - set(reader.fieldnames or ())
            if missing:
                raise UserError(f'{path} has no column {min(missing)}; its first line names the columns')
            for line in reader:
                images.setdefault(line['file_name'], _Lines()).add(line, reader.line_num, path)
    except FileNotFoundError:
        raise UserError(f'{path} does not exist') from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f'{path} is not a CSV file ({error})') from None
    for name, lines in images.items():
        boxes = np.array(lines.boxes).reshape(-1, 4)
        if lines.scores and len(lines.scores) != len(boxes):
            raise UserError(f'{path}: {name} has {len(lines.scores)} scores for {len(boxes)} boxes')
        scores = np.array(lines.scores) if lines.scores else None
        yield Boxes(name, boxes, lambda i, n=lines.numbers: f'line {n[i]}', scores, lines.size)


def write_csv(rows: Iterable[ProposalRow], file: TextIO) -> None:
    """The same, with sizes and without scores."""
    writer = csv.writer(file)
    writer.writerow(('file_name', 'width', 'height', *_CORNERS))
    for row in rows:
        for box in row.boxes.tolist() or [[''] * 4]:
            writer.writerow([row.file_name, row.width, row.height, *box])
