"""Lists of images: text files that say which images of a folder make a data set."""

import hashlib
import os
import random
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from mmsoco.errors import UserError, reason
from mmsoco.files import atomic_path, check_out, read_regular
from mmsoco.images.folders import IMAGE_SUFFIXES, list_images

#: Training images of ImageNet-1k.
IMAGENET = 1_281_167
#: COCO's folders of table 9, and their images together: 118,287 + 123,403.
COCO_FOLDERS = ('train2017', 'unlabeled2017')
COCO = 241_690


class ImageList(NamedTuple):
    """Images of a folder, in order, by their POSIX paths relative to it.

    Attributes:
        title: What the list is, as its first line says.
        names: The images.
    """

    title: str
    names: list[str]

    def describe(self) -> dict:
        """What a proposal file says of the list it belongs to."""
        digest = hashlib.sha256('\n'.join(self.names).encode()).hexdigest()
        # The key is that of files out there.
        return {'title': self.title, 'pictures': len(self.names), 'sha256': digest}


def read_list(path: str | os.PathLike) -> ImageList:
    """Read a list: one image a line; empty lines and those that begin with ``# `` are skipped.

    The title is the first line when that is such a comment, else the file's name.

    Raises:
        UserError: There is no such file, it is no text, holds no image, one
            twice, or a name that is not a path below a folder.
    """
    try:
        # A mark that some editors put first is no part of the text.
        lines = [line.rstrip('\r') for line in read_regular(path).decode('utf-8-sig').split('\n')]
    except FileNotFoundError:
        raise UserError(f'{path} does not exist; make a list with data_pipelines/, or write one image a line') from None
    except UnicodeDecodeError:
        raise UserError(f'{path} is not a list of images: it is not a text file') from None
    except OSError as error:
        raise UserError(f'{path} is not a list of images: it is not a text file ({reason(error)})') from None
    names = [line for line in lines if line.strip() and not line.startswith('# ')]
    if not names:
        raise UserError(f'{path} lists no images; write one a line, relative to their folder')
    _check_names(names, path)
    title = lines[0].removeprefix('# ') if lines[0].startswith('# ') else Path(path).name
    return ImageList(title, names)


def _check_names(names: Sequence[str], path: str | os.PathLike) -> None:
    seen = set()
    for name in names:
        parts = PurePosixPath(name).parts
        if name.startswith(('/', '# ')) or '..' in parts or '/'.join(parts) != name:
            raise UserError(f'{path} lists {name[:80]!r}; write paths relative to the folder, such as a/1.jpg')
        if not name.isprintable() or max(len(os.fsencode(part)) for part in parts) > 255:
            raise UserError(f'{path} lists {name[:80]!r}, which is no name of a file')
        if name in seen:
            raise UserError(f'{path} lists {name} twice; name each image once')
        seen.add(name)


def write_list(path: str | os.PathLike, images: ImageList) -> None:
    """Write a list that :func:`read_list` reads, title first.

    Raises:
        UserError: It has no images, or a name that a list cannot hold; or the
            path is a folder's, or like that of an image.
    """
    if not images.names:
        raise UserError(f'{path} would list no images')
    _check_names(images.names, path)
    check_out(path)
    if Path(path).suffix.lower() in IMAGE_SUFFIXES:
        raise UserError(f'{path} is called like an image, and could be one; give the list the ending .txt')
    with atomic_path(path) as temporary:
        temporary.write_text('\n'.join([f'# {images.title}', *images.names, '']), 'utf-8')


def sample_names(names: Sequence[str], count: int, seed: int) -> list[str]:
    """Draw ``count`` names without replacement; sorted, so that only the seed decides.

    Raises:
        UserError: There are fewer, or none is asked for.
    """
    if count < 1:
        raise UserError(f'{count} images are asked for; draw one at least')
    if count > len(names):
        raise UserError(f'{count} images are asked for, but there are only {len(names)}')
    # Python promises the same random() for a seed in every version, and no more.
    generator = random.Random(seed)
    return sorted(sorted(sorted(names), key=lambda _: generator.random())[:count])


def list_folders(root: str | os.PathLike, title: str, expected: int, folders: Sequence[str] = ('',)) -> ImageList:
    """The images below some folders of ``root``.

    Args:
        expected: How many the data set has.
        folders: Relative to ``root``; ``''`` is ``root`` itself.

    Returns:
        Their list; its title says so when the number differs from ``expected``.

    Raises:
        UserError: A folder is missing or empty.
    """
    names = [
        (PurePosixPath(folder) / name).as_posix() for folder in folders for name in list_images(Path(root, folder))
    ]
    found = f'{len(names)} images'
    return ImageList(f'{title}: {found if len(names) == expected else f"{found} instead of {expected}"}', names)
