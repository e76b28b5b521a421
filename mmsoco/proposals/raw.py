"""Raw proposals: every box that a method finds in a folder of pictures, in shards."""

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

import mmsoco
from mmsoco.errors import UserError
from mmsoco.proposals.lists import PictureList
from mmsoco.proposals.pictures import UnreadablePicture, list_pictures, read_picture
from mmsoco.proposals.selective_search import SearchParameters
from mmsoco.proposals.store import ProposalRow, ProposalStore, write_proposals


class Method(Protocol):
    """A way to propose boxes: its parameters, to be sent to worker processes."""

    def describe(self) -> dict:
        """Name and parameters, for the header of the file."""

    def propose(self, picture: np.ndarray, file_name: str) -> np.ndarray:
        """(H, W, 3) uint8 RGB to (N, 4) int boxes, xyxy in pixels, N >= 1."""


def _search_file(root: Path, method: Method, name: str) -> ProposalRow | str:
    """A picture's row, or the reason why it has none."""
    try:
        picture = read_picture(root / name)
        height, width = picture.shape[:2]
        return ProposalRow(name, width, height, method.propose(picture, name))
    except (UnreadablePicture, cv2.error) as error:
        return str(error)


def require_pictures(root: Path, names: Sequence[str]) -> None:
    """Raise unless a folder has all pictures of a list.

    Raises:
        UserError: Naming the first that is missing.
    """
    missing = [name for name in names if not (root / name).is_file()]
    if missing:
        raise UserError(
            f'{root} has not the pictures of the list: {len(missing)} of {len(names)} are missing, first {missing[0]}; '
            'give the folder the list is for'
        )


def _start_worker() -> None:
    cv2.setNumThreads(0)


def search_folder(
    root: str | os.PathLike,
    out: str | os.PathLike,
    method: Method = SearchParameters(),
    jobs: int = 1,
    shard_size: int = 1000,
    picture_list: PictureList | None = None,
    on_picture: Callable[[int, int, str | None], None] = lambda done, total, failure: None,
) -> tuple[int, list[str]]:
    """Propose boxes for the pictures below ``root`` and write them to the folder ``out``.

    The work is cut into shards, files ``shard-00000-of-00010.arrow`` and so on.
    A second run goes on after the shards that are complete.

    Args:
        root: Folder of pictures; file names are kept relative to it.
        out: Folder for the shards.
        method: How boxes are proposed; by default the paper's selective search.
        jobs: Worker processes; the result does not depend on it.
        shard_size: Pictures a shard.
        picture_list: The pictures to take; all by default.
        on_picture: Called with (pictures done, of how many, failure or None).

    Returns:
        How many pictures have proposals, and a line for each that could not be
        read. Such pictures are left out; the run goes on.

    Raises:
        UserError: No pictures, none that could be read, a list of another
            folder, or ``out`` holds shards of another search.
    """
    root, out = Path(root), Path(out)
    common = {
        'kind': 'raw',
        'root': str(root.resolve()),
        'generator': method.describe(),
        'list': None if picture_list is None else picture_list.describe(),
    }
    names = list_pictures(root) if picture_list is None else picture_list.names
    if picture_list is not None:
        require_pictures(root, names)
    chunks = [names[i : i + shard_size] for i in range(0, len(names), shard_size)]
    paths = [out / f'shard-{i:05d}-of-{len(chunks):05d}.arrow' for i in range(len(chunks))]
    strangers = set(out.glob('shard-*.arrow')) - set(paths) if out.is_dir() else set()
    if strangers:
        raise UserError(
            f'{out} holds shards of another search ({min(strangers).name}); name another folder or delete it'
        )

    done = searched = 0
    failures: list[str] = []
    context = multiprocessing.get_context('forkserver')
    # Workers start only when there is something to do.
    with ProcessPoolExecutor(jobs, context, initializer=_start_worker) as pool:
        for path, chunk in zip(paths, chunks, strict=True):
            header = {**common, 'pictures': len(chunk), 'first': chunk[0], 'last': chunk[-1]}
            finished = _finished_shard(path, header)
            if finished is None:
                rows = []
                failed = []
                search = partial(_search_file, root, method)
                for result in pool.map(search, chunk, chunksize=4):
                    failure = result if isinstance(result, str) else None
                    if failure is None:
                        rows.append(result)
                    else:
                        failed.append(failure)
                    done += 1
                    on_picture(done, len(names), failure)
                write_proposals(path, rows, {**header, 'failures': failed})
                finished = len(rows), failed
            else:
                done += len(chunk)
                on_picture(done, len(names), None)
            searched += finished[0]
            failures += finished[1]
    if searched == 0:
        raise UserError(f'none of the {len(names)} pictures in {root} could be read; the first: {failures[0]}')
    return searched, failures


def _finished_shard(path: Path, header: dict) -> tuple[int, list[str]] | None:
    """Count and failures of a shard that is already there, None where it is not."""
    if not path.exists():
        return None
    store = ProposalStore.open(path)
    differing = [key for key in header if store.header.get(key) != header[key]]
    if differing:
        key = differing[0]
        raise UserError(
            f'{path} was made with {key} = {store.header.get(key)}, now it is {header[key]}; '
            'name another folder or delete it'
        )
    return len(store), store.header['failures']


def read_raw(folder: str | os.PathLike) -> tuple[dict, list[str], Iterator[ProposalRow]]:
    """Header, failures and rows of all shards in a folder that :func:`search_folder` wrote.

    Raises:
        UserError: The folder holds no shards, or some are missing.
    """
    folder = Path(folder)
    paths = sorted(folder.glob('shard-*.arrow'))
    if not paths:
        raise UserError(
            f'{folder} holds no raw proposals; make them with data_pipelines/selective_search.py or random_proposals.py'
        )
    total = int(paths[0].stem.rsplit('-', 1)[1])
    if len(paths) != total:
        raise UserError(f'{folder} holds {len(paths)} of {total} shards; run the search to its end')
    stores = [ProposalStore.open(path) for path in paths]
    header = {key: stores[0].header.get(key) for key in ('root', 'generator', 'list')}
    header['mmsoco'] = mmsoco.__version__
    failures = [failure for store in stores for failure in store.header['failures']]
    header['failures'] = len(failures)
    return header, failures, (row for store in stores for row in store)
