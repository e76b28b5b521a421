"""Names of images below a folder, and links that lead out of it."""

import os
import posixpath
import re
from collections.abc import Iterable
from itertools import accumulate
from typing import NamedTuple

#: What no path below a folder has, for Python and for RE2: an empty part, as that before the first ``/`` of an
#: absolute path, a part ``.`` or ``..``, or a NUL.
NO_PATH_BELOW = r'(^|/)\.{0,2}(/|$)|\x00'


def is_path_below(name: str) -> bool:
    """Whether a name is a path below a folder."""
    return re.search(NO_PATH_BELOW, name) is None


class OutsideLink(NamedTuple):
    """A link by which images below a folder are found outside of it.

    Attributes:
        place: The link to a folder, or the folder with links to files; below the root.
        target: The folder that it leads to, or that the files are in: a real path.
        image: The first image that is found this way.
    """

    place: str
    target: str
    image: str


def outside_links(root: str | os.PathLike, names: Iterable[str]) -> list[OutsideLink]:
    """The links that lead from a folder's images out of the folder.

    A link beyond such a link counts where it leads out of that one's target. Each folder
    is listed once; images are not looked at one by one.

    Args:
        root: The folder.
        names: POSIX paths of images relative to it; they need not exist.

    Returns:
        Each pair of place and target once.
    """
    real_root = os.path.realpath(root)
    found: dict[tuple[str, str], OutsideLink] = {}
    # Folder -> its real path, the real folder that it should not leave, and which of what is in it are links.
    known: dict[str, tuple[str, str, frozenset[str]]] = {'': (real_root, real_root, _links(real_root))}

    def leave(target: str, home: str, place: str, image: str) -> str:
        """The folder that ``target`` is in: ``home``, the root, or another one, which is a find."""
        for folder in (home, real_root):
            if target == folder or target.startswith(folder.rstrip('/') + '/'):
                return folder
        found.setdefault((place, target), OutsideLink(place, target, image))
        return target

    for name in names:
        folder, _, base = name.rpartition('/')
        if folder not in known:
            for path in accumulate(folder.split('/'), posixpath.join):
                if path in known:
                    continue
                above, part = posixpath.split(path)
                real, home, links = known[above]
                real = f'{real}/{part}'
                if part in links:
                    real = os.path.realpath(real)
                    home = leave(real, home, path, name)
                known[path] = real, home, _links(real)
        real, home, links = known[folder]
        if base in links:
            leave(posixpath.dirname(os.path.realpath(f'{real}/{base}')), home, folder, name)
    return list(found.values())


def _links(folder: str) -> frozenset[str]:
    """The links in a folder; none where there is no such folder."""
    try:
        with os.scandir(folder) as entries:
            return frozenset(entry.name for entry in entries if entry.is_symlink())
    except OSError:
        return frozenset()


def targets_of(links: Iterable[OutsideLink]) -> dict[str, list[str]]:
    """Place -> targets, as the header of a proposal file has them."""
    targets: dict[str, list[str]] = {}
    for link in sorted(links):
        targets.setdefault(link.place, []).append(link.target)
    return targets
