"""Boxes from elsewhere into a proposal file, and out of one."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import joblib
import numpy as np

import mmsoco
from mmsoco.boxes import clip_boxes
from mmsoco.errors import UserError
from mmsoco.files import atomic_path, check_out
from mmsoco.images.decoding import UnreadableImage, read_image
from mmsoco.images.folders import list_images
from mmsoco.images.lists import ImageList
from mmsoco.images.root import ImageRoot
from mmsoco.proposals.checks import check_sizes, links_entry
from mmsoco.proposals.formats.base import Boxes, BoxFile, BoxFormat
from mmsoco.proposals.registry import FORMATS
from mmsoco.proposals.store import ProposalRow, ProposalStore, write_proposals
from mmsoco.renamed import renamed_arguments

#: How far outside of its image a box may lie: half a pixel on each side is rounding.
TOLERANCE = 0.5


@dataclass(frozen=True)
class Choice:
    """Which of the given boxes are kept.

    Args:
        min_score: Those with at least this score.
        top: The so many with the highest scores, or the first ones without scores.
        clip: Cut boxes that leave their image, instead of refusing them.
    """

    min_score: float | None = None
    top: int | None = None
    clip: bool = False


@dataclass
class Imported:
    """What :func:`import_boxes` did.

    Attributes:
        images, boxes: Written.
        empty: Images among them that have no box; training takes them whole.
        without: Images of the folder that the file does not name.
        failures: File name -> why the image could not be read.
    """

    images: int
    boxes: int
    empty: int
    without: int
    failures: dict[str, str]


def find_format(file: BoxFile, to_read: bool) -> str:
    """The format of a file, by the ending of its name; where several share it, by what is in the file.

    Args:
        file: The file.
        to_read: Whether it is there, to be looked into.

    Raises:
        UserError: It cannot be told.
    """
    found = {name: cls() for name, cls in FORMATS.items() if file.path.suffix.lower() in cls.endings}
    if to_read and len(found) > 1:
        answers = {name: box_format.recognises(file) for name, box_format in found.items()}
        sure = [name for name in found if answers[name]]
        found = sure or [name for name in found if answers[name] is None]
    if len(found) != 1:
        raise UserError(f'the format of {file.path} is not clear; name one by --format: {", ".join(FORMATS)}')
    return next(iter(found))


@renamed_arguments(picture_list='image_list')
def import_boxes(
    source: str | os.PathLike,
    out: str | os.PathLike,
    root: str | os.PathLike,
    kind: str | None = None,
    annotations: str | os.PathLike | None = None,
    image_list: ImageList | None = None,
    choice: Choice = Choice(),
    jobs: int = 1,
) -> Imported:
    """Make a proposal file of boxes from elsewhere.

    Boxes become whole pixels, duplicates go. Where the format has no sizes of
    images, or no full names, the images are looked up (and decoded) in
    ``root``.

    Args:
        source: The file of boxes.
        out: The proposal file.
        root: Folder of the images.
        kind: One of :data:`~mmsoco.proposals.registry.FORMATS`; None to find out.
        annotations: COCO JSON that COCO results refer to.
        image_list: Take only these images, and no other of the file.
        choice: Which boxes to keep.
        jobs: Processes that decode.

    Raises:
        UserError: A file or the folder is missing or broken; an image is not
            in the folder; a box is bad: the message names the first; or
            ``out`` is a file that is read.
    """
    source, root = Path(source), Path(root)
    if not root.is_dir():
        raise UserError(f'{root} is not a folder; give the folder that holds the images')
    file = BoxFile(source, None if annotations is None else Path(annotations))
    check_out(out, *file.inputs, what='a file to read')
    kind = FORMATS.present(kind or find_format(file, to_read=True))
    box_format = FORMATS.find(kind)()
    given = list(box_format.read(file))
    names = list_images(root) if image_list is None else image_list.names
    given = _named(given, names, box_format, root, source, only=image_list is not None)
    for entry in given:
        if entry.size is not None and not (1 <= min(entry.size) and max(entry.size) < 2**31):
            raise UserError(f'{source}: {entry.name} cannot have a size of {entry.size[0]}x{entry.size[1]}')
    if 0 < max((entry.boxes.max(initial=0) for entry in given), default=0) <= 1:
        raise UserError(f'{source} has no coordinate above 1: they are parts of the images; write them in pixels')
    sizes, failures = _sizes(root, [entry for entry in given if entry.size is None], jobs)
    rows = []
    for entry in sorted(given, key=lambda entry: entry.name):
        size = entry.size or sizes.get(entry.name)
        if size is not None:
            rows.append(ProposalRow(entry.name, *size, _whole_boxes(entry, size, choice, source)))
    if not any(len(row.boxes) for row in rows):
        raise UserError(f'{source} has no box, or none that is chosen, of the images in {root} that can be read')
    check_sizes(rows, ImageRoot(root), source)
    header = {
        'kind': 'given',
        'root': str(root.resolve()),
        'generator': {
            'name': kind,
            'file': source.name,
            'min_score': choice.min_score,
            'top': choice.top,
            'clip': choice.clip,
        },
        'list': None if image_list is None else image_list.describe(),
        'failures': list(failures.items()),
        'mmsoco': mmsoco.__version__,
        **links_entry(root, [row.file_name for row in rows]),
    }
    write_proposals(out, rows, header)
    counts = [len(row.boxes) for row in rows]
    return Imported(
        len(rows), sum(counts), counts.count(0), len(set(names) - {entry.name for entry in given}), failures
    )


def _named(
    given: Sequence[Boxes], names: Sequence[str], box_format: BoxFormat, root: Path, source: Path, only: bool
) -> list[Boxes]:
    """The entries by the names of their images in the folder.

    Args:
        only: Entries without an image are left out instead of refused.
    """
    known: dict[str, str] = {}
    for name in names:
        other = known.setdefault(box_format.key(root.resolve(), name), name)
        if other != name:
            raise UserError(f'{root} has {other} and {name}, which this format cannot tell apart; choose by --list')
    result, seen = [], set()
    for entry in given:
        name = known.get(entry.name)
        if name is None:
            if only:
                continue
            raise UserError(
                f'{source} has boxes of {entry.name}, which is not in {root}; '
                'give the folder that such names are relative to, or choose images by --list'
            )
        if name in seen:
            raise UserError(f'{source} names {entry.name} twice; name each image once')
        seen.add(name)
        entry.name = name
        result.append(entry)
    return result


def _size(path: Path) -> tuple[int, int] | str:
    try:
        height, width = read_image(path).shape[:2]
        return width, height
    except UnreadableImage as error:
        return error.reason


def _sizes(root: Path, entries: Sequence[Boxes], jobs: int) -> tuple[dict[str, tuple[int, int]], dict[str, str]]:
    """Sizes of images as they are decoded, and the reasons of those that cannot be."""
    found = joblib.Parallel(jobs, batch_size=64)(joblib.delayed(_size)(root / entry.name) for entry in entries)
    result = dict(zip((entry.name for entry in entries), found, strict=True))
    sizes = {name: size for name, size in result.items() if not isinstance(size, str)}
    return sizes, {name: reason for name, reason in result.items() if isinstance(reason, str)}


def _whole_boxes(entry: Boxes, size: tuple[int, int], choice: Choice, source: Path) -> np.ndarray:
    """(N, 4) int64: the chosen boxes of an image, in whole pixels, sorted, without duplicates.

    Raises:
        UserError: Naming the first bad one.
    """
    boxes = np.asarray(entry.boxes, np.float64)
    limit = np.array([*size, *size], np.float64)
    outside = ((boxes < -TOLERANCE) | (boxes > limit + TOLERANCE)).any(axis=1)
    cut = clip_boxes(boxes, *size)
    empty = ~(cut[:, 2:] > cut[:, :2]).all(axis=1)
    finite = np.isfinite(boxes).all(axis=1)
    checks = [(~finite, 'is not made of finite numbers'), (~(boxes[:, 2:] > boxes[:, :2]).all(axis=1), 'has no area')]
    if not choice.clip:
        checks.append((outside, f'leaves its image of {size[0]}x{size[1]}; cut such boxes by --clip'))
    bad = np.logical_or.reduce([flags for flags, _ in checks])
    if bad.any():
        i = int(bad.argmax())
        reason = next(words for flags, words in checks if flags[i])
        raise UserError(f'{source}, {entry.row(i)}: the box {boxes[i].tolist()} (x1, y1, x2, y2) {reason}')

    keep = np.flatnonzero(~empty)
    if entry.scores is not None:
        scores = np.asarray(entry.scores, np.float64)
        keep = keep[np.argsort(-scores[keep], kind='stable')]
        if choice.min_score is not None:
            keep = keep[scores[keep] >= choice.min_score]
    elif choice.min_score is not None:
        raise UserError(f'{source} has no scores for {entry.name}; leave --min-score out')
    cut = np.rint(cut[keep[: choice.top]]).astype(np.int64)
    # What rounds to nothing keeps a pixel.
    whole = np.array(size)
    cut[:, :2] = np.minimum(cut[:, :2], whole - 1)
    cut[:, 2:] = np.maximum(cut[:, 2:], cut[:, :2] + 1)
    return np.unique(cut, axis=0).reshape(-1, 4)


def export_boxes(
    source: str | os.PathLike,
    out: str | os.PathLike,
    kind: str | None = None,
    annotations: str | os.PathLike | None = None,
) -> int:
    """Write the boxes of a proposal file for another tool.

    Args:
        source: The proposal file.
        out: The file to write.
        kind: One of :data:`~mmsoco.proposals.registry.FORMATS`; by default the ending of ``out`` tells.
        annotations: For COCO, the file whose images results shall refer to; by
            default it is annotations that are written.

    Returns:
        The number of images.

    Raises:
        UserError: A file is missing or broken, or the format cannot hold the names.
    """
    file = BoxFile(Path(out), None if annotations is None else Path(annotations))
    check_out(out, source, *file.inputs[1:], what='a file to read')
    store = ProposalStore.open(source).verify()
    box_format = FORMATS.find(kind or find_format(file, to_read=False))()
    with atomic_path(out) as temporary:
        box_format.write(store, replace(file, path=temporary))
    return len(store)
