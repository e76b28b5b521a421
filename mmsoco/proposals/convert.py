"""Boxes from elsewhere into a proposal file, and out of one."""

import os
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PureWindowsPath

import numpy as np

import mmsoco
from mmsoco.boxes import clip_boxes
from mmsoco.errors import UserError
from mmsoco.files import atomic_path, check_out
from mmsoco.images.archives import is_archive
from mmsoco.images.decoding import UnreadableImage
from mmsoco.images.finding import Found, find_images
from mmsoco.images.lists import ImageList, locate
from mmsoco.images.names import FolderNames, Names
from mmsoco.images.reading import Reading
from mmsoco.images.root import ImageRoot
from mmsoco.images.sizes import measure_sizes
from mmsoco.images.values import summarise, words
from mmsoco.proposals.checks import check_sizes, evenly, links_entry
from mmsoco.proposals.formats.base import NEGATIVE, Boxes, BoxFile, BoxFormat, join
from mmsoco.proposals.formats.foreign import what_it_is
from mmsoco.proposals.frames import Framed, find_misfit, is_flat, leaves
from mmsoco.proposals.registry import FORMATS
from mmsoco.proposals.store import ProposalRow, ProposalStore, write_proposals
from mmsoco.proposals.untiled import WholeImages
from mmsoco.renamed import renamed_arguments

#: Images whose pixels are read, to tell what values they have; the headers of all are.
LOOKED_AT = 16


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
        found: The images of the folder, and what was passed over in it; of a list, its images.
        left_out: Why boxes of the file were not written, and how many: with ``boxes``, all that it has.
        notes: How the file was read, and what else is worth knowing; a sentence each.
    """

    images: int
    boxes: int
    empty: int
    without: int
    failures: dict[str, str]
    found: Found
    left_out: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def find_format(file: BoxFile, to_read: bool) -> str:
    """The format of a file, by the ending of its name; where several share it, by what is in the file.

    Args:
        file: The file.
        to_read: Whether it is there, to be looked into.

    Raises:
        UserError: It cannot be told.
    """
    if to_read and file.path.is_dir():
        found = {name: cls() for name, cls in FORMATS.items() if cls.takes_folders}
        found = {name: box_format for name, box_format in found.items() if box_format.recognises(file)}
    else:
        found = {name: cls() for name, cls in FORMATS.items() if file.path.suffix.lower() in cls.endings}
    if to_read and len(found) != 1:
        answers = {name: box_format.recognises(file) for name, box_format in found.items()}
        sure = [name for name in found if answers[name]]
        other = None if sure else what_it_is(file)
        if other is not None:
            raise UserError(f'{file.path} is {other}')
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
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    reading: Reading = Reading(),
) -> Imported:
    """Make a proposal file of boxes from elsewhere.

    Boxes become whole pixels, duplicates go. Images are found by any usual spelling of their names
    (:mod:`mmsoco.images.names`), and the headers of all are read: their sizes are compared with those that the file
    has, and stand in for those that it lacks. A few are decoded, to tell whether samples have more than 8 bits.

    Args:
        source: The file of boxes.
        out: The proposal file.
        root: Folder, or archive, of the images.
        kind: One of :data:`~mmsoco.proposals.registry.FORMATS`; None to find out.
        annotations: COCO JSON that COCO results refer to.
        image_list: Take only these images, and no other of the file.
        choice: Which boxes to keep.
        jobs: Processes that read headers.
        on_progress: Called with how many of how many headers are read.
        reading: How training reads the images.

    Raises:
        UserError: A file or the folder is missing or broken; an image is not
            in the folder, or has another size; a box is bad: the message names
            the first; or ``out`` is a file that is read.
    """
    source, root = Path(source), Path(root)
    if not root.is_dir() and not is_archive(root):
        raise UserError(f'{root} is not a folder; give the folder (or the zip or tar file) that holds the images')
    file = BoxFile(source, None if annotations is None else Path(annotations))
    check_out(out, *file.inputs, what='a file to read')
    kind = FORMATS.present(kind or find_format(file, to_read=True))
    box_format = FORMATS.find(kind)()
    given = list(box_format.read(file))
    if image_list is not None:
        image_list = locate(image_list, FolderNames(root))
    found = find_images(root, root=root) if image_list is None else Found(root, image_list.names)
    names = found.names
    given = _named(given, names, box_format, root, file, only=image_list is not None)
    _check_given(given, source)
    sizes, failures = measure_sizes(root, [entry.name for entry in given], jobs, on_progress)
    check_sizes({entry.name: entry.size for entry in given if entry.size is not None}, sizes, root, source)
    images = []
    for entry in sorted(given, key=lambda entry: entry.name):
        if entry.name in failures:
            file.left_out['of images that cannot be read'] += len(entry.boxes)
            continue
        size = sizes[entry.name]
        if entry.parts:
            entry.boxes = entry.boxes * [*size, *size]
        images.append(Framed(entry, size))
    _check_frames(images, choice, file)
    rows = [
        ProposalRow(entry.name, *size, _whole_boxes(entry, size, choice, source, file.left_out))
        for entry, size in images
    ]
    counts = [len(row.boxes) for row in rows]
    left_out = {reason: number for reason, number in file.left_out.items() if number}
    if not any(counts):
        why = ''.join(f'; {number} left out: {reason}' for reason, number in left_out.items())
        why += ''.join(f', the first: {name}: {reason}' for name, reason in list(failures.items())[:1])
        raise UserError(f'{source} has no box, or none that is chosen, of the images in {root} that can be read{why}')
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
        'left_out': left_out,
        'mmsoco': mmsoco.__version__,
        **links_entry(root, [row.file_name for row in rows]),
        **reading.describe(),
    }
    met, seen = _look(ImageRoot(root, reading), [row.file_name for row in rows])
    # Only what there was, so that files of plain images stay as they were.
    header |= {'met': met} if met else {}
    write_proposals(out, rows, header)
    notes = [*file.notes, *(f'{number} boxes taken {how}' for how, number in file.taken.items()), *seen]
    without = len(set(names) - {entry.name for entry in given})
    return Imported(len(rows), sum(counts), counts.count(0), without, failures, found, left_out, notes)


def _look(images: ImageRoot, names: Sequence[str]) -> tuple[dict[str, dict], list[str]]:
    """Decode up to :data:`LOOKED_AT` evenly spaced images.

    Returns:
        What values of more than 8 bits they have, as :func:`~mmsoco.images.values.summarise` says it, and notes.
    """
    numbers = evenly(len(names), LOOKED_AT)
    met, several, errors = [], 0, []
    for number in numbers:
        try:
            image = images.load(names[number])
        except UnreadableImage as error:
            errors.append(error)
            continue
        met += [] if image.met is None else [image.met]
        several += image.frames > 1
    kinds = summarise(met)
    notes = words(kinds)
    if several:
        notes.append(f'{several} are in files of several frames or pages, of which the first is taken')
    if errors:
        notes.append(f'{len(errors)} cannot be read, though their headers can; the first: {errors[0]}')
    return kinds, [f'of {len(numbers)} images looked at: {note}' for note in notes]


def _named(
    given: Sequence[Boxes], names: Sequence[str], box_format: BoxFormat, root: Path, file: BoxFile, only: bool
) -> list[Boxes]:
    """The entries by the names of their images in the folder, one an image.

    Args:
        only: Entries without an image are left out instead of refused.
    """
    # By either, a file may call an image whose folder is a link.
    roots = {root.absolute(), root.resolve()}
    known = Names([(box_format.key(place, name), name) for place in roots for name in names], root)
    chosen = set(names)
    entries: dict[str, list[Boxes]] = {}
    missing: list[str] = []
    for entry in given:
        name = known.find(entry.name, *entry.also)
        if only and name not in chosen:
            file.left_out['of images that the list does not have'] += len(entry.boxes)
        elif name is None:
            missing.append(entry.name)
        else:
            entries.setdefault(name, []).append(entry)
    if missing:
        others = f' (nor are {len(missing) - 1} others of {len(given)})' if len(missing) > 1 else ''
        how = f' (the file is {file.notes[0]})' if file.notes else ''
        what = 'give the folder that such names are relative to'
        if re.match(r'/|[A-Za-z]:[\\/]', missing[0]):
            what = f'write paths below that folder, or relative to it, such as {PureWindowsPath(missing[0]).name}'
        raise UserError(
            f'{file.path} has boxes of {missing[0]}, which is not in {root}{others}; {what}, or choose images by '
            f'--list{how}'
        )
    twice = sum(len(same) > 1 for same in entries.values())
    if twice:
        file.notes.append(f'{twice} images are there more than once, and their boxes were put together')
    return [replace(join(same, file.path), name=name) for name, same in entries.items()]


def _check_given(given: Sequence[Boxes], source: Path) -> None:
    """Refuse sizes that none has, numbers that are none, and parts of images where pixels are expected."""
    for entry in given:
        if entry.size is not None and not (1 <= min(entry.size) and max(entry.size) < 2**31):
            raise UserError(f'{source}: {entry.name} cannot have a size of {entry.size[0]}x{entry.size[1]}')
    for what, values in (('the box', lambda entry: entry.boxes), ('the score', lambda entry: entry.scores)):
        numbers = [(entry, values(entry)) for entry in given if values(entry) is not None]
        bad = [(entry, i) for entry, found in numbers for i in np.argwhere(~np.isfinite(found)).tolist()]
        if bad:
            entry, (i, *_) = bad[0]
            boxes = {(id(entry), i) for entry, (i, *_) in bad}
            more = f' ({len(boxes)} boxes are such)' if len(boxes) > 1 else ''
            raise UserError(
                f'{source}, {entry.row(i)}: {what} {values(entry)[i].tolist()} is not made of finite numbers{more}'
            )
    pixels = [entry for entry in given if not entry.parts]
    # Rounded, or guessed, such parts may be a little more than the whole.
    if 0 < max((entry.boxes.max(initial=0) for entry in pixels), default=0) < 1.5:
        raise UserError(f'{source} has no coordinate above 1: they are parts of the images; write them in pixels')


def _check_frames(images: Sequence[Framed], choice: Choice, file: BoxFile) -> None:
    """Refuse boxes that leave their images, or note how many are cut."""
    misfit = find_misfit(images)
    if misfit is None:
        return
    if not (choice.clip and misfit.outside):
        raise UserError(f'{file.path}, {misfit.where}: {misfit.words}; {misfit.advice}')
    count = sum(int(leaves(entry.boxes, size).sum()) for entry, size in images)
    but = f'; but {misfit.advice}' if misfit.explained else ''
    file.notes.append(f'{count} boxes leave their images and were cut (--clip){but}')


def _whole_boxes(
    entry: Boxes, size: tuple[int, int], choice: Choice, source: Path, left_out: Counter[str]
) -> np.ndarray:
    """(N, 4) int64: the chosen boxes of an image, in whole pixels, sorted, without duplicates.

    Args:
        left_out: The others are counted here, by reason.
    """
    boxes = np.asarray(entry.boxes, np.float64)
    cut = clip_boxes(boxes, *size)
    flat = is_flat(boxes)
    negative = entry.negative
    outside = is_flat(cut) & ~flat
    left_out['without area: no width or no height'] += int((flat & ~negative).sum())
    left_out[NEGATIVE] += int(negative.sum())
    left_out['outside of their image'] += int(outside.sum())
    keep = np.flatnonzero(~flat & ~outside)
    if entry.scores is not None:
        scores = np.asarray(entry.scores, np.float64)
        keep = keep[np.argsort(-scores[keep], kind='stable')]
        if choice.min_score is not None:
            low = scores[keep] < choice.min_score
            left_out[f'with a score below {choice.min_score:g}'] += int(low.sum())
            keep = keep[~low]
    elif choice.min_score is not None and len(boxes):
        raise UserError(f'{source} has no scores for {entry.name}; leave --min-score out')
    left_out[f'beyond the best {choice.top} of their image'] += len(keep[choice.top :]) if choice.top else 0
    cut = np.rint(cut[keep[: choice.top]]).astype(np.int64)
    # What rounds to nothing keeps a pixel.
    whole = np.array(size)
    cut[:, :2] = np.minimum(cut[:, :2], whole - 1)
    cut[:, 2:] = np.maximum(cut[:, 2:], cut[:, :2] + 1)
    different = np.unique(cut, axis=0).reshape(-1, 4)
    left_out['the same, in whole pixels, as another of their image'] += len(cut) - len(different)
    return different


def export_boxes(
    source: str | os.PathLike,
    out: str | os.PathLike,
    kind: str | None = None,
    annotations: str | os.PathLike | None = None,
) -> int:
    """Write the boxes of a proposal file for another tool; those of tiles where they lie in their image.

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
    store = WholeImages(ProposalStore.open(source).verify())
    box_format = FORMATS.find(kind or find_format(file, to_read=False))()
    with atomic_path(out) as temporary:
        box_format.write(store, replace(file, path=temporary))
    return len(store)
