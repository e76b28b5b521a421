"""Whether images are those that proposals, or a list, are for."""

import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from mmsoco.errors import UserError
from mmsoco.images.archives import exists, is_archive
from mmsoco.images.decoding import UnreadableImage
from mmsoco.images.folders import outside_links, targets_of
from mmsoco.images.root import ImageRoot
from mmsoco.proposals.store import ProposalStore

#: Seconds to wait for images on a network disk; after as many, the loader's ``timeout`` of the configs gives up, too.
PATIENCE = 600.0


def root_of(store: ProposalStore, data_root: str | os.PathLike | None) -> str | os.PathLike:
    """The folder of a file's images: the one given, or the one that it names.

    Raises:
        UserError: There is neither.
    """
    root = data_root or store.header.get('root')
    if not isinstance(root, str | os.PathLike):
        raise UserError(f'{store.path} does not say where its images are; set data_root of the data set')
    return root


def require_images(root: Path, names: Sequence[str]) -> None:
    """Raise unless a folder has all images of a list.

    Raises:
        UserError: Naming the first that is missing.
    """
    missing = [name for name in names if not exists(root / name)]
    if missing:
        raise UserError(
            f'{root} has not the images of the list: {len(missing)} of {len(names)} are missing, first {missing[0]}; '
            'give the folder the list is for'
        )


def links_entry(root: str | os.PathLike, names: Iterable[str]) -> dict:
    """What the header of a proposal file says of links that lead out of its folder: nothing where there are none."""
    links = outside_links(root, names)
    return {'links': targets_of(links)} if links else {}


def check_images(
    store: ProposalStore,
    root: str | os.PathLike,
    sample: int = 16,
    follow_links: bool = False,
    patience: float = PATIENCE,
) -> None:
    """Refuse images that the proposals were not made for.

    Looks at ``sample`` evenly spaced images. A few that are missing, or
    cannot be read, are a data set with gaps; when most are missing, it is
    another folder. One of another size means that the images were changed.

    A link that leads out of the folder is followed when it was there, and led to the same
    place, where the proposals were made: else, whoever made the file chose what is read.

    Args:
        sample: How many images are read.
        follow_links: Follow links that the file does not know, too.
        patience: Seconds after which a disk that does not answer is given up.

    Raises:
        UserError: With both folders, or both sizes, or the link, or the image that hangs, named.
    """
    now, images = str(root), ImageRoot.of(store.header, root)

    def check() -> None:
        nonlocal now
        if not os.path.isdir(root) and not is_archive(root):  # noqa: PTH112, takes names of any length
            raise UserError(f'{root} is not a folder; give the folder that holds the images of {store.path}')
        if not follow_links:
            _check_links(store, root)
        rows = [store[i] for i in evenly(len(store), sample)]
        missing = []
        for row in rows:
            now = images.place(row.file_name).path
            if not exists(now):
                missing.append(row.file_name)
        if 2 * len(missing) > len(rows):
            raise UserError(
                f'{store.path} was made for {store.header.get("root")}, but {root} has not its images '
                f'({missing[0]} is missing); give the folder it was made for'
            )
        for row in rows:
            now = images.place(row.file_name).path
            with suppress(UnreadableImage):
                found = {row.file_name: images.size(row.file_name)}
                check_sizes({row.file_name: (row.width, row.height)}, found, root, store.path)

    within(check, patience, lambda: f'{now} does not answer for {patience:g} s; is its disk there? Try to read it')


def _check_links(store: ProposalStore, root: str | os.PathLike) -> None:
    known = store.header.get('links')
    for place, target, image in outside_links(root, ImageRoot.of(store.header, root).images_of(store.names())):
        if not isinstance(known, dict) or target not in (known.get(place) or ()):
            raise UserError(
                f'{store.path} names {image}, which links in {root}, at {place or "."}, lead to {target}, and the '
                'proposals were not made there; make them here, or, if these links are yours, follow them by '
                'follow_links=True of the data set (train_dataloader.dataset.follow_links=True)'
            )


def within(function: Callable[[], None], seconds: float, words: Callable[[], str]) -> None:
    """Call a function, and give up where it takes too long; what hangs is left behind in a thread.

    Args:
        function: What it raises is raised here.
        words: The message when it is given up.

    Raises:
        UserError: It takes longer.
    """
    errors: list[BaseException] = []

    def run() -> None:
        try:
            function()
        except BaseException as error:
            errors.append(error)

    # A daemon: nothing else lets a process end while a disk does not answer.
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise UserError(words())
    if errors:
        raise errors[0]


def kind_of_change(given: tuple[int, int], found: tuple[int, int]) -> str:
    """How an image of one (width, height) differs from one of another: turned, resized, both, or in another way."""

    def factor(size: tuple[int, int]) -> float | None:
        """By which both sides are multiplied, up to a pixel of rounding."""
        sides = list(zip(size, found, strict=True))
        low, high = max((b - 1) / a for a, b in sides), min((b + 1) / a for a, b in sides)
        return found[0] / size[0] if low <= high and all(a != b for a, b in sides) else None

    if given[::-1] == found:
        return 'turned'
    for words, size in (('resized', given), ('turned and resized', given[::-1])):
        by = factor(size)
        if by is not None:
            return f'{words} by {by:.4g}'
    return 'changed in another way'


#: What to do about each kind of change.
ADVICE = {
    'turned': 'boxes must be of images as a viewer shows them, orientation from EXIF applied: make boxes of these, '
    'or, where EXIF turns these images, take the orientation out of it',
    'resized': 'make boxes for these images, or give the original ones',
    'changed in another way': 'give the images the file was made for, or make it for these',
}


def check_sizes(
    given: Mapping[str, tuple[int, int]],
    found: Mapping[str, tuple[int, int]],
    root: str | os.PathLike,
    source: str | os.PathLike,
) -> None:
    """Refuse images of another size than boxes are for.

    Args:
        given: Name -> (width, height) that the boxes are for.
        found: Name -> (width, height) of the images; others are passed over.
        root: Folder of the images.
        source: What the boxes are from, for the message.

    Raises:
        UserError: With each kind of change, how many images it is of, and the first of them.
    """
    kinds: dict[str, list[tuple[str, str]]] = {}
    for name, size in given.items():
        if name in found and found[name] != size:
            change = kind_of_change(size, found[name])
            kinds.setdefault(change.partition(' by ')[0], []).append((name, change))
    if not kinds:
        return
    parts = []
    for kind, images in kinds.items():
        name, change = images[0]
        (w, h), (width, height) = given[name], found[name]
        number = f' ({len(images)} of {len(given)} images are {kind})' if len(given) > 1 else ''
        parts.append(f'boxes for {name} of {w}x{h}, but in {root} it is {width}x{height}: {change}{number}')
    advice = [words for kind, words in ADVICE.items() if any(kind in known for known in kinds)]
    raise UserError(f'{source} has {"; and ".join(parts)}; {"; ".join(advice)}')


def evenly(count: int, sample: int) -> list[int]:
    """Up to ``sample`` numbers below ``count``, the first and the last among them."""
    return np.unique(np.linspace(0, count - 1, sample).astype(int)).tolist() if count and sample else []
