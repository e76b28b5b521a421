"""Raw proposals: every box that a generator finds in a folder of images, in shards."""

import csv
import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from mmsoco.errors import UserError, reason
from mmsoco.files import atomic_path, remove_leftovers
from mmsoco.images.decoding import UnreadableImage, image_size
from mmsoco.images.finding import Found, common_root, find_images
from mmsoco.images.lists import ImageList, locate
from mmsoco.images.names import FolderNames
from mmsoco.images.reading import Reading
from mmsoco.images.root import ImageRoot
from mmsoco.images.tiles import Tiling, split_name
from mmsoco.images.values import join
from mmsoco.proposals.checks import links_entry, require_images
from mmsoco.proposals.generators.base import Generator
from mmsoco.proposals.generators.selective_search import SearchParameters
from mmsoco.proposals.search.parallel import run_tasks
from mmsoco.proposals.search.shards import Shard, search_shard
from mmsoco.proposals.store import ProposalStore
from mmsoco.renamed import renamed_arguments

FAILURES = 'failures.csv'


@dataclass(frozen=True)
class Execution:
    """Where and how a search runs; nothing of it changes what is found.

    Args:
        jobs: Worker processes on this machine.
        backend, address: See :func:`~mmsoco.proposals.search.parallel.run_tasks`.
        part: (i, n), from (0, n) to (n - 1, n): do only every n-th shard, from
            the i-th on, and leave the others to other machines.
        timeout: Seconds for one image; None for no bound.
        retry: Search again in images that failed before.
    """

    jobs: int = 1
    backend: str = 'loky'
    address: str | None = None
    part: tuple[int, int] = (0, 1)
    timeout: float | None = None
    retry: bool = False

    def __post_init__(self):
        index, count = self.part
        if not 0 <= index < count:
            raise UserError(f'there is no shard {index}/{count}; shards count from 0/{count} to {count - 1}/{count}')
        if self.timeout is not None and not self.timeout > 0:
            raise UserError(f'a timeout of {self.timeout} s leaves no time; give a number above 0')


@dataclass
class Result:
    """What a folder of raw proposals holds.

    Attributes:
        total: Images.
        done: Those whose shard is finished.
        failures: File name -> reason, of those that have no proposals.
        met: The values of samples of more than 8 bits, as :func:`~mmsoco.images.values.join` has them.
        several_frames: Files of several frames or pages, of which the first is taken.
    """

    total: int
    done: int = 0
    failures: dict[str, str] = field(default_factory=dict)
    met: dict[str, dict] = field(default_factory=dict)
    several_frames: int = 0

    @property
    def searched(self) -> int:
        """Images that have proposals."""
        return self.done - len(self.failures)

    def add(self, images: int, failures: Mapping[str, str]) -> None:
        """Count a finished shard."""
        self.done += images
        self.failures.update(failures)


def default_shard_size(images: int) -> int:
    """Images a shard: some 64 shards or more, so that many processes share the work, but 256 at most.

    It does not depend on the number of processes, so that the files do not either.
    """
    return min(256, -(-images // 64))


@renamed_arguments(method='generator', engine='execution', picture_list='image_list')
def search_folder(
    root: str | os.PathLike | Sequence[str | os.PathLike],
    out: str | os.PathLike,
    generator: Generator = SearchParameters(),
    execution: Execution = Execution(),
    shard_size: int | None = None,
    image_list: ImageList | None = None,
    on_progress: Callable[[Result], None] = lambda result: None,
    reading: Reading = Reading(),
    tiling: Tiling | None = None,
    on_found: Callable[[Found], None] = lambda found: None,
) -> Result:
    """Propose boxes for the images below ``root`` and write them to the folder ``out``.

    The work is cut into shards, files ``shard-00000-of-00010.arrow`` and so on,
    each written whole or not at all. A second run, or another machine, goes on
    with those that are missing; what is written never depends on the execution.
    ``failures.csv`` names the images that have no proposals, and why.

    Args:
        root: Folder of images; file names are kept relative to it. Of several folders, or archives, it is
            the folder that they lie in.
        out: Folder for the shards. On a cluster, all machines see both folders.
        generator: How boxes are proposed; by default the paper's selective search.
        execution: Where and how it runs.
        shard_size: Images a shard; see :func:`default_shard_size`.
        image_list: The images to take; all by default.
        on_progress: Called with what is done of the execution's part: at the start
            with what was there before, then as shards are finished.
        reading: How images are read, in training, too.
        tiling: Search in windows of the images, which then are the images of the proposal file.
        on_found: Called with the images and what was passed over, before the search; not for a list.

    Returns:
        What is done of the execution's part. Images that fail are left out; the run goes on.

    Raises:
        UserError: No images, none that could be read, a list of another
            folder, ``out`` holds shards of another search or cannot be written,
            or see :func:`~mmsoco.proposals.search.parallel.run_tasks`.
    """
    paths = [root] if isinstance(root, str | os.PathLike) else root
    out = Path(out).resolve()
    if image_list is None:
        found = find_images(*paths)
        on_found(found)
        root, names = found.root, found.names
    else:
        root = common_root(paths)
        image_list = locate(image_list, FolderNames(root, paths))
        names = image_list.names
        require_images(root, names)
    everything = _plan(root, names, out, generator, shard_size, image_list, reading, tiling)
    images = ImageRoot(root.resolve(), reading, tiling)
    index, count = execution.part
    shards = everything[index::count]
    result = Result(sum(len(shard.names) for shard in shards))
    waiting = []
    for shard in shards:
        store = shard.read()
        if store is None or (execution.retry and store.header['failures']):
            waiting.append(shard)
        else:
            result.add(len(shard.names), dict(store.header['failures']))
    try:
        out.mkdir(parents=True, exist_ok=True)
        remove_leftovers(out, 'shard-', age=3600)
        with _watching(waiting, result, on_progress):
            tasks = [(shard, images, generator, execution.timeout) for shard in waiting]
            found = run_tasks(search_shard, tasks, execution.jobs, backend=execution.backend, address=execution.address)
        for shard, failures in zip(waiting, found, strict=True):
            result.add(len(shard.names), failures)
        on_progress(result)
        headers = [ProposalStore(shard.path).header for shard in shards]
        result.met = join(*(header.get('met', {}) for header in headers))
        result.several_frames = sum(header.get('several_frames', 0) for header in headers)
        _write_failures(out / FAILURES, everything, shards, result.failures)
    except OSError as error:
        raise UserError(f'{reason(error)}; mend that and start again: finished shards are kept') from None
    if shards and not result.searched:
        name, why = next(iter(result.failures.items()))
        raise UserError(f'none of the {result.total} images in {images.folder} could be read; the first: {name}: {why}')
    return result


def _plan(
    root: Path,
    names: Sequence[str],
    out: Path,
    generator: Generator,
    shard_size: int | None,
    image_list: ImageList | None,
    reading: Reading,
    tiling: Tiling | None,
) -> list[Shard]:
    """All shards of a search; refuses a folder that has shards of another."""
    header = {
        'kind': 'raw',
        'root': str(root.resolve()),
        # As it is read again: JSON has no tuples.
        'generator': json.loads(json.dumps(generator.describe())),
        'list': None if image_list is None else image_list.describe(),
        **links_entry(root, names),
        **reading.describe(),
    }
    if tiling is not None:
        header['tiles'] = tiling.describe()
        names = _tiles(root, names, tiling)
    size = shard_size or default_shard_size(len(names))
    chunks = [tuple(names[i : i + size]) for i in range(0, len(names), size)]
    shards = []
    for i, chunk in enumerate(chunks):
        about = {
            'pictures': len(chunk),  # as files have it from the beginning
            'first': chunk[0],
            'last': chunk[-1],
            'names': hashlib.sha256('\n'.join(chunk).encode()).hexdigest(),
        }
        shards.append(Shard(out / f'shard-{i:05d}-of-{len(chunks):05d}.arrow', chunk, {**header, **about}))
    strangers = {path.name for path in out.glob('shard-*.arrow')} - {shard.path.name for shard in shards}
    if strangers:
        raise UserError(
            f'{out} holds shards of another search ({min(strangers)}): of more or fewer images, or of another size; '
            'name another folder, or delete this one'
        )
    return shards


def _tiles(root: Path, names: Sequence[str], tiling: Tiling) -> list[str]:
    """The tiles of all images; one that cannot be read keeps its name, under which it will fail."""

    def tiles(name: str) -> list[str]:
        if split_name(name)[1] is not None:
            raise UserError(f'{root} has an image called {name}, as a tile would be; rename it')
        try:
            return tiling.names(name, *image_size(root / name))
        except UnreadableImage:
            return [name]

    # Headers are waited for, not computed.
    with ThreadPoolExecutor(8) as pool:
        return [tile for found in pool.map(tiles, names) for tile in found]


@contextmanager
def _watching(
    waiting: Sequence[Shard], before: Result, on_progress: Callable[[Result], None], every: float = 0.5
) -> Iterator[None]:
    """Report shards as their files appear, whichever backend or machine writes them.

    Args:
        before: What is done already.
        every: Seconds between two looks.
    """
    seen = Result(before.total, before.done, dict(before.failures))
    on_progress(seen)
    if not waiting:
        yield
        return
    shards = {shard.path.name: shard for shard in waiting}
    end = threading.Event()

    def files() -> dict[str, int]:
        # A file that is written again is another one to the file system.
        with os.scandir(waiting[0].path.parent) as entries:
            return {entry.name: entry.inode() for entry in entries if entry.name in shards}

    at_first = files()

    def watch() -> None:
        while not end.wait(every):
            # Only a report: what cannot be read now is in the result all the same.
            with suppress(UserError, OSError):
                for name in [name for name, inode in files().items() if at_first.get(name) != inode]:
                    shard = shards.pop(name)
                    seen.add(len(shard.names), dict(ProposalStore.open(shard.path).header['failures']))
                    on_progress(seen)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()


def _write_failures(path: Path, everything: Sequence[Shard], own: Sequence[Shard], failures: Mapping[str, str]) -> None:
    """Write all failures that are known: of the own shards as given, of others as their files say."""
    failures = dict(failures)
    known = {shard.path for shard in own}
    for shard in everything:
        if shard.path not in known and shard.path.exists():
            failures.update(ProposalStore.open(shard.path).header['failures'])
    with atomic_path(path) as temporary, temporary.open('w', newline='', encoding='utf-8') as file:
        writer = csv.writer(file)
        writer.writerow(('file_name', 'reason'))
        writer.writerows((name, failures[name]) for shard in everything for name in shard.names if name in failures)
