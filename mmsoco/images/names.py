"""Finding images by their names, in whichever usual way these are spelled."""

import os
import posixpath
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property, partial
from pathlib import Path

from mmsoco.errors import UserError
from mmsoco.images.archives import exists, is_archive
from mmsoco.images.endings import IMAGE_SUFFIXES
from mmsoco.images.finding import find_images
from mmsoco.images.folders import is_path_below


def tidy(name: str) -> str:
    r"""A path as folders are listed: ``/`` for ``\``, no ``./``, ``//`` and ``a/..``, no spaces around."""
    name = posixpath.normpath(name.strip().removeprefix('file://').replace('\\', '/'))
    return re.sub('^//+', '/', name)  # normpath keeps two slashes


def _composed(name: str) -> str:
    """One form for letters with marks, which systems write in one or in two characters."""
    name = tidy(name)
    return name if name.isascii() else unicodedata.normalize('NFC', name)


def _loose(name: str) -> str:
    """One form for what looks alike: capitals, wide letters, spaces of any width."""
    return unicodedata.normalize('NFKC', _composed(name)).casefold()


def _bare(name: str) -> str:
    """Without the ending of an image."""
    stem, ending = posixpath.splitext(_loose(name))
    return stem if ending in IMAGE_SUFFIXES else stem + ending


def _no_image(name: str) -> str | None:
    """A name that has no ending of an image, and so may be that of one without it."""
    bare = _bare(name)
    return bare if bare == _loose(name) else None


#: How images, and how what is asked for, are spelled: from strict to lenient.
SPELLINGS: tuple[tuple[Callable[[str], str], Callable[[str], str | None]], ...] = (
    (str, str),
    (tidy, tidy),
    (_composed, _composed),
    (_loose, _loose),
    (_bare, _no_image),
)
#: The first of them by which different files may be alike.
LOOSE = 3


class _Root:
    """A folder by its path, as it is given and without links."""

    def __init__(self, root: str | os.PathLike | None):
        self._root = root

    @cached_property
    def _spellings(self) -> set[str]:
        if self._root is None:
            return set()
        return {f'{root}/' for root in (Path(self._root).absolute(), Path(self._root).resolve())}

    def below(self, name: str) -> str:
        name = tidy(name)
        return next((name.removeprefix(root) for root in self._spellings if name.startswith(root)), name)


class Names:
    """Names of images, found by any of their usual spellings.

    Backslashes, ``./``, absolute paths, another Unicode form, other capitals, another kind of space, no ending, or
    the way through another link: the strictest spelling by which a name answers counts.

    Args:
        names: The images, or (what they are called, image); several images may be called alike until one is asked for.
        root: Their folder, for absolute paths and links; None where there is none.
    """

    def __init__(self, names: Iterable[str | tuple[str, str]], root: str | os.PathLike | None = None):
        # Bare strings, and no tuples or sets of one: there may be millions of names.
        self._names = list(names)
        self.root = root
        self._root = _Root(root)
        self._levels: dict[int, dict[str, str | set[str]]] = {}

    def find(self, *spellings: str) -> str | None:
        """The image that a name is of, None where there is none.

        Args:
            spellings: The name; several where only one of them has to be there.

        Raises:
            UserError: Two images answer.
        """
        by_spelling = [partial(self._alike, level) for level in range(len(SPELLINGS))]
        # A file of that very name is another one than those that are called alike.
        for answers in (*by_spelling[:LOOSE], self._same_file, *by_spelling[LOOSE:]):
            found = {image: name for name in spellings for image in answers(name)}
            if len(found) > 1:
                one, other, *_ = sorted(found)
                place = 'there are' if self.root is None else f'{self.root} has'
                raise UserError(
                    f'{place} {one} and {other}, and {found[one]!r} may be either; '
                    'write the name of one of them, or choose by a list'
                )
            if found:
                return next(iter(found))
        return None

    def _alike(self, level: int, name: str) -> set[str]:
        """The images that answer by one of the spellings."""
        if not level:
            return self._of(0, name)
        spelled, asked = SPELLINGS[level]
        key = asked(self.below(name))
        if key is None:
            return set()
        as_it_is = self._of(0, key) if spelled(key) == key else set()
        return as_it_is | self._of(level, key)

    def _of(self, level: int, key: str) -> set[str]:
        """The images that are spelled so; of the lenient levels those alone that are called otherwise."""
        if level not in self._levels:
            self._levels[level] = self._index(level)
        images = self._levels[level].get(key, set())
        return {images} if isinstance(images, str) else images

    def _index(self, level: int) -> dict[str, str | set[str]]:
        """Spelling -> image or, where it is of several, images."""
        spelled, _ = SPELLINGS[level]
        index: dict[str, str | set[str]] = {}
        for key, image in self._pairs():
            spelling = spelled(key)
            if level and spelling == key:
                continue
            there = index.setdefault(spelling, image)
            if isinstance(there, set):
                there.add(image)
            elif there != image:
                index[spelling] = {there, image}
        return index

    def _pairs(self) -> Iterator[tuple[str, str]]:
        """What the images are called, and the images."""
        return ((name, name) if isinstance(name, str) else name for name in self._names)

    def below(self, name: str) -> str:
        """A tidy path; an absolute one that is below the root relative to it."""
        return self._root.below(name)

    def _same_file(self, name: str) -> Iterable[str]:
        """The images that are the file that a name leads to; or that one itself, also with another ending."""
        name = self.below(name)
        if self.root is None or not exists(f'{self.root}/{name}'):
            return ()
        path = Path(self.root, name)
        alike = self._by_file.get(os.path.realpath(path)) or [
            # Where capitals mean nothing to the disk.
            image
            for image in self._alike(LOOSE, name)
            if Path(self.root, image).exists() and path.samefile(Path(self.root, image))
        ]
        return alike or ([name] if is_path_below(name) else [])

    @cached_property
    def _by_file(self) -> dict[str, list[str]]:
        folders: dict[str, Path] = {}
        files: dict[str, list[str]] = {}
        for _, image in self._pairs():
            folder, base = posixpath.split(image)
            if folder not in folders:
                folders[folder] = Path(self.root, folder).resolve()
            path = folders[folder] / base
            files.setdefault(os.path.realpath(path) if path.is_symlink() else str(path), []).append(image)
        return {path: sorted(set(images)) for path, images in files.items()}


class FolderNames:
    """The images below a folder by any of their usual spellings; it is listed only where a name is not that of a file.

    Args:
        root: The folder, or archive.
        paths: The folders and archives in it that are listed; by default all of it.
    """

    def __init__(self, root: str | os.PathLike, paths: Sequence[str | os.PathLike] | None = None):
        self.root = Path(root)
        self._paths = [self.root] if paths is None else paths
        self._root = _Root(root)

    @cached_property
    def _names(self) -> Names:
        there = self.root.is_dir() or is_archive(self.root)
        return Names(find_images(*self._paths, root=self.root).names if there else [], self.root)

    def find(self, *spellings: str) -> str | None:
        """As :meth:`Names.find`."""
        names = [self.below(name) if name.startswith('/') else name for name in spellings]
        there = [name for name in names if is_path_below(name) and exists(f'{self.root}/{name}')]
        return there[0] if len(there) == 1 else self._names.find(*spellings)

    def below(self, name: str) -> str:
        """As :meth:`Names.below`."""
        return self._root.below(name)
