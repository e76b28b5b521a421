"""Whether images are those that proposals, or a list, are for."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mmsoco.errors import UserError
from mmsoco.images.decoding import UnreadableImage, read_image
from mmsoco.proposals.store import ProposalRow, ProposalStore


def require_images(root: Path, names: Sequence[str]) -> None:
    """Raise unless a folder has all images of a list.

    Raises:
        UserError: Naming the first that is missing.
    """
    missing = [name for name in names if not (root / name).is_file()]
    if missing:
        raise UserError(
            f'{root} has not the images of the list: {len(missing)} of {len(names)} are missing, first {missing[0]}; '
            'give the folder the list is for'
        )


def check_images(store: ProposalStore, root: str | os.PathLike, sample: int = 16) -> None:
    """Refuse images that the proposals were not made for.

    Looks at ``sample`` evenly spaced images. A few that are missing, or
    cannot be read, are a data set with gaps; when most are missing, it is
    another folder. One of another size means that the images were changed.

    Raises:
        UserError: With both folders, or both sizes, named.
    """
    if not Path(root).is_dir():
        raise UserError(f'{root} is not a folder; give the folder that holds the images of {store.path}')
    rows = [store[i] for i in _evenly(len(store), sample)]
    missing = [row.file_name for row in rows if not Path(root, row.file_name).is_file()]
    if 2 * len(missing) > len(rows):
        raise UserError(
            f'{store.path} was made for {store.header.get("root")}, but {root} has not its images '
            f'({missing[0]} is missing); give the folder it was made for'
        )
    check_sizes(rows, root, store.path, sample)


def check_sizes(
    rows: Sequence[ProposalRow], root: str | os.PathLike, source: str | os.PathLike, sample: int = 16
) -> None:
    """Refuse images of another size than some rows say.

    Args:
        rows: ``sample`` of them are looked at, evenly spaced. Images that
            cannot be read are passed over.
        root: Folder of the images.
        source: What the rows are from, for the message.

    Raises:
        UserError: One has another size.
    """
    for row in (rows[i] for i in _evenly(len(rows), sample)):
        try:
            height, width = read_image(Path(root, row.file_name)).shape[:2]
        except UnreadableImage:
            continue
        if (width, height) != (row.width, row.height):
            raise UserError(
                f'{source} has boxes for {row.file_name} of {row.width}x{row.height}, but in {root} it is '
                f'{width}x{height}; give the images the file was made for, or make it for these'
            )


def _evenly(count: int, sample: int) -> list[int]:
    """Up to ``sample`` numbers below ``count``, the first and the last among them."""
    return np.unique(np.linspace(0, count - 1, sample).astype(int)).tolist() if count and sample else []
