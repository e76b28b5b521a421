"""What a folder of images holds."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import joblib
import numpy as np
from PIL import Image

from mmsoco.errors import UserError, one_line
from mmsoco.images.archives import open_image, size_of
from mmsoco.images.decoding import UnreadableImage, read_image
from mmsoco.images.finding import find_images
from mmsoco.images.lists import sample_names
from mmsoco.images.sizes import measure_sizes

#: Images that are decoded as a whole; of more, a sample of so many.
DECODED = 200
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
    path: str | Path, jobs: int = 1, on_progress: Callable[[int, int], None] = lambda done, total: None
) -> tuple[Facts, list[str]]:
    """Look at a folder of images, or an archive.

    Args:
        path: The folder.
        jobs: Processes.
        on_progress: Called with how many headers of how many are read.

    Returns:
        The facts, and the names of the images to train on, each content once.

    Raises:
        UserError: It holds no images, or none that can be read.
    """
    found = find_images(path)
    sizes, unreadable = measure_sizes(found.root, found.names, jobs, on_progress)
    names = [name for name in found.names if name in sizes]
    sample = sample_names(names, min(DECODED, len(names)), seed=0) if names else []
    kinds: Counter[str] = Counter()
    run = joblib.Parallel(jobs if len(sample) > 32 else 1)
    for name, (kind, why) in zip(sample, run(joblib.delayed(_decode)(found.root / n) for n in sample), strict=True):
        if why is None:
            kinds[kind] += 1
        else:
            unreadable[name] = why
    names = [name for name in names if name not in unreadable]
    if not names:
        name, why = next(iter(unreadable.items()))
        raise UserError(f'none of the {len(found.names)} images in {path} can be read; {one_line(name)}: {why}')
    duplicates = set(find_duplicates(found.root, names))
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
        notes=found.lines(),
    )
    return facts, [name for name in names if name not in duplicates]


def _decode(path: Path) -> tuple[str, str | None]:
    """Channels in words, and why the pixels cannot be read, None where they can."""
    try:
        read_image(path)
    except UnreadableImage as error:
        return '', error.reason
    try:
        with open_image(path) as file:
            mode = Image.open(file).mode
    except Exception:  # a kind that Pillow does not know, and others read
        return 'other', None
    return _MODES.get(mode, 'grey of more than 8 bits' if mode.startswith(('I', 'F')) else mode), None


def find_duplicates(root: Path, names: Sequence[str]) -> list[str]:
    """Names of the files that hold the same bytes as one before them; only those of equal length are read."""
    of_length = defaultdict(list)
    for name in names:
        with open_image(root / name) as file:
            of_length[size_of(file)].append(name)
    duplicates = []
    for alike in of_length.values():
        seen = set()
        for name in alike if len(alike) > 1 else ():
            with open_image(root / name) as file:
                digest = hashlib.sha256(file.read()).digest()
            if digest in seen:
                duplicates.append(name)
            seen.add(digest)
    return duplicates
