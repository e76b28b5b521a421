"""Segment Anything's data set, SA-1B: a JSON an image, with its masks and their boxes; most often a folder of them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmsoco.boxes import xywh_to_xyxy
from mmsoco.errors import UserError
from mmsoco.proposals.formats.base import Boxes, BoxFile, read_json, to_scores
from mmsoco.proposals.formats.outlines import boxes_of


def _files(path: Path) -> Iterator[Path]:
    """The JSON files of a folder, or the file itself."""
    return iter(sorted(path.rglob('*.json'))) if path.is_dir() else iter([path])


def is_sam(file: BoxFile) -> bool:
    """Whether a file, or the first JSON of a folder, is of such a kind."""
    if not file.path.is_dir():
        return _is_image(file.json[0] if isinstance(file.json, list) and file.json else file.json)
    first = next(_files(file.path), None)
    return first is not None and _is_image(read_json(first))


def _is_image(content: Any) -> bool:
    return isinstance(content, dict) and isinstance(content.get('image'), dict) and 'annotations' in content


def read_sam(file: BoxFile) -> Iterator[Boxes]:
    """The boxes of each image; what the model thinks of its masks, ``predicted_iou``, is their score.

    Raises:
        UserError: A file is not of this kind.
    """
    for path in _files(file.path):
        content = file.json if path == file.path else read_json(path)
        for number, image in enumerate(content if isinstance(content, list) else [content]):
            yield _read(file, f'{path}, image {number + 1}' if isinstance(content, list) else str(path), image)


def _read(file: BoxFile, where: str, content: Any) -> Boxes:
    if not _is_image(content) or not isinstance(content['annotations'], list):
        raise UserError(
            f'{where} is not like {{"image": {{...}}, "annotations": [...]}}; '
            "leave only files as of Segment Anything's data set in their folder"
        )
    image, entries = content['image'], content['annotations']
    try:
        name, size = str(image['file_name']), (int(image['width']), int(image['height']))
    except (KeyError, TypeError, ValueError, OverflowError):
        raise UserError(f'{where}: its image lacks file_name, width or height') from None
    table = boxes_of(file, entries, lambda i: f'{where}, annotations[{i}]', name)
    scores = None
    if entries and all('predicted_iou' in entry for entry in entries):
        scores = to_scores([entry['predicted_iou'] for entry in entries], len(entries), where)
    where = where.removeprefix(f'{file.path}').lstrip('/, ')
    return Boxes(
        name,
        xywh_to_xyxy(table),
        lambda i: f'{where}, annotations[{i}]'.lstrip(', '),
        scores,
        size,
        sides=True,
    )
