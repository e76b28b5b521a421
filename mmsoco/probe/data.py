"""What is shown to a network that is probed: always the same images, views and boxes."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mmsoco.boxes import iou
from mmsoco.datasets import ProposalDataset
from mmsoco.datasets.steps import in_order
from mmsoco.datasets.transforms.views import Region, map_boxes, resample
from mmsoco.errors import UserError
from mmsoco.images.decoding import UnreadableImage, read_image
from mmsoco.images.finding import list_images
from mmsoco.images.names import FolderNames
from mmsoco.images.reading import Reading
from mmsoco.proposals.checks import check_sizes
from mmsoco.proposals.formats.coco import read_labelled
from mmsoco.proposals.store import ProposalStore

BATCH = 16


@dataclass
class MatchedViews:
    """Two views of images, and the boxes that match across them.

    Attributes:
        views: The two, each (P, size, size, C) uint8.
        boxes: Of the two, each (P, K, 4) xyxy in view pixels.
        distinct: (P, K) bool, False for the copies of a box.
        asks: (P,) bool, True for held-out images: of the others, boxes are only there
            to be mistaken for.
    """

    views: tuple[Tensor, Tensor]
    boxes: tuple[Tensor, Tensor]
    distinct: Tensor
    asks: Tensor

    def batches(self, view: int) -> Iterator[tuple[Tensor, Tensor]]:
        """(view, boxes) of some images at a time."""
        yield from zip(self.views[view].split(BATCH), self.boxes[view].split(BATCH), strict=True)


def first_view_size(dataset: dict) -> int:
    """Side of the first view of a pretraining's data set, in pixels."""
    views = next(step['views'] for step in in_order(dataset['pipeline']) if 'views' in step)
    return in_order(views)[0]['size']


def reading_of(proposal_file: str | os.PathLike) -> Reading:
    """How the images of a proposal file are read.

    Raises:
        UserError: There is no such file.
    """
    return Reading.of(ProposalStore(proposal_file).header)


def probe_pipeline(size: int, num_proposals: int, channels: int = 3) -> list[dict]:
    """The steps from an image to two views: the paper's V1 and V2 (section 3.2), at one size.

    Always these, also where a recipe trains with others, so that figures compare; of other
    channels than RGB with the colour's counterpart. Boxes are thinned first: the box to find is
    then one that no other lies on.
    """
    flip = dict(type='HorizontalFlip')
    colour = [dict(type='ColorJitter'), dict(type='Grayscale')] if channels == 3 else [dict(type='ChannelJitter')]
    views = [
        dict(name='v1', size=size, augment=[flip, *colour, dict(type='GaussianBlur', prob=1.0)]),
        dict(
            name='v2',
            source='v1',
            crop=dict(scale=(0.5, 1.0), ratio=(3 / 4, 4 / 3)),
            size=size,
            augment=[flip, *colour, dict(type='GaussianBlur', prob=0.1), dict(type='Solarize')],
        ),
    ]
    steps = [
        dict(type='LoadImage'),
        dict(type='Thin', max_overlap=0.5),
        dict(
            type='MultiViewProposalPipeline',
            views=views,
            pairs=[('v1', 'v2')],
            num_proposals=num_proposals,
            min_side=size / 28,  # 8 px at 224: less is a sliver left by the crop
        ),
        dict(type='PackViews'),
    ]
    for step in [*steps, *views[0]['augment'], *views[1]['augment']]:
        step['_scope_'] = 'mmsoco'
    return steps


def matched_views(
    proposal_file: str | os.PathLike,
    data_root: str | os.PathLike | None = None,
    held_out: int | str | None = None,
    size: int = 224,
    boxes: int = 2000,
    num_proposals: int = 20,
    seed: int = 0,
    follow_links: bool = False,
) -> MatchedViews:
    """Views of held-out images and, until there are enough boxes, of others.

    Args:
        proposal_file: The proposals of the images.
        held_out: Which are held out, see :class:`~mmsoco.datasets.ProposalDataset`; None
            for all of the file.
        size: Side of the views, in pixels.
        boxes: Boxes that there should be at least, to tell one from.
        num_proposals: Boxes taken of an image at most.
        follow_links: See :class:`~mmsoco.datasets.ProposalDataset`.

    Raises:
        UserError: The file holds no image that is held out.
    """
    part = 'training' if held_out is None else 'held_out'
    channels = reading_of(proposal_file).channels
    options = dict(
        data_root=data_root,
        pipeline=probe_pipeline(size, num_proposals, channels),
        seed=seed,
        held_out=held_out,
        follow_links=follow_links,
        channels=channels,
    )
    asking = ProposalDataset(proposal_file, part=part, **options)
    others = ProposalDataset(proposal_file, part='training', **options) if held_out is not None else ()
    generator = np.random.default_rng(seed)
    # In random order: neighbours in a file are often alike. As many as give the boxes, held-out ones first.
    order = [(asking, i, True) for i in generator.permutation(len(asking))]
    order += [(others, i, False) for i in generator.permutation(len(others))]
    samples, asks, count = [], [], 0
    for data, index, question in order:
        if count >= boxes:
            break
        samples.append(data[0, int(index)])
        asks.append(question)
        count += max(_distinct(samples[-1]), 1)
    known = torch.tensor([max(_distinct(sample), 1) for sample in samples])

    views = [np.stack([sample['inputs'][name] for sample in samples]) for name in ('v1', 'v2')]
    (box_set,) = samples[0]['matches']
    rows = [np.stack([sample['boxes'][name][box_set] for sample in samples]) for name in ('v1', 'v2')]
    return MatchedViews(
        tuple(map(torch.from_numpy, views)),
        tuple(map(torch.from_numpy, rows)),
        torch.arange(num_proposals) < known[:, None],
        torch.tensor(asks),
    )


def _distinct(sample: dict) -> int:
    """How many of a sample's boxes differ."""
    ((count,),) = (pairs.values() for pairs in sample['matches'].values())
    return count


@dataclass
class LabelledBoxes:
    """Whole images with labelled boxes.

    Attributes:
        views: (P, size, size, C) uint8.
        boxes: For each image (N, 4) xyxy in view pixels.
        labels: For each image (N,) int64, 0 for background.
        teaches: (P,) bool; the boxes of the other images are asked for.
    """

    views: Tensor
    boxes: list[Tensor]
    labels: list[Tensor]
    teaches: Tensor


@dataclass
class LabelledImages:
    """Whole images of known classes.

    Attributes:
        views: (P, size, size, C) uint8.
        labels: (P,) int64.
        teaches: (P,) bool; the others are asked for.
    """

    views: Tensor
    labels: Tensor
    teaches: Tensor


def labelled_boxes(
    labels: str | os.PathLike,
    root: str | os.PathLike,
    size: int = 224,
    images: int = 200,
    seed: int = 0,
    reading: Reading = Reading(),
) -> LabelledBoxes:
    """Labelled objects of COCO annotations, and as many boxes of background.

    A box of background has the sides of an object of its image, and overlaps
    no object by an IoU of 0.3 or more.

    Args:
        labels: COCO JSON.
        root: Folder of its images.
        images: At most so many are taken.
        reading: How they are read.

    Raises:
        UserError: The file is no such JSON, has not two images with boxes, or its
            images are not there.
    """
    categories, entries = read_labelled(Path(labels))
    entries = {entry.name: entry for entry in entries if len(entry.boxes)}
    if len(entries) < 2:
        raise UserError(f'{labels} has not two images with labelled boxes; give COCO annotations of more')
    numbers = {kind: i + 1 for i, kind in enumerate(categories)}
    for kind in (kind for entry in entries.values() for kind in entry.labels):
        if kind not in numbers:
            raise UserError(f'{labels} has a box of category {kind}, which its categories lack; add it there')
    rng = np.random.default_rng(seed)
    folder = FolderNames(root)
    views, boxes, targets = [], [], []
    for name in rng.permutation(sorted(entries))[:images].tolist():
        found = folder.find(name, *entries[name].also)
        if found is None:
            raise UserError(
                f'{labels} names the image {name!r}, which is not in {root}; give the folder that holds its images'
            )
        image = _read(Path(root, found), reading, labels)
        height, width = image.shape[:2]
        if entries[name].size is not None:
            check_sizes({name: entries[name].size}, {name: (width, height)}, root, labels)
        objects, kinds = entries[name].boxes, entries[name].labels
        empty = background_boxes(objects, width, height, rng)
        whole = Region(0, 0, width, height)
        views.append(resample(image, whole, size))
        boxes.append(torch.from_numpy(map_boxes(np.concatenate([objects, empty]).astype(np.float32), whole, size)))
        targets.append(torch.tensor([*(numbers[kind] for kind in kinds), *[0] * len(empty)]))
    return LabelledBoxes(torch.from_numpy(np.stack(views)), boxes, targets, torch.arange(len(views)) % 2 == 0)


def background_boxes(objects: np.ndarray, width: int, height: int, rng: np.random.Generator) -> np.ndarray:
    """For each of (N, 4) objects a box of its sides at another place, where one is found in 20 tries."""
    found = [np.empty((0, 4))]
    for box in objects:
        sides = box[2:] - box[:2]
        for _ in range(20):
            corner = rng.uniform(0, np.maximum([width, height] - sides, 0))
            candidate = np.concatenate([corner, corner + sides])[None]
            if iou(candidate, objects).max() < 0.3:
                found.append(candidate)
                break
    return np.concatenate(found)


def labelled_images(
    root: str | os.PathLike, size: int = 224, each: int = 20, seed: int = 0, reading: Reading = Reading()
) -> LabelledImages:
    """Images of a folder that has a subfolder for each class.

    Args:
        each: At most so many of a class are taken, half of them to teach.
        reading: How they are read.

    Raises:
        UserError: There are not two classes of two images.
    """
    by_class: dict[str, list[str]] = {}
    for name in list_images(root):
        if '/' in name:
            by_class.setdefault(name.split('/')[0], []).append(name)
    by_class = {kind: names for kind, names in by_class.items() if len(names) > 1}
    if len(by_class) < 2:
        raise UserError(f'{root} has not two subfolders of two images; give a folder with a subfolder for each class')
    rng = np.random.default_rng(seed)
    views, labels, teaches = [], [], []
    for label, names in enumerate(by_class.values()):
        for i, name in enumerate(rng.permutation(names)[:each].tolist()):
            image = _read(Path(root, name), reading, root)
            views.append(resample(image, Region(0, 0, image.shape[1], image.shape[0]), size))
            labels.append(label)
            teaches.append(i % 2 == 0)
    return LabelledImages(torch.from_numpy(np.stack(views)), torch.tensor(labels), torch.tensor(teaches))


def _read(path: Path, reading: Reading, source: str | os.PathLike) -> np.ndarray:
    try:
        return read_image(path, reading)
    except UnreadableImage as error:
        raise UserError(f'{source}: {error}; give the folder that holds its images, all readable') from None
