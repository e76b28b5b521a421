"""COCO's JSON: annotations (a dict with images), or results (a list that refers to the images of such a dict)."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np

from mmsoco.boxes import xywh_to_xyxy, xyxy_to_xywh
from mmsoco.errors import UserError
from mmsoco.images.mini_coco import is_crowd
from mmsoco.proposals.formats.base import NEGATIVE, Boxes, BoxFile, BoxFormat, join, read_json, to_scores
from mmsoco.proposals.formats.outlines import boxes_of
from mmsoco.proposals.formats.sam import is_sam, read_sam
from mmsoco.proposals.registry import FORMATS
from mmsoco.proposals.untiled import WholeImages


@FORMATS.register('coco')
class Coco(BoxFormat):
    """COCO's annotations or results, and those of Segment Anything's data set; crowds are left out."""

    endings = ('.json',)
    takes_folders = True

    def recognises(self, file: BoxFile) -> bool | None:
        """A dict that has images, a list of results, or one or many files of Segment Anything's data set."""
        if is_sam(file):
            return True
        if file.path.is_dir():
            return False
        if isinstance(file.json, list):
            return True if not file.json or _refers(file.json[0]) else None
        return isinstance(file.json, dict) and 'images' in file.json

    def read(self, file: BoxFile) -> Iterator[Boxes]:
        """Boxes, with the scores that there are."""
        if is_sam(file):
            return read_sam(file)
        content = file.json
        if isinstance(content, dict):
            return _read(file, content, content.get('annotations', []), 'annotations')
        if not isinstance(content, list) or not (content == [] or _refers(content[0])):
            raise UserError(f'{file.path} holds neither COCO annotations nor results')
        if file.annotations is None:
            raise UserError(f'{file.path} holds results; name the file with their images by --annotations')
        return _read(file, read_json(file.annotations), content, 'results')

    def write(self, store: WholeImages, file: BoxFile) -> None:
        """Annotations of one category, or results of score 1 for the images of an annotation file."""
        if file.annotations is None:
            _write_annotations(store, file)
        else:
            _write_results(store, file, file.annotations)


def _refers(entry: Any) -> bool:
    return isinstance(entry, dict) and 'image_id' in entry


def read_labelled(path: Path, left_out: Counter[str] | None = None) -> tuple[list, list[Boxes]]:
    """The categories of an annotation file by their numbers, in order, and the boxes of its images.

    Args:
        left_out: Where boxes that are left out are counted, by reason: crowds, those without area or of negative sides.

    Raises:
        UserError: The file is missing or broken, or holds no annotations.
    """
    file = BoxFile(path, left_out=Counter() if left_out is None else left_out)
    if not isinstance(file.json, dict) or is_sam(file):
        raise UserError(f'{path} holds no COCO annotations')
    categories = file.json.get('categories')
    kinds = categories if isinstance(categories, list) else []
    return [kind.get('id') for kind in kinds if isinstance(kind, dict)], [
        _with_area(e, file) for e in Coco().read(file)
    ]


def _with_area(entry: Boxes, file: BoxFile) -> Boxes:
    """An entry without the boxes that have no area."""
    keep = (entry.boxes[:, 2:] > entry.boxes[:, :2]).all(axis=1)
    if keep.all():
        return entry
    numbers = np.flatnonzero(keep)
    negative = int(entry.negative.sum())
    file.left_out['without area'] += len(keep) - len(numbers) - negative
    file.left_out[NEGATIVE] += negative
    return replace(
        entry,
        boxes=entry.boxes[keep],
        labels=[entry.labels[i] for i in numbers],
        scores=None if entry.scores is None else entry.scores[keep],
        row=lambda i: entry.row(int(numbers[i])),
    )


def _read(file: BoxFile, annotated: Any, entries: Any, kind: str) -> Iterator[Boxes]:
    """Boxes of annotations or results.

    Args:
        annotated: Content of the file that has the images.
        entries: The annotations or results.
        kind: Which of the two.
    """
    path = file.path
    known = _images(path, annotated)
    found: dict[Any, list[int]] = {key: [] for key in known}
    if not isinstance(entries, list):
        raise UserError(f'{path}: its {kind} are not a list')
    for i, entry in enumerate(entries):
        # A list, say, could not even be looked up.
        key = entry.get('image_id') if isinstance(entry, dict) else None
        if isinstance(key, float) and key.is_integer():  # a column of pandas with a gap
            key = int(key)
        if not isinstance(key, (int, str)) or key not in known:
            raise UserError(f'{path}, {kind}[{i}]: its image_id is missing or unknown')
        if is_crowd(entry):
            file.left_out['regions marked as crowds'] += 1
        else:
            found[key].append(i)
    scored = kind == 'results' or (entries != [] and all('score' in entry for entry in entries))
    by_name: dict[str, list[Boxes]] = {}
    for key, numbers in found.items():
        image = known[key]
        name, *also = _names(path, key, image)
        table = boxes_of(file, [entries[i] for i in numbers], lambda i, n=numbers: f'{path}, {kind}[{n[i]}]', name)
        scores = None
        if scored:
            scores = to_scores([entries[i].get('score', 1.0) for i in numbers], len(numbers), f'{path}, {name}')
        labels = [entries[i].get('category_id') for i in numbers]
        boxes = Boxes(
            name,
            xywh_to_xyxy(table),
            lambda i, n=numbers: f'{kind}[{n[i]}]',
            scores,
            _size(path, key, image),
            labels,
            tuple(also),
            sides=True,
        )
        by_name.setdefault(name, []).append(boxes)
    twice = sum(len(same) > 1 for same in by_name.values())
    if twice:
        file.notes.append(f'{twice} images are there under more than one id, and their boxes were put together')
    for same in by_name.values():
        yield join(same, path)


def _images(path: Path, content: Any) -> dict[Any, dict]:
    """Id -> entry of the images of an annotation file; the same one twice is one."""
    known: dict[Any, dict] = {}
    try:
        for i, image in enumerate(content['images']):
            other = known.setdefault(image['id'], image)
            keys = ('file_name', 'coco_url', 'width', 'height')
            differ = [] if other is image else [key for key in keys if image.get(key) != other.get(key)]
            if differ:
                first = next(j for j, earlier in enumerate(content['images']) if earlier is other)
                one, two = (f'{entry.get(differ[0])!r}' for entry in (other, image))
                raise UserError(
                    f'{path}: images[{first}] and images[{i}] have the same id, {image["id"]!r}, but not the same '
                    f'{differ[0]}: {one} and {two}; give each image an id of its own'
                )
    except (TypeError, KeyError, AttributeError):
        raise UserError(f'{path}: its list of images is missing, or one has no id') from None
    return known


def _names(path: Path, key: Any, image: dict) -> list[str]:
    """What an image may be called below its folder; LVIS says only where it was fetched."""
    if isinstance(image.get('file_name'), (str, int)):
        return [str(image['file_name'])]
    url = image.get('coco_url')
    if not isinstance(url, str) or not urlsplit(url).path.strip('/'):
        raise UserError(f'{path}: image {key} lacks file_name, and coco_url, which would do as well')
    parts = unquote(urlsplit(url).path).strip('/').split('/')
    return ['/'.join(parts[-2:]), parts[-1]]


def _size(path: Path, key: Any, image: dict) -> tuple[int, int] | None:
    """(width, height), None where the file has neither."""
    sides = image.get('width'), image.get('height')
    if sides == (None, None):
        return None
    try:
        width, height = map(int, sides)
    except (TypeError, ValueError, OverflowError):
        raise UserError(f'{path}: image {key} lacks width or height, or they are no whole numbers') from None
    return width, height


def _write_annotations(store: WholeImages, file: BoxFile) -> None:
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


def _write_results(store: WholeImages, file: BoxFile, annotations: Path) -> None:
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
