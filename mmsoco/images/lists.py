"""Lists of images: text files that say which images of a folder make a data set."""

import codecs
import hashlib
import os
import random
import re
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from mmsoco.errors import UserError, reason
from mmsoco.files import atomic_path, check_out, read_regular
from mmsoco.images.endings import IMAGE_SUFFIXES
from mmsoco.images.finding import Found, find_images
from mmsoco.images.folders import is_path_below
from mmsoco.images.names import FolderNames, Names

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
    """Read a list: one image a line; empty lines and those that begin with ``#`` and a space are skipped.

    The title is the first line when that is such a comment, else the file's name. ``./`` and ``//`` in
    names mean nothing; so a name that begins so is written ``./# ...``. Absolute paths stay as they are, for
    :func:`locate`.

    Raises:
        UserError: There is no such file, it is no text, holds no image, one
            twice, or a name that no file of a folder can have.
    """
    try:
        content = read_regular(path)
        # By the mark that Windows' tools put first, which is no part of the text.
        wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        lines = [line.rstrip('\r') for line in content.decode('utf-16' if wide else 'utf-8-sig').split('\n')]
    except FileNotFoundError:
        raise UserError(
            f'{path} does not exist; make it with mmsoco imagenet-list, coco-list or near-duplicates, or write one '
            'image a line'
        ) from None
    except UnicodeError:
        raise UserError(f'{path} is not a list of images: it is not a text file in UTF-8') from None
    except OSError as error:
        raise UserError(f'{path} is not a list of images: it is not a text file ({reason(error)})') from None
    names = [line for line in lines if line.strip() and not line.startswith('# ')]
    if not names:
        raise UserError(f'{path} lists no images; write one a line, relative to their folder')
    names = [PurePosixPath(name).as_posix() for name in names]
    _check_names(names, path, absolute=True)
    title = lines[0].removeprefix('# ') if lines[0].startswith('# ') else Path(path).name
    return ImageList(title, names)


def _check_names(names: Sequence[str], path: str | os.PathLike, absolute: bool = False) -> None:
    """Refuse what no file of a folder can be called, and nothing else."""
    seen = set()
    for name in names:
        if not is_path_below(name.lstrip('/') if absolute else name):
            raise UserError(f'{path} lists {name[:80]!r}; write paths relative to the folder, such as a/1.jpg')
        try:
            length = max(len(part.encode()) for part in name.split('/'))
        except UnicodeEncodeError:
            raise UserError(f'{path} lists {name[:80]!r}, which is not UTF-8; rename that file') from None
        if length > 255:
            raise UserError(f'{path} lists {name[:80]!r}, which is no name of a file: parts have up to 255 bytes')
        if name in seen:
            raise UserError(f'{path} lists {name} twice; name each image once')
        seen.add(name)


def locate(images: ImageList, names: Names | FolderNames) -> ImageList:
    """The same list with the names that others use for the images, found by any of their usual spellings.

    Args:
        names: The images that there are. Names that are not among them stay as they are, relative to their folder.

    Raises:
        UserError: A name may be that of two images, two names are of one, or an absolute path is not below the folder.
    """
    of: dict[str, str] = {}
    for name in images.names:
        found = names.find(name) or (names.below(name) if name.startswith('/') else name)
        if found.startswith('/'):
            where = 'their folder' if names.root is None else names.root
            raise UserError(
                f'the list {images.title!r} has {name!r}, which is not below {where}; write paths relative to the '
                'folder, such as a/1.jpg'
            )
        if of.setdefault(found, name) != name:
            raise UserError(
                f'the list {images.title!r} has {of[found]!r} and {name!r}, which are one image; leave one out'
            )
    return images._replace(names=list(of))


def check_listable(names: Sequence[str], path: str | os.PathLike) -> None:
    """Refuse names that a list cannot hold, as before long work that ends in one.

    Raises:
        UserError: There is one.
    """
    broken = next((name for name in names if re.search('[\n\r]', name)), None)
    if broken is not None:
        raise UserError(f'{path} cannot list {broken[:80]!r}, as there is a line break in the name; rename that file')
    _check_names(names, path)


def write_list(path: str | os.PathLike, images: ImageList) -> None:
    """Write a list that :func:`read_list` reads, title first.

    Raises:
        UserError: It has no images, or a name that a list cannot hold; or the
            path is a folder's, or like that of an image.
    """
    if not images.names:
        raise UserError(f'{path} would list no images')
    check_listable(images.names, path)
    check_out(path)
    if Path(path).suffix.lower() in IMAGE_SUFFIXES:
        raise UserError(f'{path} is called like an image, and could be one; give the list the ending .txt')
    # Not a comment, nor an empty line.
    lines = [f'./{name}' if name.startswith('# ') or not name.strip() else name for name in images.names]
    with atomic_path(path) as temporary:
        temporary.write_text('\n'.join([f'# {images.title}', *lines, '']), 'utf-8')


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


def list_folders(
    root: str | os.PathLike,
    title: str,
    expected: int,
    folders: Sequence[str] = ('',),
    on_found: Callable[[Found], None] = lambda found: None,
) -> ImageList:
    """The images below some folders of ``root``.

    Args:
        expected: How many the data set has.
        folders: Relative to ``root``; ``''`` is ``root`` itself.
        on_found: Called with what was found, and passed over.

    Returns:
        Their list; its title says so when the number differs from ``expected``.

    Raises:
        UserError: A folder is missing or empty.
    """
    found = find_images(*(Path(root, folder) for folder in folders), root=root)
    on_found(found)
    names = found.names
    count = f'{len(names)} images'
    return ImageList(f'{title}: {count if len(names) == expected else f"{count} instead of {expected}"}', names)
