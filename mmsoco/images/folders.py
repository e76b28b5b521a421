"""Finding images below a folder."""

import os
from pathlib import Path

from mmsoco.errors import UserError

IMAGE_SUFFIXES = frozenset({'.bmp', '.gif', '.jpeg', '.jpg', '.pgm', '.png', '.ppm', '.tif', '.tiff', '.webp'})


def list_images(root: str | os.PathLike) -> list[str]:
    """The images below a folder, as sorted POSIX paths relative to it.

    Raises:
        UserError: ``root`` is not a folder, holds no image, or one whose
            name is not UTF-8.
    """
    root = Path(root)
    if not root.is_dir():
        raise UserError(f'{root} is not a folder; give the folder that holds the images')
    names = []
    for folder, subfolders, files in os.walk(root, followlinks=True):
        subfolders[:] = [name for name in subfolders if not name.startswith('.')]
        relative = Path(folder).relative_to(root)
        names += [
            (relative / name).as_posix()
            for name in files
            if Path(name).suffix.lower() in IMAGE_SUFFIXES and not name.startswith('.')
        ]
    if not names:
        raise UserError(f'{root} holds no images; files ending in {", ".join(sorted(IMAGE_SUFFIXES))} are looked for')
    names.sort()
    for name in names:
        try:
            name.encode()
        except UnicodeEncodeError:
            raise UserError(f'{root} has a file whose name is not UTF-8: {name!r}; rename it') from None
    return names
