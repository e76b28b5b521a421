"""What a folder of images holds."""

import hashlib
import math
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

import joblib
import numpy as np
from PIL.TiffImagePlugin import TiffImageFile

from mmsoco.errors import UserError, one_line
from mmsoco.files import digest_of
from mmsoco.images import tiff
from mmsoco.images.archives import open_image, size_of
from mmsoco.images.decoders import identify
from mmsoco.images.decoding import UnreadableImage, load_image, max_pixels
from mmsoco.images.finding import find_images
from mmsoco.images.lists import sample_names
from mmsoco.images.sizes import CHUNK, measure_sizes
from mmsoco.images.tiles import Window
from mmsoco.proposals.recall import Labels

#: Images that are decoded; of more, a sample of so many.
DECODED = 200
#: Side in pixels of what is decoded of an image that is too large to be read as a whole.
_WINDOW = 512
#: Bytes at the beginning by which files are compared before they are read to their end.
_BEGINNING = 2**16
#: Pillow's modes in words; other files are of kinds that tifffile and others read.
_MODES = {'L': 'grey', '1': 'grey', 'LA': 'grey', 'RGB': 'RGB', 'P': 'RGB', 'RGBA': 'RGB with alpha', 'CMYK': 'CMYK'}


@dataclass(frozen=True)
class Facts:
    """A folder of images.

    Attributes:
        root: What names are relative to, whole.
        found: Image files.
        readable: Those that can be read, as far as was looked.
        unreadable: Name -> why not: by the headers of all, and the pixels of a sample.
        duplicates: Names of files with the same bytes as one before them.
        sides: (shorter, longer) median side in pixels.
        smallest, largest: (width, height) by area.
        kinds: Channels in words -> images, of the sample.
        sampled: Images of the sample.
        notes: What was passed over.
    """

    root: str
    found: int
    readable: int
    unreadable: dict[str, str]
    duplicates: list[str]
    sides: tuple[int, int]
    smallest: tuple[int, int]
    largest: tuple[int, int]
    kinds: dict[str, int]
    sampled: int
    notes: list[str] = field(default_factory=list)

    @property
    def usable(self) -> int:
        """Images to train on: those that can be read, each once."""
        return self.readable - len(self.duplicates)


def inspect_images(
    path: str | Path,
    jobs: int = 1,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    labels: Labels | None = None,
) -> tuple[Facts, dict[str, tuple[int, int]]]:
    """Look at a folder of images, or an archive.

    Args:
        path: The folder.
        jobs: Processes.
        on_progress: Called with how many images of how many are looked at, first their headers, then for duplicates.
        labels: Of some images; of files with the same bytes one of these is kept.

    Returns:
        The facts; and name -> (width, height) of the images to train on, each content once.

    Raises:
        UserError: It holds no images, or none that can be read.
    """
    found = find_images(path)
    sizes, unreadable = measure_sizes(found.root, found.names, jobs, on_progress)
    names = [name for name in found.names if name in sizes]
    sample = sample_names(names, min(DECODED, len(names)), seed=0) if names else []
    kinds: Counter[str] = Counter()
    run = joblib.Parallel(jobs if len(sample) > 32 else 1)
    looks = (joblib.delayed(_decode)(found.root / name, _window(sizes[name])) for name in sample)
    several = 0
    for name, (kind, frames, why) in zip(sample, run(looks), strict=True):
        if why is None:
            kinds[kind] += 1
            several += frames > 1
        else:
            unreadable[name] = why
    names = [name for name in names if name not in unreadable]
    if not names:
        name, why = next(iter(unreadable.items()))
        raise UserError(f'none of the {len(found.names)} images in {path} can be read; {one_line(name)}: {why}')
    labelled = set(labels.by_image(names)) if labels is not None else set()
    labelled_first = sorted(names, key=lambda name: name not in labelled)
    duplicates = set(find_duplicates(found.root, labelled_first, jobs, on_progress))
    notes = found.lines()
    if several:
        notes.append(f'{several} of {len(sample)} images looked into have several frames or pages; the first is taken')
    measured = np.array([sizes[name] for name in names])
    areas = measured.prod(axis=1)
    facts = Facts(
        root=str(found.root.resolve()),
        found=len(found.names),
        readable=len(names),
        unreadable=unreadable,
        duplicates=sorted(duplicates),
        sides=tuple(np.median(np.sort(measured, axis=1), axis=0).astype(int).tolist()),
        smallest=tuple(measured[areas.argmin()].tolist()),
        largest=tuple(measured[areas.argmax()].tolist()),
        kinds=dict(kinds.most_common()),
        sampled=len(sample),
        notes=notes,
    )
    return facts, {name: sizes[name] for name in names if name not in duplicates}


def without_too_large(facts: Facts, sizes: dict[str, tuple[int, int]]) -> tuple[Facts, dict[str, tuple[int, int]]]:
    """What :func:`inspect_images` found, without images that can be read in tiles alone."""
    large = {name: 'too large to be read as a whole' for name, size in sizes.items() if math.prod(size) > max_pixels()}
    rest = {name: size for name, size in sizes.items() if name not in large}
    return replace(facts, readable=facts.readable - len(large), unreadable={**facts.unreadable, **large}), rest


def _window(size: tuple[int, int]) -> Window | None:
    """What is decoded of an image: all of it, where it can be read as a whole."""
    return None if math.prod(size) <= max_pixels() else (0, 0, *(min(side, _WINDOW) for side in size))


def _decode(path: Path, window: Window | None) -> tuple[str, int, str | None]:
    """Channels in words, how many frames, and why the pixels cannot be read, None where they can."""
    try:
        image = load_image(path, window=window)
    except UnreadableImage as error:
        return '', 0, error.reason
    try:
        with open_image(path) as file:
            mode = _mode(file)
    except Exception:  # a kind that Pillow does not know, and others read
        return 'other', image.frames, None
    kind = _MODES.get(mode, 'grey' if mode.startswith(('I', 'F')) else mode)
    # Pillow knows no mode for colours of 16 bits.
    return f'{kind} of more than 8 bits' if image.met is not None else kind, image.frames, None


def _mode(file: BinaryIO) -> str:
    """Pillow's word for the channels; not by its own ``open``, whose bound of pixels is lower than ours."""
    if not tiff.is_tiff(file.read(16)):
        return identify(file).mode
    file.seek(0)
    return TiffImageFile(file).mode


def find_duplicates(
    root: Path,
    names: Sequence[str],
    jobs: int = 1,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[str]:
    """Names of the files that hold the same bytes as one before them.

    Args:
        root: Their folder.
        names: The files.
        jobs: Processes.
        on_progress: Called with how many of how many files are looked at, for each of the looks again.
    """
    seen: dict[str, tuple] = dict.fromkeys(names, ())
    alike = list(names)
    # Those that are alike so far are looked at more closely.
    for look in (_length, _beginning, _content):
        chunks = [alike[start : start + CHUNK] for start in range(0, len(alike), CHUNK)]
        run = joblib.Parallel(jobs if len(chunks) > 4 * jobs else 1, return_as='generator')
        done = 0
        for chunk, found in zip(chunks, run(joblib.delayed(_looks)(look, root, c) for c in chunks), strict=True):
            seen.update((name, (*seen[name], what)) for name, what in zip(chunk, found, strict=True))
            done += len(chunk)
            on_progress(done, len(alike))
        counts = Counter(seen[name] for name in alike)
        alike = [name for name in alike if counts[seen[name]] > 1]
    first: dict[tuple, str] = {}
    return [name for name in alike if first.setdefault(seen[name], name) != name]


def _looks(look: Callable[[Path], object], root: Path, names: Sequence[str]) -> list[object]:
    found = []
    for name in names:
        try:
            found.append(look(root / name))
        except OSError:  # it is like no other; what reads its pixels says why
            found.append(os.fspath(name))
    return found


def _length(path: Path) -> int:
    with open_image(path) as file:
        return size_of(file)


def _beginning(path: Path) -> bytes:
    with open_image(path) as file:
        return hashlib.sha256(file.read(_BEGINNING)).digest()


def _content(path: Path) -> bytes:
    with open_image(path) as file:
        return digest_of(file).digest()
