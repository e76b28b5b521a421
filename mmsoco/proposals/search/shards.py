"""A shard: some images, and the file of their raw proposals. It is what a worker does at a time."""

import threading
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2

import mmsoco
from mmsoco.boxes import inside
from mmsoco.errors import UserError, reason
from mmsoco.images.decoding import UnreadableImage, read_image
from mmsoco.proposals.generators.base import Generator
from mmsoco.proposals.search.isolation import Isolated, Lost
from mmsoco.proposals.store import ProposalRow, ProposalStore, write_proposals


@dataclass(frozen=True)
class Shard:
    """Some images, and the file of their proposals.

    Args:
        path: The file.
        names: The images.
        header: What the file says of itself; another search has another one.
    """

    path: Path
    names: tuple[str, ...]
    header: dict

    def read(self) -> ProposalStore | None:
        """What is there already, None where nothing is.

        Raises:
            UserError: It is no proposal file, altered, or of another search.
        """
        if not self.path.exists():
            return None
        try:
            store = ProposalStore.open(self.path)
        except UserError as error:
            raise UserError(f'{error}; delete this shard and start again') from None
        for key, value in self.header.items():
            there = store.header.get(key)
            # Shards of earlier versions do not name links.
            if there == value or (key == 'links' and there is None):
                continue
            if isinstance(there, dict) and isinstance(value, dict):
                part = next(k for k in {**there, **value} if there.get(k) != value.get(k))
                key, there, value = f'{key}.{part}', there.get(part), value.get(part)
            raise UserError(
                f'{self.path} was made with {key} = {there}, now it is {value}; name another folder, or delete this one'
            )
        return store


def search_image(root: Path, generator: Generator, name: str) -> ProposalRow | str:
    """An image's row, or the reason why it has none."""
    try:
        image = read_image(root / name)
        height, width = image.shape[:2]
        boxes = generator.propose(image, name)
        good = inside(boxes, width, height)
        if not good.all():
            return f'its generator proposes {boxes[good.argmin()].tolist()}, no box of the image'
        return ProposalRow(name, width, height, boxes)
    except UnreadableImage as error:
        return error.reason
    except cv2.error as error:
        return f'OpenCV: {error.err}'
    except MemoryError:
        return 'needs more memory than there is'
    except Exception as error:
        # Whatever it is, the other images are not to suffer from it.
        return reason(error)


def search_shard(shard: Shard, root: Path, generator: Generator, timeout: float | None) -> dict[str, str]:
    """Propose boxes for a shard's images and write its file.

    Images that the file has already are not searched again. One that hangs, or
    kills the process that searches it, fails alone.

    Returns:
        File name -> reason, of the images that failed.

    Raises:
        UserError: The file is of another search, or altered.
    """
    search = _isolated(root, generator)
    store = shard.read()
    known = {} if store is None else {row.file_name: row for row in store.verify()}
    rows, failures = [], {}
    for name in shard.names:
        try:
            result = known.get(name) or search(name, timeout=timeout)
        except Lost as error:
            result = str(error)
        if isinstance(result, str):
            failures[name] = result
        else:
            rows.append(result)
    header = {**shard.header, 'mmsoco': mmsoco.__version__, 'failures': list(failures.items())}
    write_proposals(shard.path, rows, header)
    return failures


# A worker keeps its child for the next shard; a cluster's worker may have several threads.
_kept = threading.local()


def _isolated(root: Path, generator: Generator) -> Isolated:
    if getattr(_kept, 'key', None) != (root, generator):
        if hasattr(_kept, 'search'):
            _kept.search.close()
        _kept.key, _kept.search = (root, generator), Isolated(partial(search_image, root, generator))
    return _kept.search
