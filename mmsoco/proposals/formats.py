"""Other tools' files of boxes, read and written.

A reader yields :class:`Boxes`, one a picture, as they stand in the file; whether
they make sense is for :mod:`mmsoco.proposals.convert` to say.
"""

import csv
import json
import pickle
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from mmsoco.errors import UserError
from mmsoco.proposals.store import ProposalRow


@dataclass
class Boxes:
    """A picture's boxes as a file has them.

    Attributes:
        name: What the file calls the picture.
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
        array = np.array(values, np.float64)
    except (TypeError, ValueError):
        raise UserError(f'{name}: its boxes are not rows of {columns[0]} numbers') from None
    if array.size == 0:
        return np.empty((0, columns[0]))
    if array.ndim != 2 or array.shape[1] not in columns:
        raise UserError(f'{name}: its boxes are not rows of {columns[0]} numbers')
    return array


def _xyxy(xywh: np.ndarray) -> np.ndarray:
    return np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:4]], axis=1)


def _xywh(xyxy: np.ndarray) -> np.ndarray:
    return np.concatenate([xyxy[:, :2], xyxy[:, 2:] - xyxy[:, :2]], axis=1)


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
    """The released code's name for a picture: up to the first dot, without folders."""
    return PurePath(file_name).name.split('.')[0]


def read_released(path: Path, content: Any) -> Iterator[Boxes]:
    """Boxes of the released code's JSON, x2 being x + w."""
    if not isinstance(content, dict):
        raise UserError(f'{path} is not like {{"name": [[x, y, w, h], ...]}}')
    for name, boxes in content.items():
        # A fifth number, of detectors, is a score.
        array = _numbers(boxes, (4, 5), f'{path}, {name}')
        scores = array[:, 4] if array.shape[1] == 5 else None
        yield Boxes(name, _xyxy(array), lambda i, name=name: f'{name}, box {i + 1}', scores)


def write_released(rows: Iterable[ProposalRow]) -> bytes:
    """The released code's JSON, ``convert_props`` of which makes x2 = x + w - 1."""
    content: dict[str, list] = {}
    for row in rows:
        if stem(row.file_name) in content:
            raise UserError(
                f'two pictures are called {stem(row.file_name)}, which the released format cannot tell apart; '
                'choose another format'
            )
        content[stem(row.file_name)] = _xywh(row.boxes.astype(np.int64)).tolist()
    return json.dumps(content).encode()


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
    try:
        pictures = {image['id']: image for image in annotated['images']}
        found: dict[Any, list[int]] = {key: [] for key in pictures}
    except (TypeError, KeyError):
        raise UserError(f'{path}: its list of images is missing, or one has no id') from None
    for i, entry in enumerate(entries):
        if not isinstance(entry, dict) or entry.get('image_id') not in pictures:
            raise UserError(f'{path}, {kind}[{i}]: its image_id is missing or unknown')
        if not entry.get('iscrowd'):
            found[entry['image_id']].append(i)
    for key, numbers in found.items():
        image = pictures[key]
        try:
            name, size = image['file_name'], (int(image['width']), int(image['height']))
        except (KeyError, TypeError, ValueError):
            raise UserError(f'{path}: image {key} lacks file_name, width or height') from None
        boxes = [_numbers([entries[i].get('bbox')], (4,), f'{path}, {kind}[{i}]') for i in numbers]
        array = np.concatenate(boxes) if boxes else np.empty((0, 4))
        if len(array) != len(numbers):
            raise UserError(f'{path}: a bbox of {name} is empty')
        scores = np.array([entries[i].get('score', 1.0) for i in numbers], np.float64) if results else None
        yield Boxes(name, _xyxy(array), lambda i, n=numbers: f'{kind}[{n[i]}]', scores, size)


def write_coco(rows: Iterable[ProposalRow], images: Any = None) -> bytes:
    """COCO's annotations; with the content of an annotation file, results for its images."""
    if images is not None:
        numbers = {image['file_name']: image['id'] for image in images['images']}
        results = []
        for row in rows:
            if row.file_name not in numbers:
                raise UserError(f'{row.file_name} is not among the images of the annotation file')
            results += [
                dict(image_id=numbers[row.file_name], category_id=1, bbox=box, score=1.0)
                for box in _xywh(row.boxes.astype(np.int64)).tolist()
            ]
        return json.dumps(results).encode()
    content: dict[str, list] = dict(images=[], annotations=[], categories=[dict(id=1, name='proposal')])
    for number, row in enumerate(rows, 1):
        content['images'].append(dict(id=number, file_name=row.file_name, width=row.width, height=row.height))
        for box in _xywh(row.boxes.astype(np.int64)).tolist():
            entry = dict(image_id=number, category_id=1, bbox=box, area=box[2] * box[3], iscrowd=0)
            content['annotations'].append(dict(id=len(content['annotations']) + 1, **entry))
    return json.dumps(content).encode()


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
    """mmdet's name for a picture: its folder and its name."""
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
        raise UserError(f'{path} does not say which picture its boxes are of; write it with mmdet 3, by DumpProposals')
    for name, entry in content.items():
        fields = entry if isinstance(entry, dict) else vars(entry) if isinstance(entry, _Plain) else {}
        if 'bboxes' not in fields:
            raise UserError(f'{path}, {name}: it has no bboxes')
        boxes = _numbers(fields['bboxes'], (4,), f'{path}, {name}')
        scores = fields.get('scores')
        if scores is not None and np.shape(scores) != (len(boxes),):
            raise UserError(f'{path}, {name}: it has {np.size(scores)} scores for {len(boxes)} boxes')
        yield Boxes(name, boxes, lambda i, name=name: f'{name}, box {i + 1}', scores)


def write_mmdet(rows: Iterable[ProposalRow], root: Path) -> bytes:
    """mmdet's proposal file, of plain dicts; all scores are 1."""
    content: dict[str, dict[str, np.ndarray]] = {}
    for row in rows:
        key = mmdet_key(root, row.file_name)
        if key in content:
            raise UserError(f'two pictures are called {key}, which mmdet cannot tell apart; choose another format')
        content[key] = dict(bboxes=row.boxes.astype(np.float32), scores=np.ones(len(row.boxes), np.float32))
    return pickle.dumps(content, protocol=4)


# CSV, a box a line.

CSV_COLUMNS = ('file_name', 'width', 'height', 'x1', 'y1', 'x2', 'y2')


def read_csv(path: Path) -> Iterator[Boxes]:
    """Boxes of a CSV file: file_name, x1, y1, x2, y2; score, and width and height, may be there.

    A line without coordinates names a picture without boxes.
    """
    lines: dict[str, list[tuple[int, dict]]] = {}
    try:
        with path.open(newline='', encoding='utf-8-sig') as file:
            reader = csv.DictReader(file)
            missing = {'file_name', 'x1', 'y1', 'x2', 'y2'} - set(reader.fieldnames or ())
            if missing:
                raise UserError(f'{path} has no column {min(missing)}; its first line names the columns')
            for line in reader:
                lines.setdefault(line['file_name'], []).append((reader.line_num, line))
    except FileNotFoundError:
        raise UserError(f'{path} does not exist') from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f'{path} is not a CSV file ({error})') from None

    for name, entries in lines.items():

        def numbers(line: int, entry: Mapping, *columns: str) -> list[float]:
            try:
                return [float(entry[column]) for column in columns]
            except (TypeError, ValueError):
                raise UserError(f'{path}, line {line}: {", ".join(columns)} are not all numbers') from None

        boxed = [(line, e) for line, e in entries if any((e[c] or '').strip() for c in ('x1', 'y1', 'x2', 'y2'))]
        boxes = np.array([numbers(line, e, 'x1', 'y1', 'x2', 'y2') for line, e in boxed]).reshape(-1, 4)
        scores = size = None
        if boxed and boxed[0][1].get('score'):
            scores = np.array([numbers(line, e, 'score')[0] for line, e in boxed])
        if entries[0][1].get('width'):
            sizes = {tuple(map(int, numbers(line, e, 'width', 'height'))) for line, e in entries}
            if len(sizes) > 1:
                raise UserError(f'{path}: {name} has more than one size: {sorted(sizes)}')
            size = sizes.pop()
        where = [line for line, _ in boxed]
        yield Boxes(name, boxes, lambda i, where=where: f'line {where[i]}', scores, size)


def write_csv(rows: Iterable[ProposalRow], file: Any) -> None:
    """The same, to an open text file."""
    writer = csv.writer(file)
    writer.writerow(CSV_COLUMNS)
    for row in rows:
        for box in row.boxes.tolist() or [[''] * 4]:
            writer.writerow([row.file_name, row.width, row.height, *box])
