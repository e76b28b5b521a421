#!/usr/bin/env python
"""Speed of the loader's pipeline: the released way, by Pillow, and both of ours, batch by batch in turn on one core.

Ours changes colours in the loader, or leaves them to the device, for which it only draws how.

python tools/benchmarks/pipeline.py --images PHOTOS
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from unittest import mock

import cv2
import numpy as np
import torch
from clock import Clock, seconds_of, spread
from mmengine.config import Config
from mmengine.registry import init_default_scope
from photos import make_photo
from PIL import Image, ImageFilter, ImageOps
from torch.utils.data import default_collate
from torchvision.transforms import ColorJitter
from torchvision.transforms import functional as F

from mmsoco.arguments import positive
from mmsoco.datasets.proposal_dataset import ProposalDataset
from mmsoco.datasets.transforms import boxes as box_transforms
from mmsoco.datasets.transforms import formatting, photometric, views
from mmsoco.errors import command
from mmsoco.images.finding import list_images
from mmsoco.images.lists import read_list
from mmsoco.proposals.filters import ProposalFilter, filter_folder
from mmsoco.proposals.generators.random import RandomBoxes
from mmsoco.proposals.search.folder import search_folder
from mmsoco.registry import FUNCTIONS

#: The views that are timed.
PAPER = Path(__file__).parents[2] / 'configs/_base_/imagenet_3views.py'
#: Samples that are made one batch: so few that what else the machine does meets all ways alike.
BATCH = 16
PARTS = ('decode', 'resample', 'colour', 'blur', 'draw', 'boxes', 'batch', 'rest')
#: The released way, and ours by where colours are changed.
RELEASED, *OURS = WAYS = ('released', *views.MultiViewProposalPipeline.PHOTOMETRY)
#: Mean and deviation of ImageNet's channels, from 0 to 1.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Measure CPU time in turn. Takes some 2 minutes.')
    parser.add_argument('--images', metavar='FOLDER', help='photos (default: some are made, of 500x375)')
    parser.add_argument('--count', type=positive, default=100, help='images, at most (default 100)')
    parser.add_argument('--rounds', type=positive, default=7, help='each of another epoch (default 7)')
    parser.add_argument('--quick', action='store_true', help='8 images, 2 rounds: whether it runs')
    parser.add_argument('--json', action='store_true', help='print the figures as JSON')
    return parser.parse_args()


class Released:
    """The released code's loader, written again: Pillow's images, torchvision's colours, boxes in Python.

    The arithmetic is that of three resized crops of the decoded image, of which the third shows what the second does,
    as the paper has it; BYOL's augmentations; and float tensors, normalised in the loader.
    """

    def __init__(self, dataset: ProposalDataset, num_proposals: int = 4):
        self.dataset = dataset
        self.num_proposals = num_proposals
        self.jitter = ColorJitter(0.4, 0.4, 0.2, 0.1)
        self.on = cpu_clock()

    def __getitem__(self, key: tuple[int, int]) -> dict:
        epoch, index = key
        rng = np.random.default_rng([self.dataset.seed, epoch, index])
        row = self.dataset.store[index]
        with self.on.part('decode'), open(f'{self.dataset.data_root}/{row.file_name}', 'rb') as file:
            image = Image.open(file).convert('RGB')
        with self.on.part('boxes'):
            proposals = row.boxes.tolist()
            whole = (0, 0, *image.size)
            for _ in range(5):
                crop = random_crop(rng, *image.size)
                alive = [box for box in proposals if all(side > 0 for side in sides(in_view(box, crop, 224)))]
                if len(alive) >= self.num_proposals // 2:
                    break
            order = rng.permutation(len(alive))[: self.num_proposals]
            chosen = [alive[order[i % len(order)]] if len(order) else list(crop) for i in range(self.num_proposals)]
        made = {
            'v1': self._view(image, whole, 224, [self._jittered(in_view(b, whole, 224), rng) for b in chosen], rng, 1),
            'v2': self._view(image, crop, 224, [in_view(b, crop, 224) for b in chosen], rng, 0.1),
            'v3': self._view(image, crop, 112, [in_view(b, crop, 112) for b in chosen], rng, 0.1),
        }
        return {
            'inputs': {name: view for name, (view, _) in made.items()},
            'boxes': {name: boxes for name, (_, boxes) in made.items()},
            'images': index,
        }

    def _view(
        self,
        image: Image.Image,
        crop: tuple,
        size: int,
        boxes: list[list[float]],
        rng: np.random.Generator,
        blur: float,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        x1, y1, x2, y2 = crop
        with self.on.part('resample'):
            view = F.resized_crop(image, y1, x1, y2 - y1, x2 - x1, [size, size], F.InterpolationMode.BILINEAR)
        if rng.random() < 0.5:
            with self.on.part('boxes'):
                view = F.hflip(view)
                boxes = [[size - x2, y1, size - x1, y2] for x1, y1, x2, y2 in boxes]
        with self.on.part('colour'):
            if rng.random() < 0.8:
                view = self.jitter(view)
            if rng.random() < 0.2:
                view = F.to_grayscale(view, 3)
        if rng.random() < blur:
            with self.on.part('blur'):
                view = view.filter(ImageFilter.GaussianBlur(rng.uniform(0.1, 2.0)))
        if blur < 1 and rng.random() < 0.2:
            with self.on.part('colour'):
                view = ImageOps.solarize(view)
        with self.on.part('batch'):
            return F.normalize(F.to_tensor(view), MEAN, STD), torch.tensor(boxes)

    @staticmethod
    def _jittered(box: list[float], rng: np.random.Generator) -> list[float]:
        if rng.random() >= 0.5:
            return box
        r = rng.uniform(-0.1, 0.1, 4).tolist()
        w, h = sides(box)
        x, y = (box[0] + box[2]) / 2 + r[0] * w, (box[1] + box[3]) / 2 + r[1] * h
        w, h = w * (1 + r[2]), h * (1 + r[3])
        return [min(max(edge, 0), 224) for edge in (x - w / 2, y - h / 2, x + w / 2, y + h / 2)]


def random_crop(rng: np.random.Generator, width: int, height: int) -> tuple[int, int, int, int]:
    """As torchvision's RandomResizedCrop; area and ratio are meant in the square view 1."""
    for _ in range(10):
        area = rng.uniform(0.5, 1.0)
        ratio = np.exp(rng.uniform(np.log(3 / 4), np.log(4 / 3)))
        w, h = round(width * np.sqrt(area * ratio)), round(height * np.sqrt(area / ratio))
        if w <= width and h <= height:
            x, y = rng.integers(0, width - w + 1), rng.integers(0, height - h + 1)
            return int(x), int(y), int(x + w), int(y + h)
    return 0, 0, width, height


def in_view(box: list[float], crop: tuple, size: int) -> list[float]:
    x1, y1, x2, y2 = crop
    scale = size / (x2 - x1), size / (y2 - y1)
    return [min(max((edge - crop[i % 2]) * scale[i % 2], 0), size) for i, edge in enumerate(box)]


def sides(box: list[float]) -> tuple[float, float]:
    return box[2] - box[0], box[3] - box[1]


def cpu_clock() -> Clock:
    """Of this process' CPU time, as others use the machine, too."""
    return Clock('cpu', time.process_time)


def watch(on: Clock) -> ExitStack:
    """Time the parts of ours, until the stack is closed."""
    stack = ExitStack()

    def wrap(owner: object, name: str, part: str) -> None:
        stack.enter_context(mock.patch.object(owner, name, on.timed(getattr(owner, name), part)))

    wrap(formatting.LoadImage, 'transform', 'decode')
    for name in ('resample', 'halve'):
        wrap(views, name, 'resample')
    for kind in (photometric.ColorJitter, photometric.Grayscale, photometric.Solarize):
        wrap(kind, 'apply', 'colour')
    wrap(photometric.GaussianBlur, 'apply', 'blur')
    for kind in photometric.BATCHED:
        wrap(kind, 'draw', 'draw')
    for kind in (box_transforms.BoxJitter, box_transforms.HorizontalFlip):
        wrap(kind, 'transform', 'boxes')
    for name in ('_place', '_match'):
        wrap(views.MultiViewProposalPipeline, name, 'boxes')
    return stack


def measure(makers: dict[str, object], collates: dict[str, Callable], count: int, epoch: int) -> dict[str, float]:
    """Seconds of this process for all images of an epoch, all makers in turn batch by batch, as a worker makes them."""
    seconds = dict.fromkeys(makers, 0.0)
    order = list(makers)
    for first in range(0, count, BATCH):
        order.reverse()
        for name in order:
            start = time.process_time()
            collates[name]([makers[name][epoch, index] for index in range(first, min(first + BATCH, count))])
            seconds[name] += time.process_time() - start
    return seconds


@command
def main() -> None:
    args = parse_args()
    count, rounds = (8, 2) if args.quick else (args.count, args.rounds)
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    loader = Config.fromfile(PAPER).train_dataloader
    init_default_scope('mmsoco')
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        photos = Path(args.images or out).resolve()
        if not args.images:
            rng = np.random.default_rng(0)
            for i in range(count):
                make_photo(rng, out / f'{i}.jpg')
        names = out / 'names.txt'
        names.write_text('\n'.join(list_images(photos)[:count]) + '\n')
        search_folder(photos, out / 'raw', RandomBoxes(), image_list=read_list(names))
        filter_folder(out / 'raw', out / 'proposals.arrow', ProposalFilter())
        makers = {way: our_way(loader.dataset.pipeline, out / 'proposals.arrow', way) for way in OURS}
        makers[RELEASED] = Released(makers['loader'])
        collates = {RELEASED: default_collate, **dict.fromkeys(OURS, collate_of(loader.collate_fn))}
        count = len(makers['loader'])
        measure(makers, collates, min(count, BATCH), 0)
        found = [measure(makers, collates, count, epoch) for epoch in range(1, rounds + 1)]
        parts = by_part(makers, collates, count, rounds)
        pixels = np.median([row.width * row.height for row in makers['loader'].store])
    report = {
        'images': count,
        'median_pixels': int(pixels),
        'rounds': rounds,
        'cores': os.cpu_count(),
        'ms': {way: spread([1000 * each[way] / count for each in found]) for way in WAYS},
        'ratio': {way: spread([each[RELEASED] / each[way] for each in found]) for way in OURS},
        'parts_ms': parts,
    }
    print(json.dumps(report, indent=1) if args.json else in_words(report))


def collate_of(config: dict) -> Callable:
    """As mmengine's Runner builds it."""
    return default_collate if config.type == 'default_collate' else FUNCTIONS.get(config.type)


def our_way(pipeline: dict, proposals: Path, photometry: str) -> ProposalDataset:
    """The data set of a config's pipeline, with colours changed in one of the two places."""
    steps = {**pipeline, 'multi_view': {**pipeline['multi_view'], 'photometry': photometry}}
    dataset = ProposalDataset(proposals, steps)
    dataset.WATCHED = 0  # the first samples are watched, and take longer
    return dataset


def by_part(makers: dict, collates: dict, count: int, rounds: int) -> dict[str, dict[str, float]]:
    """Way -> milliseconds of an image by part, in rounds of their own: watches take time."""
    found: dict[str, list[dict]] = {way: [] for way in WAYS}
    for epoch in range(1, rounds + 1):
        for way in WAYS:
            on = makers[RELEASED].on = cpu_clock()
            watched = {way: on.timed(collates[way], 'batch')}
            with watch(on):
                total = measure({way: makers[way]}, watched, count, epoch)[way]
            spent = seconds_of(on.take())
            seconds = {part: spent.get(part, 0.0) for part in PARTS[:-1]}
            found[way].append({**seconds, 'rest': total - sum(seconds.values())})
    return {
        way: {part: 1000 * float(np.median([each[part] for each in rows])) / count for part in PARTS}
        for way, rows in found.items()
    }


def in_words(report: dict) -> str:
    def row(name: str, cells: Iterable[str]) -> str:
        return f'| {" | ".join([name, *cells])} |'

    def cell(figures: dict[str, float]) -> str:
        return '{median:.2f} ({lowest:.2f} to {highest:.2f})'.format(**figures)

    lines = [
        f'{report["images"]} images of {report["median_pixels"]} pixels (median), {report["rounds"]} rounds; CPU time '
        'of one process, ms an image: median (lowest to highest round)',
        '',
        row('', [RELEASED, 'ours', 'ours, colours on the device']),
        row('---', ['---'] * len(WAYS)),
        row('a sample', [cell(report['ms'][way]) for way in WAYS]),
        row('times as fast', ['1', *(cell(report['ratio'][way]) for way in OURS)]),
    ]
    lines += [row(part, [f'{report["parts_ms"][way][part]:.2f}' for way in WAYS]) for part in PARTS]
    return '\n'.join(lines)


if __name__ == '__main__':
    main()
