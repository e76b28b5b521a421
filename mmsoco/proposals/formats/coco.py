"""COCO's JSON: annotations (a dict with images), or results (a list that refers to the images of such a dict)."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mmsoco.boxes import xywh_to_xyxy, xyxy_to_xywh
from mmsoco.errors import UserError
from mmsoco.proposals.formats.base import Boxes, BoxFile, BoxFormat, read_json, to_scores, to_table
from mmsoco.proposals.registry import FORMATS
from mmsoco.proposals.store import ProposalStore


@FORMATS.register('coco')
class Coco(BoxFormat):
    """COCO's annotations or results; regions marked as crowds are left out."""

    endings = ('.json',)

    def recognises(self, file: BoxFile) -> bool:
        """A list, or a dict that has images."""
        return isinstance(file.json, list) or (isinstance(file.json, dict) and 'images' in file.json)

    def read(self, file: BoxFile) -> Iterator[Boxes]:
        """Boxes, with the scores of results."""
        content = file.json
        if not isinstance(content, (list, dict)):
            raise UserError(f'{file.path} holds neither COCO annotations nor results')
        if isinstance(content, dict):
            return _read(file.path, content, content.get('annotations', []), 'annotations')
        if file.annotations is None:
            raise UserError(f'{file.path} holds results; name the file with their images by --annotations')
        return _read(file.path, read_json(file.annotations), content, 'results')

    def write(self, store: ProposalStore, file: BoxFile) -> None:
        """Annotations of one category, or results of score 1 for the images of an annotation file."""
        if file.annotations is None:
            _write_annotations(store, file)
        else:
            _write_results(store, file, file.annotations)


def read_labelled(path: Path) -> tuple[list, list[Boxes]]:
    """The categories of an annotation file by their numbers, in order, and the boxes of its images.

    Raises:
        UserError: The file is missing or broken, or holds no annotations.
    """
    file = BoxFile(path)
    if not isinstance(file.json, dict):
        raise UserError(f'{path} holds no COCO annotations')
    categories = file.json.get('categories')
    kinds = categories if isinstance(categories, list) else []
    return [kind.get('id') for kind in kinds if isinstance(kind, dict)], list(Coco().read(file))


def _read(path: Path, annotated: Any, entries: Any, kind: str) -> Iterator[Boxes]:
    """Boxes of annotations or results.

    Args:
        annotated: Content of the file that has the images.
        entries: The annotations or results.
        kind: Which of the two.
    """
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
        boxes = [to_table([entries[i].get('bbox')], (4,), f'{path}, {kind}[{i}]') for i in numbers]
        table = np.concatenate(boxes) if boxes else np.empty((0, 4))
        if len(table) != len(numbers):
            raise UserError(f'{path}: a bbox of {name} is empty')
        scores = None
        if kind == 'results':
            scores = to_scores([entries[i].get('score', 1.0) for i in numbers], len(numbers), f'{path}, {name}')
        labels = [entries[i].get('category_id') for i in numbers]
        yield Boxes(name, xywh_to_xyxy(table), lambda i, n=numbers: f'{kind}[{n[i]}]', scores, size, labels)


def _images(path: Path, content: Any) -> dict[Any, dict]:
    """Id -> entry of the images of an annotation file."""
    try:
        return {image['id']: image for image in content['images']}
    except (TypeError, KeyError):
        raise UserError(f'{path}: its list of images is missing, or one has no id') from None


def _write_annotations(store: ProposalStore, file: BoxFile) -> None:
    with file.open_to_write() as text:
        text.write('{"categories": [{"id": 1, "name": "proposal"}], "images": [')
        for number, row in enumerate(store, 1):
            image = dict(id=number, file_name=row.file_name, width=row.width, height=row.height)
            text.write(f'{", " if number > 1 else ""}{json.dumps(image)}')
        text.write('], "annotations": [')
        count = 0
        for number, row in enumerate(store, 1):
            for box in xyxy_to_xywh(row.boxes.astype(np.int64)).tolist():
                count += 1
                entry = dict(id=count, image_id=number, category_id=1, bbox=box, area=box[2] * box[3], iscrowd=0)
                text.write(f'{", " if count > 1 else ""}{json.dumps(entry)}')
        text.write(']}')


def _write_results(store: ProposalStore, file: BoxFile, annotations: Path) -> None:
    images = _images(annotations, read_json(annotations))
    numbers = {image.get('file_name'): key for key, image in images.items()}
    first = True
    with file.open_to_write() as text:
        for row in store:
            if row.file_name not in numbers:
                raise UserError(f'{row.file_name} is not among the images of {annotations}')
            for box in xyxy_to_xywh(row.boxes.astype(np.int64)).tolist():
                entry = dict(image_id=numbers[row.file_name], category_id=1, bbox=box, score=1.0)
                text.write(f'{"[" if first else ", "}{json.dumps(entry)}')
                first = False
        text.write('[]' if first else ']')
