"""Selective search (Uijlings et al. 2013) with OpenCV, over one picture or a folder."""

import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np

import mmsoco
from mmsoco.errors import UserError
from mmsoco.proposals.pictures import UnreadablePicture, list_pictures, read_picture
from mmsoco.proposals.store import ProposalRow, ProposalStore, write_proposals

MODES = ('single', 'fast', 'quality')


@dataclass(frozen=True)
class SearchParameters:
    """Parameters of the search; the defaults are the paper's (appendix A.1).

    Args:
        mode: ``single`` is one segmentation in HSV and one grouping by colour,
            fill, texture and size together; ``fast`` and ``quality`` are
            OpenCV's sets of several.
        k: Segmentation scale: larger means larger segments.
        sigma: Gaussian smoothing before the segmentation, in pixels.
        min_size: Smallest segment, in pixels. ``fast`` and ``quality`` keep
            OpenCV's own value (100).
    """

    mode: str = 'single'
    k: int = 300
    sigma: float = 0.9
    min_size: int = 100

    def __post_init__(self):
        if self.mode not in MODES:
            raise UserError(f"mode '{self.mode}' is unknown; choose one of {', '.join(MODES)}")


def require_selective_search() -> None:
    """Raise a :class:`UserError` that says what to run when OpenCV lacks selective search."""
    # cv2.ximgproc alone proves nothing: it survives when another opencv package
    # has written over the contrib one.
    try:
        _ = cv2.ximgproc.segmentation.createSelectiveSearchSegmentation
    except AttributeError:
        raise UserError(
            'this cv2 has no selective search, another opencv package has overwritten it; run: '
            f'{sys.executable} -m pip install --force-reinstall --no-deps opencv-contrib-python==4.12.0.88'
        ) from None


def selective_search(picture: np.ndarray, parameters: SearchParameters = SearchParameters()) -> np.ndarray:
    """Propose boxes for one picture.

    Args:
        picture: (H, W, 3) uint8 RGB.

    Returns:
        (N, 4) int32 boxes, xyxy in pixels, without duplicates and sorted, so
        that the result does not depend on the order in which OpenCV groups.
        N is at least 1: where nothing is found, the whole picture is the box.
    """
    segmentation = cv2.ximgproc.segmentation
    search = segmentation.createSelectiveSearchSegmentation()
    if parameters.mode == 'single':
        graph = segmentation.createGraphSegmentation(parameters.sigma, parameters.k, parameters.min_size)
        strategy = segmentation.createSelectiveSearchSegmentationStrategyMultiple(
            segmentation.createSelectiveSearchSegmentationStrategyColor(),
            segmentation.createSelectiveSearchSegmentationStrategyFill(),
            segmentation.createSelectiveSearchSegmentationStrategyTexture(),
            segmentation.createSelectiveSearchSegmentationStrategySize(),
        )
        search.addImage(cv2.cvtColor(picture, cv2.COLOR_RGB2HSV))
        search.addGraphSegmentation(graph)
        search.addStrategy(strategy)
    else:
        search.setBaseImage(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        switch = (
            search.switchToSelectiveSearchFast if parameters.mode == 'fast' else search.switchToSelectiveSearchQuality
        )
        switch(base_k=parameters.k, inc_k=parameters.k, sigma=parameters.sigma)
    found = np.asarray(search.process(), np.int32).reshape(-1, 4)
    boxes = np.concatenate([found[:, :2], found[:, :2] + found[:, 2:]], axis=1)
    boxes = np.unique(boxes[(found[:, 2:] > 0).all(axis=1)], axis=0)
    if len(boxes) == 0:
        height, width = picture.shape[:2]
        boxes = np.array([[0, 0, width, height]], np.int32)
    return boxes


def _search_file(root: Path, parameters: SearchParameters, name: str) -> ProposalRow | str:
    """A picture's row, or the reason why it has none."""
    try:
        picture = read_picture(root / name)
        height, width = picture.shape[:2]
        return ProposalRow(name, width, height, selective_search(picture, parameters))
    except (UnreadablePicture, cv2.error) as error:
        return str(error)


def _start_worker() -> None:
    cv2.setNumThreads(0)


def search_folder(
    root: str | os.PathLike,
    out: str | os.PathLike,
    parameters: SearchParameters = SearchParameters(),
    jobs: int = 1,
    shard_size: int = 1000,
    on_picture: Callable[[int, int, str | None], None] = lambda done, total, failure: None,
) -> tuple[int, list[str]]:
    """Search all pictures below ``root`` and write raw proposals to the folder ``out``.

    The work is cut into shards, files ``shard-00000-of-00010.arrow`` and so on.
    A second run goes on after the shards that are complete.

    Args:
        root: Folder of pictures; file names are kept relative to it.
        out: Folder for the shards.
        jobs: Worker processes; the result does not depend on it.
        shard_size: Pictures a shard.
        on_picture: Called with (pictures done, of how many, failure or None).

    Returns:
        How many pictures have proposals, and a line for each that could not be
        read. Such pictures are left out; the run goes on.

    Raises:
        UserError: No pictures, none that could be read, or ``out`` holds
            shards of another search.
    """
    require_selective_search()
    root, out = Path(root), Path(out)
    names = list_pictures(root)
    chunks = [names[i : i + shard_size] for i in range(0, len(names), shard_size)]
    paths = [out / f'shard-{i:05d}-of-{len(chunks):05d}.arrow' for i in range(len(chunks))]
    strangers = set(out.glob('shard-*.arrow')) - set(paths) if out.is_dir() else set()
    if strangers:
        raise UserError(
            f'{out} holds shards of another search ({min(strangers).name}); name another folder or delete it'
        )
    generator = {'name': 'selective_search', **asdict(parameters), 'opencv': cv2.__version__}

    done = searched = 0
    failures: list[str] = []
    context = multiprocessing.get_context('forkserver')
    # Workers start only when there is something to do.
    with ProcessPoolExecutor(jobs, context, initializer=_start_worker) as pool:
        for path, chunk in zip(paths, chunks, strict=True):
            header = {
                'kind': 'raw',
                'root': str(root.resolve()),
                'generator': generator,
                'pictures': len(chunk),
                'first': chunk[0],
                'last': chunk[-1],
            }
            finished = _finished_shard(path, header)
            if finished is None:
                rows = []
                failed = []
                search = partial(_search_file, root, parameters)
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


def read_raw(folder: str | os.PathLike) -> tuple[dict, Iterator[ProposalRow]]:
    """Header and rows of all shards in a folder that :func:`search_folder` wrote.

    Raises:
        UserError: The folder holds no shards, or some are missing.
    """
    folder = Path(folder)
    paths = sorted(folder.glob('shard-*.arrow'))
    if not paths:
        raise UserError(f'{folder} holds no raw proposals; make them with data_pipelines/selective_search.py')
    total = int(paths[0].stem.rsplit('-', 1)[1])
    if len(paths) != total:
        raise UserError(
            f'{folder} holds {len(paths)} of {total} shards; run data_pipelines/selective_search.py to its end'
        )
    stores = [ProposalStore.open(path) for path in paths]
    header = {key: stores[0].header[key] for key in ('root', 'generator')}
    header['mmsoco'] = mmsoco.__version__
    header['failures'] = sum(len(store.header['failures']) for store in stores)
    return header, (row for store in stores for row in store)
