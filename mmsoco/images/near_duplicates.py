"""Images that look almost alike, such as frames of a video, by a perceptual hash.

The hash is imagehash's ``phash`` of 16 x 16 bits: signs of the lowest frequencies of the grey
image. It finds an image again that was compressed, resized, brightened or moved a little, but
neither one that was turned or mirrored nor a smaller part of it.
"""

import json
import os
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import NoneType
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import joblib
import numpy as np
from PIL import Image

from mmsoco.errors import UserError
from mmsoco.images.channels import to_triple
from mmsoco.images.decoding import UnreadableImage, read_image
from mmsoco.images.finding import find_images
from mmsoco.images.lists import read_list
from mmsoco.images.names import FolderNames
from mmsoco.images.reading import Reading

SIDE = 16
BITS = SIDE**2
#: Bits that may differ. Of 1,226 photos, objects, cards and cells all were found again after JPEG of quality 40 or at
#: half the size, 99 % 30 % brighter, 88 to 97 % moved by 2 % of their sides, up to 1 % by 5 %. Of the 6.6 million pairs
#: of half of Caltech-101, 49 are as near (the same picture, or products in the same pose); of 64,750 of photos or
#: cells, none.
DISTANCE = 48
#: Standard deviation of the grey levels of a small copy below which there is no pattern, only noise, to compare.
FLAT = 1.0
#: Rows and columns of distances at a time, 16 MB.
_ROWS, _COLUMNS = 1024, 4096
_NONE = BITS + 1


def hash_image(image: np.ndarray) -> np.ndarray | None:
    """(32,) uint8, the 256 bits of an image's hash; None of a flat image, as all of these are alike.

    Args:
        image: (H, W, 3) uint8 RGB.

    Raises:
        UserError: imagehash is not installed.
    """
    try:
        import imagehash
    except ImportError:
        raise UserError("hashes of images need imagehash; run: pip install 'mmsoco[duplicates]'") from None
    grey = Image.fromarray(image).convert('L')
    if np.asarray(grey.resize((2 * SIDE, 2 * SIDE), Image.Resampling.BOX)).std() < FLAT:
        return None
    return np.packbits(imagehash.phash(grey, SIDE).hash.reshape(-1))


@dataclass
class Hashes:
    """The hashes of some images.

    Attributes:
        names: Images that have one, in the order given.
        bits: (N, 32) uint8.
        flat: Images without a pattern.
        failures: File name -> why it could not be read.
    """

    names: list[str] = field(default_factory=list)
    bits: np.ndarray = field(default_factory=lambda: np.empty((0, BITS // 8), np.uint8))
    flat: list[str] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)


def hash_images(
    root: str | os.PathLike,
    names: Sequence[str],
    jobs: int = 1,
    on_progress: Callable[[int], None] = lambda count: None,
    reading: Reading = Reading(),
) -> Hashes:
    """Hash images.

    Args:
        root: What the names are relative to.
        jobs: Processes.
        on_progress: Called with how many more are done.
        reading: How they are read; of other than three channels those are compared that a search would see.

    Raises:
        UserError: imagehash is not installed.
    """
    parts = [names[i : i + 32] for i in range(0, len(names), 32)]
    run = joblib.Parallel(jobs, return_as='generator')
    done = run(joblib.delayed(_hash_some)(Path(root), part, reading) for part in parts)
    hashes, bits = Hashes(), []
    for part, results in zip(parts, done, strict=True):
        for name, result in zip(part, results, strict=True):
            if isinstance(result, str):
                hashes.failures[name] = result
            elif result is None:
                hashes.flat.append(name)
            else:
                hashes.names.append(name)
                bits.append(result)
        on_progress(len(part))
    if bits:
        hashes.bits = np.stack(bits)
    return hashes


def _hash_some(root: Path, names: Sequence[str], reading: Reading) -> list[np.ndarray | str | None]:
    results = []
    for name in names:
        try:
            results.append(hash_image(to_triple(read_image(root / name, reading), reading.triple)))
        except UnreadableImage as error:
            results.append(error.reason)
    return results


def _signs(bits: np.ndarray) -> np.ndarray:
    """(N, 32) uint8 to (N, 256) float32 of 1 and -1: their product is BITS - 2 * distance, exact, and fast."""
    return np.unpackbits(bits, axis=1).astype(np.float32) * 2 - 1


def nearest(bits: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each hash the nearest of others, the first of several.

    Args:
        bits: (N, 32) uint8.
        others: (M, 32) uint8.

    Returns:
        (N,) int64 its number, -1 where there are no others; (N,) int64 how many bits differ, 257 there.
    """
    who, distance = np.full(len(bits), -1), np.full(len(bits), _NONE)
    for top in range(0, len(bits), _ROWS):
        rows = slice(top, top + _ROWS)
        signs = _signs(bits[rows])
        for left in range(0, len(others), _COLUMNS):
            alike = signs @ _signs(others[left : left + _COLUMNS]).T
            best = alike.argmax(axis=1)
            found = (BITS - alike[np.arange(len(best)), best].astype(np.int64)) // 2
            nearer = found < distance[rows]
            who[rows][nearer] = left + best[nearer]
            distance[rows][nearer] = found[nearer]
    return who, distance


def find_groups(
    bits: np.ndarray, distance: int = DISTANCE, on_progress: Callable[[int], None] = lambda count: None
) -> tuple[np.ndarray, np.ndarray]:
    """Group hashes around the first of each group.

    In order, one that is near to none that was kept before is kept; else it joins the nearest of
    these. So whatever is left out has a kept one near to it, and a film that pans keeps a
    frame now and then, where chains of neighbours would make it one group. Takes some time for
    each pair of kept ones: 100,000 hashes without duplicates take half a minute.

    Args:
        bits: (N, 32) uint8.
        distance: Bits that may differ.
        on_progress: Called with how many more are done.

    Returns:
        (N,) int64 the number of the one that stands for it, itself where it is kept; (N,) int64
        how many bits differ from that.
    """
    first, apart = np.arange(len(bits)), np.zeros(len(bits), np.int64)
    kept = np.empty(0, np.int64)
    for top in range(0, len(bits), _ROWS):
        part = bits[top : top + _ROWS]
        who, best = nearest(part, bits[kept])
        who = np.where(who < 0, who, kept[who]) if len(kept) else who
        signs = _signs(part)
        within = (BITS - (signs @ signs.T).astype(np.int64)) // 2
        new = []
        for i in range(len(part)):
            if best[i] <= distance:
                first[top + i], apart[top + i] = who[i], best[i]
                continue
            new.append(top + i)
            nearer = within[i] < best
            who[nearer], best[nearer] = top + i, within[i][nearer]
        kept = np.concatenate([kept, np.array(new, np.int64)])
        on_progress(len(part))
    return first, apart


class NearDuplicate(NamedTuple):
    """An image that is left out.

    Attributes:
        kind: ``'evaluation'``, or ``'group'``.
        near: The image that it is near to: one to be measured on, or one that is kept.
        left_out: The image.
        distance: Bits that differ.
    """

    kind: str
    near: str
    left_out: str
    distance: int


def near_evaluation(hashes: Hashes, evaluation: Hashes, distance: int = DISTANCE) -> list[NearDuplicate]:
    """The images that are near to one of others, which a model is to be measured on."""
    who, apart = nearest(hashes.bits, evaluation.bits)
    return [
        NearDuplicate('evaluation', evaluation.names[who[i]], hashes.names[i], int(apart[i]))
        for i in np.flatnonzero(apart <= distance)
    ]


def near_each_other(
    hashes: Hashes,
    distance: int = DISTANCE,
    without: Container[str] = (),
    on_progress: Callable[[int], None] = lambda count: None,
) -> list[NearDuplicate]:
    """The images that are near to one before them, by :func:`find_groups`.

    Args:
        without: Images that are left out already.
    """
    chosen = [i for i, name in enumerate(hashes.names) if name not in without]
    names = [hashes.names[i] for i in chosen]
    first, apart = find_groups(hashes.bits[chosen], distance, on_progress)
    return [
        NearDuplicate('group', names[first[i]], names[i], int(apart[i]))
        for i in np.flatnonzero(first != np.arange(len(names)))
    ]


class Evaluation(NamedTuple):
    """Images that a model is measured on.

    Attributes:
        root: What the names are relative to.
        names: The images, each once.
        missing: What else is named, and is not there.
    """

    root: Path
    names: list[str]
    missing: list[str]


def read_evaluation(what: str | os.PathLike, folder: str | os.PathLike) -> Evaluation:
    """Images that a model is measured on.

    Args:
        what: Their folder or archive, COCO JSON, or a list of images.
        folder: What names of the last two are relative to; any usual spelling is found.

    Raises:
        UserError: It is none of these, or a name may be that of two images.
    """
    path = Path(what)
    ending = path.suffix.lower() if path.is_file() else ''
    if ending not in ('.json', '.txt'):
        return Evaluation(path, find_images(path, root=path).names, [])
    named = _coco_names(path) if ending == '.json' else [(name,) for name in read_list(path).names]
    there = FolderNames(folder)
    found = {spellings: there.find(*spellings) for spellings in named}
    names = dict.fromkeys(name for name in found.values() if name is not None)
    return Evaluation(Path(folder), list(names), [first for (first, *_), name in found.items() if name is None])


def _coco_names(path: Path) -> list[tuple[str, ...]]:
    """What each image of COCO JSON may be called below its folder; LVIS says only where it was fetched."""
    try:
        images = json.loads(path.read_bytes())['images']
        return [_coco_name(image) for image in images]
    except (OSError, ValueError, RecursionError, LookupError, TypeError, AttributeError):
        raise UserError(f'{path} is not COCO JSON with the names of images; give a folder, or a list') from None


def _coco_name(image: dict) -> tuple[str, ...]:
    name = image.get('file_name')
    if name is None:
        parts = unquote(urlsplit(image['coco_url']).path).strip('/').split('/')
        spellings = '/'.join(parts[-2:]), parts[-1]
    else:
        spellings = (str(name),)
    if not isinstance(name, (str, int, NoneType)) or not spellings[0]:
        raise TypeError('no name')
    return spellings
