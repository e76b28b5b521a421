"""Sizes of many images, by their headers alone."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import joblib

from mmsoco.images.decoding import UnreadableImage, image_size

#: Images that a process is given at a time.
CHUNK = 256


def _sizes(root: Path, names: Sequence[str]) -> list[tuple[int, int] | str]:
    found: list[tuple[int, int] | str] = []
    for name in names:
        try:
            found.append(image_size(root / name))
        except UnreadableImage as error:
            found.append(error.reason)
    return found


def measure_sizes(
    root: str | os.PathLike,
    names: Sequence[str],
    jobs: int = 1,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[dict[str, tuple[int, int]], dict[str, str]]:
    """Sizes of images as a viewer shows them, orientation from EXIF applied.

    Args:
        root: Folder of the images.
        names: The images.
        jobs: Processes; a few images are not worth their start.
        on_progress: Called with how many of how many are done.

    Returns:
        Name -> (width, height), and name -> reason of those whose headers cannot be read.
    """
    chunks = [names[start : start + CHUNK] for start in range(0, len(names), CHUNK)]
    run = joblib.Parallel(jobs if len(chunks) > 4 * jobs else 1, return_as='generator')
    found: list[tuple[int, int] | str] = []
    for part in run(joblib.delayed(_sizes)(Path(root), chunk) for chunk in chunks):
        found += part
        on_progress(len(found), len(names))
    result = dict(zip(names, found, strict=True))
    sizes = {name: size for name, size in result.items() if not isinstance(size, str)}
    return sizes, {name: reason for name, reason in result.items() if isinstance(reason, str)}
