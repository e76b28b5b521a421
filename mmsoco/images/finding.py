"""Finding images below folders and in archives, and counting what is passed over."""

import bisect
import heapq
import os
import posixpath
import re
import stat
import sys
from array import array
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mmsoco.errors import UserError
from mmsoco.files import KINDS
from mmsoco.images.archives import ARCHIVE_SUFFIXES, Index, index_of, open_image
from mmsoco.images.endings import IMAGE_SUFFIXES, ending_of, is_hidden, may_be_image

#: Files of an ending that are looked into at most, while none of them is like an image.
_LOOKS = 1000


@dataclass
class Found:
    """Images, and what was passed over on the way.

    Attributes:
        root: What the names are relative to: a folder, or an archive.
        names: Sorted POSIX paths; of what is in an archive, its path first.
        archives: Archive -> its images.
        passed_over: Kind (an ending, or in words, singular) -> files or folders.
        misnamed: Ending -> files that begin like images but have no ending of one.
        example: One of them.
    """

    root: Path
    names: list[str] = field(default_factory=list)
    archives: Counter[str] = field(default_factory=Counter)
    passed_over: Counter[str] = field(default_factory=Counter)
    misnamed: Counter[str] = field(default_factory=Counter)
    example: str = ''

    def has_below(self, folder: str) -> bool:
        """Whether there are images in a folder or an archive, by its name."""
        if not folder:
            return bool(self.names)
        first = bisect.bisect_left(self.names, f'{folder}/')
        return first < len(self.names) and self.names[first].startswith(f'{folder}/')

    def lines(self) -> list[str]:
        """What there is to say beyond the number of images; nothing where that is all."""
        lines = []
        if self.archives:
            lines.append(f'{_counted("archive", len(self.archives))} with {self.archives.total():,} images')
        if self.passed_over:
            lines.append(f'passed over: {_enumerated(self.passed_over)}')
            if any(kind.endswith(_UNPACK) for kind in self.passed_over):
                lines.append('compressed archives are not read; unpack them, or make them plain .tar by gunzip')
        if self.misnamed:
            lines.append(
                f'{self.misnamed.total():,} of them look like images but have another ending '
                f'({_enumerated(self.misnamed)}; such as {self.example}): rename them'
            )
        return lines


def report(found: Found) -> None:
    """Print what there is to say of a search for images; what tools do."""
    for line in found.lines():
        print(line, flush=True)


_WITHOUT = 'without an ending'
_UNPACK = ('.gz', '.tgz', '.bz2', '.xz', '.zst', '.7z', '.rar')


def _counted(kind: str, count: int) -> str:
    """``1 pipe``, ``2 pipes``, ``3 .txt``, ``4 links in an archive``."""
    if count > 1 and not kind.startswith(('.', _WITHOUT)):
        kind = re.sub(r'^(hidden |special |encrypted |other )?(\w+)', r'\1\2s', kind)
    return f'{count:,} {kind}'


def _enumerated(counts: Counter[str], most: int = 12) -> str:
    ranked = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    words = [_counted(kind, count) for kind, count in ranked[:most]]
    if len(counts) > most:
        rest = sum(count for _, count in ranked[most:])
        words.append(f'{rest:,} of {len(counts) - most} other kinds')
    return ', '.join(words)


def list_images(root: str | os.PathLike) -> list[str]:
    """The images below a folder or in an archive, as sorted POSIX paths relative to it.

    Raises:
        UserError: As :func:`find_images`.
    """
    return find_images(root, root=root).names


def common_root(paths: Sequence[str | os.PathLike]) -> Path:
    """The folder that folders and archives lie in: of one folder itself, as it is given.

    Raises:
        UserError: One of them is neither.
    """
    for path in paths:
        if not os.path.isdir(path):  # noqa: PTH112, takes names of any length
            _require_archive(path)
    folders = [Path(path) if Path(path).is_dir() else Path(path).parent for path in paths]
    return folders[0] if len(paths) == 1 else Path(os.path.commonpath([folder.resolve() for folder in folders]))


def _require_archive(path: str | os.PathLike) -> None:
    words = f'{path} is not a folder; give the folder that holds the images'
    if not os.path.isfile(path):  # noqa: PTH113, as above
        raise UserError(words)
    try:
        index_of(path)
    except OSError as error:
        raise UserError(f'{words}, or a zip or tar file: it {error.strerror}') from None


def find_images(*paths: str | os.PathLike, root: str | os.PathLike | None = None) -> Found:
    """Find the images below some folders and in archives, those among them and those below them.

    Each real file is found once, whatever links lead to it, or where folders overlap: by its
    path without links; of several by links, the one with the fewest parts, then the first. What
    an archive holds is not found where it lies unpacked beside it, under the same name and with
    the same size.

    Args:
        paths: Folders and archives (zip, tar).
        root: What names are relative to; by default :func:`common_root`.

    Raises:
        UserError: One of them is neither, or has no image; a folder below or an archive cannot be
            read, for that would leave images out; or a name is not UTF-8.
    """
    above = common_root(paths)
    finder = _Finder(above if root is None else Path(root))
    for path in sorted(paths, key=lambda path: (len(Path(path).resolve().parts), str(path))):
        finder.add(Path(path))
    found = finder.finish()
    for name, path in finder.given.items():
        if not found.has_below(name):
            passed = ''.join(f'; {line}' for line in found.lines())
            endings = ', '.join(sorted(IMAGE_SUFFIXES))
            raise UserError(f'{path} holds no images; files ending in {endings} are looked for{passed}')
    for name in found.names:
        try:
            name.encode()
        except UnicodeEncodeError:
            raise UserError(f'{found.root} has a file whose name is not UTF-8: {name!r}; rename it') from None
    return found


class _Finder:
    """What :func:`find_images` has found so far.

    First all that is there without links is walked, then where links to folders lead, then links to files:
    so a file is known by its own path before it could be by another.
    """

    def __init__(self, root: Path):
        self.found = Found(root)
        self._folders: set[str] = set()  # real paths of those walked
        self._links: list[tuple[int, str, str]] = []  # parts, name, path: of links to folders
        self._file_links: list[tuple[int, str, str]] = []
        self._linked: set[str] = set()  # real paths of files that are read through links
        self._archives: dict[str, tuple[str, str]] = {}  # real path -> name, path
        self._inodes = array('Q')  # of each name of a file
        self._looks: Counter[str] = Counter()
        self._misnamed: list[tuple[str, str, str]] = []  # ending, name, path
        self._unreadable: list[OSError] = []
        self.given: dict[str, Path] = {}  # name -> folder or archive that is walked for itself

    def add(self, path: Path) -> None:
        """Walk a folder without following links, or take an archive."""
        real = os.path.realpath(path)
        if real in self._folders or real in self._linked or posixpath.dirname(real) in self._folders:
            return
        if path.is_relative_to(self.found.root):
            name = path.relative_to(self.found.root).as_posix()
        else:
            name = Path(os.path.relpath(real, self.found.root.resolve())).as_posix()
        name = '' if name == '.' else name
        self.given[name] = path
        if path.is_dir():
            self._walk(str(path), name, real)
        else:
            self._linked.add(real)
            self._archives[real] = name, str(path)

    def finish(self) -> Found:
        """Follow the links, look into the archives, and sort."""
        while self._links:
            _, name, path = heapq.heappop(self._links)
            real = os.path.realpath(path)
            if real in self._folders:
                self.found.passed_over['link to a folder that is read already'] += 1
            else:
                self._walk(path, name, real)
        for _, name, path in sorted(self._file_links):
            real = os.path.realpath(path)
            folder, base = posixpath.split(real)
            known = folder in self._folders and ending_of(base) in IMAGE_SUFFIXES | ARCHIVE_SUFFIXES
            if real in self._linked or (known and not is_hidden(base) and os.path.exists(real)):  # noqa: PTH110
                self.found.passed_over['link to a file that is read already'] += 1
                continue
            self._linked.add(real)
            self._take(name, path, None)
        if self._unreadable:
            first = self._unreadable[0]
            raise UserError(
                f'{_counted("folder", len(self._unreadable))} cannot be read, so that images would be left out; '
                f'the first: {first.filename}: {first.strerror}; make it readable, or name folders without it'
            )
        self._leave_hard_links()
        for name, path in sorted(self._archives.values()):
            self._open(name, path)
        for ending, name, path in sorted(self._misnamed):
            if os.path.realpath(path) not in self._linked:
                self.found.misnamed[ending] += 1
                self.found.example = self.found.example or name
        self.found.names.sort()
        return self.found

    def _walk(self, path: str, name: str, real: str) -> None:
        """All of a folder but what links lead to."""
        waiting = [(path, name, real)]
        while waiting:
            path, name, real = waiting.pop()
            if real in self._folders:
                continue
            self._folders.add(real)
            try:
                with os.scandir(path) as entries:
                    for entry in entries:
                        self._enter(entry, posixpath.join(name, entry.name), real, waiting)
            except OSError as error:
                self._unreadable.append(error)

    def _enter(self, entry: os.DirEntry, name: str, real: str, waiting: list[tuple[str, str, str]]) -> None:
        try:
            is_folder, is_file = entry.is_dir(), entry.is_file()
        except PermissionError:
            raise
        except OSError:  # a link to itself
            is_folder = is_file = False
        if is_hidden(entry.name):
            self.found.passed_over['hidden folder' if is_folder else 'hidden file'] += 1
        elif is_folder and entry.is_symlink():
            heapq.heappush(self._links, (name.count('/'), name, entry.path))
        elif is_folder:
            waiting.append((entry.path, name, posixpath.join(real, entry.name)))
        elif is_file and not entry.is_symlink():
            self._take(name, entry.path, entry.inode())
        elif is_file or not os.path.exists(entry.path):  # noqa: PTH110, a link that leads nowhere
            self._file_links.append((name.count('/'), name, entry.path))
        else:
            kind = stat.S_IFMT(os.stat(entry.path).st_mode)  # noqa: PTH116
            self.found.passed_over[KINDS.get(kind, 'special file')] += 1

    def _take(self, name: str, path: str, inode: int | None) -> None:
        """A file: an image by its name, an archive, or something to count."""
        ending = ending_of(name)
        if ending in IMAGE_SUFFIXES:
            self.found.names.append(name)
            self._inodes.append(inode or 0)
        elif ending in ARCHIVE_SUFFIXES:
            known = self._archives.setdefault(os.path.realpath(path), (name, path))
            if known != (name, path):
                self.found.passed_over['archive that is read already'] += 1
        else:
            self._pass_over(ending, name, path)

    def _pass_over(self, ending: str, name: str, path: str) -> None:
        # An ending of this length is a part of a name.
        kind = ending if 1 < len(ending) <= 12 else _WITHOUT
        self.found.passed_over[kind] += 1
        if self._looks[kind] < _LOOKS:
            self._looks[kind] += 1
            with suppress(OSError), open_image(path) as file:
                if may_be_image(kind, file.read(64)):
                    # One is enough to look at all of them.
                    self._looks[kind] = -sys.maxsize
                    self._misnamed.append((kind, name, path))

    def _leave_hard_links(self) -> None:
        """Of several names of one file, keep the first."""
        inodes = np.frombuffer(self._inodes, np.uint64) if self._inodes else np.empty(0, np.uint64)
        _, first, counts = np.unique(inodes, return_inverse=True, return_counts=True)
        # A hint alone: some file systems give all files the same number.
        kept: dict[tuple[int, int], str] = {}
        others = set()
        for i in np.flatnonzero(counts[first] > 1).tolist():
            name = self.found.names[i]
            with suppress(OSError):
                there = os.stat(self.found.root / name)  # noqa: PTH116
                if there.st_nlink > 1 and inodes[i]:
                    key, rank = (there.st_dev, there.st_ino), lambda name: (name.count('/'), name)
                    kept[key], other = sorted([name, kept.get(key, name)], key=rank)
                    others |= {other} - {kept[key]}
        if others:
            self.found.passed_over['other name of a file that is read already'] += len(others)
            self.found.names = [name for name in self.found.names if name not in others]

    def _open(self, name: str, path: str) -> None:
        """The images of an archive."""
        try:
            index = index_of(path)
        except OSError as error:
            raise UserError(f'{path} {error.strerror}; mend it, or give folders without it') from None
        if index.fault:
            raise UserError(
                f'{path} is broken, or cut off, after {len(index):,} files ({index.fault}); get it again, '
                'or give folders without it'
            )
        self.found.passed_over.update(index.left_out)
        before = len(self.found.names)
        folder = os.path.dirname(path)  # noqa: PTH120
        stem = os.path.splitext(path)[0]  # noqa: PTH122
        beside = [place for place in (folder, stem) if os.path.realpath(place) in self._folders]
        for member in index.names():
            if any(is_hidden(part) for part in member.split('/')):
                self.found.passed_over['hidden file'] += 1
            elif ending_of(member) in IMAGE_SUFFIXES and any(_is_same(index, member, place) for place in beside):
                self.found.passed_over['image that is unpacked beside its archive'] += 1
            else:
                self._take_member(posixpath.join(name, member), f'{path}/{member}')
        taken = len(self.found.names) - before
        if taken:
            self.found.archives[name or path] = taken
        else:
            self.found.passed_over['archive without images'] += 1

    def _take_member(self, name: str, path: str) -> None:
        ending = ending_of(name)
        if ending in IMAGE_SUFFIXES:
            self.found.names.append(name)
        else:
            self._pass_over(ending, name, path)


def _is_same(index: Index, member: str, folder: str) -> bool:
    """Whether a member lies in a folder, too."""
    try:
        return os.path.getsize(f'{folder}/{member}') == index.get(member).size  # noqa: PTH202
    except OSError:
        return False
