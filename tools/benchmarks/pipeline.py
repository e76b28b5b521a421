#!/usr/bin/env python
"""Speed of the loader's pipeline: the released way, by Pillow, and ours, image by image in turn on one core.

python tools/benchmarks/pipeline.py --images PHOTOS
"""

import argparse
import json
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest import mock

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from PIL import Image, ImageFilter, ImageOps
from torch.utils.data import default_collate
from torchvision.transforms import ColorJitter
from torchvision.transforms import functional as F

from mmsoco.arguments import positive
from mmsoco.datasets.proposal_dataset import ProposalDataset
from mmsoco.datasets.transforms import boxes as box_transforms
from mmsoco.datasets.transforms import formatting, photometric, views
from mmsoco.errors import UserError, command
from mmsoco.images.finding import list_images
from mmsoco.images.lists import read_list
from mmsoco.proposals.filters import ProposalFilter, filter_folder
from mmsoco.proposals.generators.random import RandomBoxes
from mmsoco.proposals.search.folder import search_folder
from mmsoco.registry import FUNCTIONS

#: The views that are timed.
PAPER = Path(__file__).parents[2] / 'configs/_base_/imagenet_3views.py'
#: Samples that are made one batch.
BATCH = 8
PARTS = ('decode', 'resample', 'colour', 'blur', 'boxes', 'tensor', 'rest')
#: Mean and deviation of ImageNet's channels, from 0 to 1.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Measure CPU time in turn. Takes some 2 minutes.')
    parser.add_argument('--images', metavar='FOLDER', help='photos (default: some are made, of 500x375)')
    parser.add_argument('--count', type=positive, default=100, help='images, at most (default 100)')
    parser.add_argument('--rounds', type=positive, default=7, help='each of another epoch (default 7)')
    parser.add_argument(
        '--augment',
        choices=['loader', 'device'],
        default='loader',
        help='where ours changes colours, blurs and solarizes; on the device, the loader only draws how',
    )
    parser.add_argument('--quick', action='store_true', help='8 images, 2 rounds: whether it runs')
    parser.add_argument('--json', action='store_true', help='print the figures as JSON')
    return parser.parse_args()


class Stopwatch:
    """CPU seconds of this process by part; a part within another counts as the inner one."""

    def __init__(self):
        self.seconds: Counter[str] = Counter()
        self._within = 0.0

    @contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        """Time what is done meanwhile."""
        before, self._within = self._within, 0.0
        start = time.process_time()
        try:
            yield
        finally:
            spent = time.process_time() - start
            self.seconds[part] += spent - self._within
            self._within = before + spent

    def timed(self, part: str, function: Callable) -> Callable:
        """A function whose calls are timed."""

        def call(*args, **options):
            with self(part):
                return function(*args, **options)

        return call


class Released:
    """The released code's loader, written again: Pillow's images, torchvision's colours, boxes in Python.

    The arithmetic is that of three resized crops of the decoded image, of which the third shows what the second does,
    as the paper has it; BYOL's augmentations; and float tensors, normalised in the loader.
    """

    def __init__(self, dataset: ProposalDataset, num_proposals: int = 4):
        self.dataset = dataset
        self.num_proposals = num_proposals
        self.jitter = ColorJitter(0.4, 0.4, 0.2, 0.1)
        self.on = Stopwatch()

    def __getitem__(self, key: tuple[int, int]) -> dict:
        epoch, index = key
        rng = np.random.default_rng([self.dataset.seed, epoch, index])
        row = self.dataset.store[index]
        with self.on('decode'), open(f'{self.dataset.data_root}/{row.file_name}', 'rb') as file:
            image = Image.open(file).convert('RGB')
        with self.on('boxes'):
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
        with self.on('resample'):
            view = F.resized_crop(image, y1, x1, y2 - y1, x2 - x1, [size, size], F.InterpolationMode.BILINEAR)
        if rng.random() < 0.5:
            with self.on('boxes'):
                view = F.hflip(view)
                boxes = [[size - x2, y1, size - x1, y2] for x1, y1, x2, y2 in boxes]
        with self.on('colour'):
            if rng.random() < 0.8:
                view = self.jitter(view)
            if rng.random() < 0.2:
                view = F.to_grayscale(view, 3)
        if rng.random() < blur:
            with self.on('blur'):
                view = view.filter(ImageFilter.GaussianBlur(rng.uniform(0.1, 2.0)))
        if blur < 1 and rng.random() < 0.2:
            with self.on('colour'):
                view = ImageOps.solarize(view)
        with self.on('tensor'):
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


def make_photos(folder: Path, count: int) -> None:
    """JPEGs with as much detail at each scale as photos have (amplitudes fall with the frequency)."""
    rng = np.random.default_rng(0)
    y, x = np.meshgrid(np.fft.fftfreq(375), np.fft.rfftfreq(500), indexing='ij')
    falling = 1 / np.maximum(np.hypot(x, y), 1 / 500)
    for i in range(count):
        channels = [np.fft.irfft2(np.fft.rfft2(rng.normal(size=(375, 500))) * falling, (375, 500)) for _ in range(3)]
        image = np.stack([common + channels[0] for common in (0, *(0.3 * other for other in channels[1:]))], axis=2)
        image = (128 + 50 * image / image.std()).clip(0, 255).astype(np.uint8)
        Image.fromarray(image).save(folder / f'{i}.jpg', quality=90)


def without_photometry(multi_view: dict) -> None:
    """Leave to the device what it does: transforms draw as always, and are shown one pixel."""
    for view in multi_view['augments'].values():
        view[:] = [DrawnOnly(step) if type(step).__module__ == photometric.__name__ else step for step in view]


class DrawnOnly:
    """A transform of which only the draws are made."""

    def __init__(self, step: Callable[[dict], dict]):
        self.step = step

    def __call__(self, view: dict) -> dict:
        """Leave a view as it is."""
        self.step({**view, 'img': np.zeros((1, 1, 3), np.uint8)})
        return view


def watch(on: Stopwatch) -> ExitStack:
    """Time the parts of ours, until the stack is closed."""
    stack = ExitStack()

    def wrap(owner: object, name: str, part: str) -> None:
        stack.enter_context(mock.patch.object(owner, name, on.timed(part, getattr(owner, name))))

    wrap(formatting.LoadImage, 'transform', 'decode')
    wrap(views, 'resample', 'resample')
    for kind in (photometric.ColorJitter, photometric.Grayscale, photometric.Solarize):
        wrap(kind, 'transform', 'colour')
    wrap(photometric.GaussianBlur, 'transform', 'blur')
    for kind in (box_transforms.BoxJitter, box_transforms.HorizontalFlip):
        wrap(kind, 'transform', 'boxes')
    for name in ('_place', '_view_boxes'):
        wrap(views.MultiViewProposalPipeline, name, 'boxes')
    return stack


def measure(makers: dict[str, object], collates: dict[str, Callable], count: int, epoch: int) -> dict[str, float]:
    """Seconds of this process for all images of an epoch, all makers in turn image by image."""
    seconds = dict.fromkeys(makers, 0.0)
    samples: dict[str, list] = {name: [] for name in makers}
    order = list(makers)
    for index in range(count):
        for name in order if index % 2 else reversed(order):
            start = time.process_time()
            samples[name].append(makers[name][epoch, index])
            if len(samples[name]) == BATCH or index == count - 1:
                collates[name](samples[name])
                samples[name].clear()
            seconds[name] += time.process_time() - start
    return seconds


def spread(values: list[float]) -> dict[str, float]:
    return {'median': float(np.median(values)), 'low': min(values), 'high': max(values)}


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
            make_photos(out, count)
        names = out / 'names.txt'
        names.write_text('\n'.join(list_images(photos)[:count]) + '\n')
        search_folder(photos, out / 'raw', RandomBoxes(), image_list=read_list(names))
        filter_folder(out / 'raw', out / 'proposals.arrow', ProposalFilter())
        ours = ProposalDataset(out / 'proposals.arrow', loader.dataset.pipeline)
        ours.WATCHED = 0  # the first samples are watched, and take longer
        if args.augment == 'device':
            without_photometry(vars(ours.pipeline[1]))
        released = Released(ours)
        makers = {'released': released, 'ours': ours}
        collates = {'released': default_collate, 'ours': collate_of(loader.collate_fn)}
        count = len(ours)
        if not count:
            raise UserError(f'{photos} has no images; name a folder of photos')
        measure(makers, collates, min(count, BATCH), 0)
        found = [measure(makers, collates, count, epoch) for epoch in range(1, rounds + 1)]
        parts = by_part(makers, collates, count, rounds)
        pixels = np.median([row.width * row.height for row in ours.store])
    report = {
        'images': count,
        'median_pixels': int(pixels),
        'rounds': rounds,
        'augment': args.augment,
        'cores': os.cpu_count(),
        'ms': {name: spread([1000 * each[name] / count for each in found]) for name in makers},
        'ratio': spread([each['released'] / each['ours'] for each in found]),
        'parts_ms': parts,
    }
    print(json.dumps(report, indent=1) if args.json else in_words(report))


def collate_of(config: dict) -> Callable:
    """As mmengine's Runner builds it."""
    return default_collate if config.type == 'default_collate' else FUNCTIONS.get(config.type)


def by_part(makers: dict, collates: dict, count: int, rounds: int) -> dict[str, dict[str, float]]:
    """Milliseconds of an image by part, in rounds of their own: watches take time."""
    found: dict[str, list[dict]] = {name: [] for name in makers}
    for epoch in range(1, rounds + 1):
        on = {'released': makers['released'].on, 'ours': Stopwatch()}
        on['released'].seconds.clear()
        with watch(on['ours']):
            total = measure(makers, collates, count, epoch)
        for name, watched in on.items():
            seconds = {part: watched.seconds[part] for part in PARTS[:-1]}
            found[name].append({**seconds, 'rest': total[name] - sum(seconds.values())})
    return {
        part: {name: 1000 * float(np.median([each[part] for each in rows])) / count for name, rows in found.items()}
        for part in PARTS
    }


def in_words(report: dict) -> str:
    def cell(figures: dict[str, float]) -> str:
        return '{median:.2f} ({low:.2f} to {high:.2f})'.format(**figures)

    lines = [
        f'{report["images"]} images of {report["median_pixels"]} pixels (median), {report["rounds"]} rounds, augmented '
        f'by the {report["augment"]}; CPU time of one process, ms an image: median (lowest to highest round)',
        '',
        '| | released | ours | times as fast |',
        '|---|---|---|---|',
        f'| a sample | {cell(report["ms"]["released"])} | {cell(report["ms"]["ours"])} | {cell(report["ratio"])} |',
    ]
    lines += [f'| {part} | {ms["released"]:.2f} | {ms["ours"]:.2f} | |' for part, ms in report['parts_ms'].items()]
    return '\n'.join(lines)


if __name__ == '__main__':
    main()
