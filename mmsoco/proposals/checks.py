"""Whether images are those that proposals, or a list, are for."""

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from mmsoco.errors import UserError
from mmsoco.images.decoding import UnreadableImage
from mmsoco.images.folders import outside_links, targets_of
from mmsoco.images.root import ImageRoot
from mmsoco.proposals.store import ProposalRow, ProposalStore

#: Seconds to wait for images on a network disk; after as many, the loader's ``timeout`` of the configs gives up, too.
PATIENCE = 600.0


def require_images(root: Path, names: Sequence[str]) -> None:
    """Raise unless a folder has all images of a list.

    Raises:
        UserError: Naming the first that is missing.
    """
    missing = [name for name in names if not os.path.isfile(root / name)]  # noqa: PTH113, takes names of any length
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
        if not os.path.isdir(root):  # noqa: PTH112, as below
            raise UserError(f'{root} is not a folder; give the folder that holds the images of {store.path}')
        if not follow_links:
            _check_links(store, root)
        rows = [store[i] for i in _evenly(len(store), sample)]
        missing = []
        for row in rows:
            now = images.place(row.file_name).path
            if not os.path.isfile(now):  # noqa: PTH113, takes names of any length
                missing.append(row.file_name)
        if 2 * len(missing) > len(rows):
            raise UserError(
                f'{store.path} was made for {store.header.get("root")}, but {root} has not its images '
                f'({missing[0]} is missing); give the folder it was made for'
            )
        for row in rows:
            now = images.place(row.file_name).path
            check_sizes([row], images, store.path)

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


def check_sizes(rows: Sequence[ProposalRow], images: ImageRoot, source: str | os.PathLike, sample: int = 16) -> None:
    """Refuse images of another size than some rows say.

    Args:
        rows: ``sample`` of them are looked at, evenly spaced. Images that
            cannot be read are passed over.
        images: Where they are.
        source: What the rows are from, for the message.

    Raises:
        UserError: One has another size.
    """
    for row in (rows[i] for i in _evenly(len(rows), sample)):
        try:
            height, width = images.read(row.file_name).shape[:2]
        except UnreadableImage:
            continue
        if (width, height) != (row.width, row.height):
            raise UserError(
                f'{source} has boxes for {row.file_name} of {row.width}x{row.height}, but in {images.folder} it is '
                f'{width}x{height}; give the images the file was made for, or make it for these'
            )


def _evenly(count: int, sample: int) -> list[int]:
    """Up to ``sample`` numbers below ``count``, the first and the last among them."""
    return np.unique(np.linspace(0, count - 1, sample).astype(int)).tolist() if count and sample else []
