"""Images and their proposals, without labels."""

import hashlib
import logging
import math
import multiprocessing
import os
from collections.abc import Sequence
from itertools import groupby, islice
from pathlib import Path

import numpy as np
from mmengine.dist import get_world_size
from mmengine.logging import print_log
from torch.utils.data import Dataset, get_worker_info

from mmsoco.datasets.bad_images import BadImages
from mmsoco.datasets.randomness import apply
from mmsoco.datasets.steps import Steps, in_order
from mmsoco.errors import UserError
from mmsoco.images.decoding import UnreadableImage
from mmsoco.images.lists import locate, read_list
from mmsoco.images.names import Names
from mmsoco.images.reading import Reading
from mmsoco.images.root import ImageRoot
from mmsoco.proposals.checks import check_images, root_of
from mmsoco.proposals.store import ProposalStore
from mmsoco.registry import DATASETS, TRANSFORMS

#: CV_CN_MAX: with more, some functions return something else without a word.
CV_CHANNELS = 512
#: Workers of a loader whose image is known when they hang; of more, it is not.
WORKERS = 1024


class TooManyBadImages(UserError):
    """More images of an epoch could not be read than the configured bound allows."""


def select_rows(store: ProposalStore, held_out: int | str | os.PathLike | None, wanted: bool) -> Sequence[int]:
    """Numbers of the rows that are held out (``wanted``), or of the others.

    Raises:
        UserError: There are none, or an image of the list is not in the file.
    """
    images = ImageRoot.of(store.header, '')
    # All tiles of an image are held out together: they overlap.
    if held_out is None:
        chosen = set()
    elif isinstance(held_out, int):
        if held_out < 2:
            raise UserError(f'held_out={held_out} would leave nothing to train on; hold out every 20th, for instance')
        by_image = groupby(enumerate(store.names()), key=lambda numbered: images.image_of(numbered[1]))
        every_nth = islice(by_image, 0, None, held_out)
        # Those of an image lie together, as they were searched.
        chosen = {i for _, tiles in every_nth for i, _ in tiles}
    else:
        theirs = Names(images.images_of(store.names()), store.header.get('root'))
        names = set(locate(read_list(held_out), theirs).names)
        found = {i: name for i, row in enumerate(store) if (name := images.image_of(row.file_name)) in names}
        chosen = set(found)
        lacking = names - set(found.values())
        if lacking:
            raise UserError(
                f'{store.path} lacks {len(lacking)} of the {len(names)} images that {held_out} holds out, first '
                f'{min(lacking)}; take it off the list, or filter proposals that have it'
            )
    if not chosen and not wanted:
        return range(len(store))
    rows = np.array([i for i in range(len(store)) if (i in chosen) == wanted], np.int64)
    if not len(rows):
        part = 'hold out' if wanted else 'train on'
        what = 'tiles' if images.tiling else 'images'
        raise UserError(f'held_out={held_out} leaves none of the {len(store)} {what} of {store.path} to {part}')
    return rows


def require_channels(store: ProposalStore, channels: int) -> None:
    """Refuse a proposal file whose images are read as other channels than a config says.

    Raises:
        UserError: With both numbers.
    """
    there = Reading.of(store.header).channels
    if there != channels:
        raise UserError(
            f'{store.path} is of images of {there} channels, the config of {channels}; set '
            f'train_dataloader.dataset.channels={there} and as many of the backbone '
            f'(model.backbone.in_channels={there}), or search again with --channels {channels}'
        )
    if channels > CV_CHANNELS:
        raise UserError(f'{channels} channels are more than OpenCV takes; choose up to {CV_CHANNELS} of them')


@DATASETS.register_module()
class ProposalDataset(Dataset):
    """Images plus a proposal file.

    A sample is asked for by (epoch, index). All its randomness comes from one
    generator made from (seed, epoch, index) and handed to the transforms as
    ``results['rng']``: a sample is the same in any worker of any process.

    An image that cannot be read is replaced by another one, drawn from that
    same generator, and logged; ``bad_images`` knows them.

    Args:
        proposal_file: What ``data_pipelines/filter_proposals.py`` wrote.
        data_root: Folder of the images; by default the one that the proposal
            file names.
        pipeline: Configs of transforms, in a list or a dict of named ones. The first one
            gets ``img_path``, ``window`` (x, y, width and height of a tile, else None),
            ``reading``, ``index`` (the row in the file), ``width``, ``height`` as
            recorded, ``proposals`` (N, 4) float32 xyxy in pixels, ``rng``, and ``least_side``, what
            the second one says that sides of images must have. All chance comes from ``rng``.
        seed: Seed of the samples.
        max_bad: Fraction of an epoch's images that may be unreadable, each counted once,
            but at least ``min_bad`` images are allowed. Each process applies the
            fraction to its share of the epoch.
        checked: How many images are compared with the file at the start.
        held_out: Images that are not trained on, for
            :class:`~mmsoco.engine.hooks.ProbeHook` to measure on: every n-th from the first on,
            or those that a list names (a path), with all of their tiles; None for none.
        part: ``'training'``, or ``'held_out'`` for those images alone.
        follow_links: Follow links that lead out of the folder also where the proposals
            were not made over them.
        channels: Those that the images are read as; the proposal file has to say the same.

    Raises:
        UserError: The proposal file is missing, not one, altered, or of other
            images or channels; or ``held_out`` leaves no image in the part.
    """

    PARTS = ('training', 'held_out')
    #: First samples of each worker in which each transform is watched for global randomness, which takes some ms.
    WATCHED = 100

    def __init__(
        self,
        proposal_file: str | os.PathLike,
        pipeline: Steps,
        data_root: str | os.PathLike | None = None,
        seed: int = 0,
        max_bad: float = 0.001,
        min_bad: int = 10,
        checked: int = 16,
        held_out: int | str | os.PathLike | None = None,
        part: str = 'training',
        follow_links: bool = False,
        channels: int = 3,
    ):
        self.store = ProposalStore.open(proposal_file).verify()
        require_channels(self.store, channels)
        self.data_root = Path(root_of(self.store, data_root))
        self.images = ImageRoot.of(self.store.header, self.data_root)
        check_images(self.store, self.data_root, checked, follow_links)
        if part not in self.PARTS:
            raise UserError(f"part '{part}' of the data set is unknown; choose one of {', '.join(self.PARTS)}")
        self.rows = select_rows(self.store, held_out, part == 'held_out')
        self.pipeline = [TRANSFORMS.build(step) for step in in_order(pipeline)]
        # Only of an image that becomes views at once: other transforms would not know of smaller ones.
        self._least_side = getattr(self.pipeline[1], 'least_side', None) if len(self.pipeline) > 1 else None
        self._seen = 0
        self.seed = seed
        self.max_bad = max(min_bad, math.ceil(max_bad * len(self.rows) / get_world_size()))
        self.bad_images = BadImages(len(self.store))
        # Worker -> the row it reads, from 1 on; 0 between two samples.
        self._reading = multiprocessing.RawArray('q', WORKERS)

    @classmethod
    def prepare(cls, options: dict, seed: int) -> None:
        """What :func:`mmsoco.engine.launch.train` calls before anything is written.

        Args:
            options: Config of the data set; it is given the run's seed, for samples.

        Raises:
            UserError: As the constructor would, at little cost.
        """
        store = ProposalStore.open(options['proposal_file'])
        require_channels(store, options.get('channels', 3))
        root = root_of(store, options.get('data_root'))
        check_images(store, root, follow_links=options.get('follow_links', False))
        select_rows(store, options.get('held_out'), wanted=False)
        options['seed'] = seed

    @classmethod
    def identify(cls, options: dict) -> dict:
        """What a data set of these options holds, wherever its files are: content -> checksum, and ``images``."""
        store = ProposalStore.open(options['proposal_file'])
        rows = select_rows(store, options.get('held_out'), options.get('part') == 'held_out')
        found = {'content of proposal_file': store.header.get('checksum'), 'images': len(rows)}
        if len(rows) != len(store):
            found['content of held_out'] = hashlib.sha256(np.asarray(rows, np.int64)).hexdigest()
        return found

    @property
    def metainfo(self) -> dict:
        """Where the proposals came from; goes into checkpoints."""
        keys = ('root', 'list', 'reading', 'tiles', 'generator', 'filter', 'checksum', 'count')
        return {key: self.store.header.get(key) for key in keys}

    def describe(self) -> dict:
        """How the images are read, and what is shown of them, as the pipeline's steps say it; goes into checkpoints.

        ``deep`` says whether some have samples of more than 8 bits, which other ways to read scale otherwise.
        """
        described = [step.describe() for step in self.pipeline if hasattr(step, 'describe')]
        shown = {key: value for words in described for key, value in words.items()}
        return {**self.images.reading.describe(), 'deep': bool(self.store.header.get('met')), **shown}

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: tuple[int, int]) -> dict:
        """The sample of (epoch, index), as the pipeline's last transform leaves it.

        Raises:
            TooManyBadImages: See ``max_bad``.
            UserError: A transform draws from a global generator.
        """
        epoch, index = key
        worker = get_worker_info()
        slot = 0 if worker is None else worker.id % WORKERS
        rng = np.random.default_rng([self.seed, epoch, index])
        while True:
            number = int(self.rows[index])
            self._reading[slot] = number + 1
            row = self.store[number]
            path, window = self.images.place(row.file_name)
            results = {
                'img_path': path,
                'window': window,
                'reading': self.images.reading,
                'index': number,
                'width': row.width,
                'height': row.height,
                'proposals': row.boxes.astype(np.float32),
                'rng': rng,
                'least_side': self._least_side,
            }
            try:
                results = self._run_pipeline(results)
            except UnreadableImage as error:
                self._count_bad(number, epoch + 1, row.file_name, str(error))
                index = int(rng.integers(len(self)))
            else:
                self._reading[slot] = 0
                return results

    def being_read(self) -> list[str]:
        """Paths of the images that workers are at: after a while, of those that they do not come back from."""
        return [self.images.place(self.store[number - 1].file_name).path for number in self._reading if number]

    def _run_pipeline(self, results: dict) -> dict:
        # Handed on to the transforms of views.
        watched = results['watched'] = self._seen < self.WATCHED
        self._seen += 1
        for step in self.pipeline:
            results = apply(step, results, watched)
        return results

    def _count_bad(self, number: int, epoch: int, file_name: str, reason: str) -> None:
        count = self.bad_images.add(number, epoch, file_name, reason)
        if not count:
            return
        # As an error: of processes other than the first, mmengine shows nothing less.
        print_log(f'Replaced by another image ({count} in epoch {epoch}): {reason}', 'current', logging.ERROR)
        if count > self.max_bad:
            raise TooManyBadImages(
                f'{count} images of epoch {epoch} could not be read, more than the {self.max_bad} allowed '
                f'(max_bad of the data set); mend them, or raise it; the last: {reason}'
            )
        # Of a small data set all may be gone before that, and none is left to take the place.
        if count >= len(self):
            raise TooManyBadImages(f'none of the {count} images could be read; mend them; the last: {reason}')
