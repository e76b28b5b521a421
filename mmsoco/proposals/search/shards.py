"""A shard: some images, and the file of their raw proposals. It is what a worker does at a time."""

import threading
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import cv2

import mmsoco
from mmsoco.boxes import inside
from mmsoco.errors import UserError, reason
from mmsoco.images.channels import to_triple
from mmsoco.images.decoding import UnreadableImage
from mmsoco.images.root import ImageRoot
from mmsoco.images.values import Met, join, summarise
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
        # How images are read is not said where it is as usual.
        for key in (*self.header, 'reading', 'tiles'):
            value, there = self.header.get(key), store.header.get(key)
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


class Searched(NamedTuple):
    """What a search made of an image.

    Attributes:
        row: Its row, or the reason why it has none.
        met, frames: See :class:`~mmsoco.images.decoding.Image`.
    """

    row: ProposalRow | str
    met: Met | None = None
    frames: int = 1


def search_image(images: ImageRoot, generator: Generator, name: str) -> Searched:
    """Propose boxes for an image or a tile."""
    try:
        image = images.load(name)
        boxes = generator.propose(to_triple(image.pixels, images.reading.triple), name)
    except UnreadableImage as error:
        return Searched(error.reason)
    except cv2.error as error:
        return Searched(f'OpenCV: {error.err}')
    except MemoryError:
        return Searched('needs more memory than there is')
    except Exception as error:
        # Whatever it is, the other images are not to suffer from it.
        return Searched(reason(error))
    height, width = image.pixels.shape[:2]
    good = inside(boxes, width, height)
    if not good.all():
        return Searched(f'its generator proposes {boxes[good.argmin()].tolist()}, no box of the image')
    return Searched(ProposalRow(name, width, height, boxes), image.met, image.frames)


def search_shard(shard: Shard, images: ImageRoot, generator: Generator, timeout: float | None) -> dict[str, str]:
    """Propose boxes for a shard's images and write its file.

    Images that the file has already are not searched again. One that hangs, or
    kills the process that searches it, fails alone.

    Returns:
        File name -> reason, of the images that failed.

    Raises:
        UserError: The file is of another search, or altered.
    """
    search = _isolated(images, generator)
    store = shard.read()
    known = {} if store is None else {row.file_name: row for row in store.verify()}
    before = {} if store is None else store.header
    rows, failures, found = [], {}, []
    for name in shard.names:
        if name in known:
            rows.append(known[name])
            continue
        try:
            result = search(name, timeout=timeout)
        except Lost as error:
            result = Searched(str(error))
        if isinstance(result.row, str):
            failures[name] = result.row
        else:
            rows.append(result.row)
            found.append(result)
    header = {**shard.header, 'mmsoco': mmsoco.__version__, 'failures': list(failures.items())}
    # Only what there was, so that shards of plain images stay as they were.
    if met := join(before.get('met', {}), summarise(one.met for one in found if one.met is not None)):
        header['met'] = met
    if frames := before.get('several_frames', 0) + sum(one.frames > 1 for one in found):
        header['several_frames'] = frames
    write_proposals(shard.path, rows, header)
    return failures


# A worker keeps its child for the next shard; a cluster's worker may have several threads.
_kept = threading.local()


def _isolated(images: ImageRoot, generator: Generator) -> Isolated:
    if getattr(_kept, 'key', None) != (images, generator):
        if hasattr(_kept, 'search'):
            _kept.search.close()
        _kept.key, _kept.search = (images, generator), Isolated(partial(search_image, images, generator))
    return _kept.search
