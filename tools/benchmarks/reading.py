#!/usr/bin/env python
"""Speed of reading images in a folder, a zip and a tar file: by themselves, in the search, in the loader.

python tools/benchmarks/reading.py PHOTOS
"""

import argparse
import os
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from statistics import median

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from PIL import Image
from torch.utils.data import DataLoader

from mmsoco.arguments import positive
from mmsoco.datasets.proposal_dataset import ProposalDataset
from mmsoco.errors import command
from mmsoco.images.archives import open_image
from mmsoco.images.decoding import read_image
from mmsoco.images.finding import list_images
from mmsoco.proposals.filters import ProposalFilter, filter_folder
from mmsoco.proposals.generators.selective_search import SearchParameters
from mmsoco.proposals.search.folder import search_folder

#: Width and height of the images that are searched: the search takes the most time, and hides what is measured.
SIDE = 64
#: The views whose samples are timed.
PAPER = Path(__file__).parents[2] / 'configs/_base_/imagenet_3views.py'


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Measure in turn, and print a Markdown table. Takes some 5 minutes.')
    parser.add_argument('photos', help='folder of images')
    parser.add_argument('--repeat', type=positive, default=9, help='rounds (default 9), a third of them for the search')
    parser.add_argument('--workers', type=positive, default=2, help='of the loader (default 2)')
    return parser.parse_args()


def pack(photos: Path, out: Path) -> dict[str, Path]:
    """The images as they are in a folder, and in archives beside it, stored and deflated."""
    names = list_images(photos)
    with (
        tarfile.open(out / 'photos.tar', 'w') as tar,
        zipfile.ZipFile(out / 'stored.zip', 'w') as stored,
        zipfile.ZipFile(out / 'deflated.zip', 'w', zipfile.ZIP_DEFLATED) as deflated,
    ):
        for name in names:
            for add in (tar.add, stored.write, deflated.write):
                add(photos / name, name)
    archives = {name: out / name for name in ('photos.tar', 'stored.zip', 'deflated.zip')}
    return {'folder': photos, **archives}


def read_bytes(path: Path) -> None:
    with open_image(path) as file:
        file.read()


def search(root: Path, out: Path) -> None:
    search_folder(root, out / str(time.monotonic_ns()), SearchParameters(max_side=SIDE))


def load(dataset: ProposalDataset, workers: int) -> None:
    keys = [(0, index) for index in range(len(dataset))]
    for _ in DataLoader(dataset, sampler=keys, batch_size=8, num_workers=workers, collate_fn=len):
        pass


def measure_each(functions: dict[str, Callable[[int], object]], count: int, repeat: int) -> dict[str, float]:
    """Seconds of this process for all images: of each the median of rounds in which all functions have their turn."""
    seconds = {kind: np.empty((repeat + 1, count)) for kind in functions}
    rng = np.random.default_rng(0)
    for i in range(repeat + 1):
        for j in range(count):
            for kind in rng.permutation(list(functions)).tolist():
                start = time.process_time()
                functions[kind](j)
                seconds[kind][i, j] = time.process_time() - start
    return {kind: float(np.median(values[1:], axis=0).sum()) for kind, values in seconds.items()}


def measure(kinds: dict[str, Callable[[], None]], repeat: int) -> dict[str, float]:
    """Seconds, medians of rounds in each of which all kinds have their turn."""
    seconds: dict[str, list[float]] = {kind: [] for kind in kinds}
    rng = np.random.default_rng(0)
    for i in range(repeat + 1):
        for kind in rng.permutation(list(kinds)).tolist():
            start = time.perf_counter()
            kinds[kind]()
            # The first round opens the archives, and fills the system's memory of files.
            if i:
                seconds[kind].append(time.perf_counter() - start)
    return {kind: median(values) for kind, values in seconds.items()}


@command
def main() -> None:
    args = parse_args()
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    photos = Path(args.photos).resolve()
    paper = Config.fromfile(PAPER)
    init_default_scope('mmsoco')
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        roots = pack(photos, out)
        names = list_images(photos)
        datasets = {}
        for kind, root in roots.items():
            search_folder(root, out / f'raw-{kind}', SearchParameters(max_side=SIDE))
            filter_folder(out / f'raw-{kind}', out / f'{kind}.arrow', ProposalFilter())
            datasets[kind] = ProposalDataset(out / f'{kind}.arrow', [dict(type='mmsoco.LoadImage')])
        parts = {
            f'searched at {SIDE} px': {k: lambda r=r: search(r, out) for k, r in roots.items()},
            f'loader, {args.workers} workers': {k: lambda d=d: load(d, args.workers) for k, d in datasets.items()},
        }
        print(f'{os.cpu_count()} cores, {len(names)} images; ms an image, and times that of the folder\n')
        print(f'| | {" | ".join(roots)} |\n|---{"|---" * len(roots)}|')

        def row(part: str, seconds: dict[str, float]) -> None:
            cells = [f'{1000 * s / len(names):.3f} ({s / seconds["folder"]:.3f})' for s in seconds.values()]
            print(f'| {part} | {" | ".join(cells)} |', flush=True)

        paths = {kind: [root / name for name in names] for kind, root in roots.items()}
        steps = paper.train_dataloader.dataset.pipeline
        samples = {kind: ProposalDataset(out / f'{kind}.arrow', steps) for kind in roots}
        each = {
            'bytes': {kind: lambda i, p=p: read_bytes(p[i]) for kind, p in paths.items()},
            'decoded': {kind: lambda i, p=p: read_image(p[i]) for kind, p in paths.items()},
            "a sample of the paper's views": {kind: lambda i, d=d: d[0, i] for kind, d in samples.items()},
        }
        for part, functions in each.items():
            row(f'{part}, CPU time', measure_each(functions, len(names), args.repeat))
        decoders = {
            'folder': lambda i: read_image(paths['folder'][i]),
            'Pillow': lambda i: np.asarray(Image.open(paths['folder'][i]).convert('RGB')),
        }
        decoded = measure_each(decoders, len(names), args.repeat)
        for part, kinds in parts.items():
            row(part, measure(kinds, -(-args.repeat // 3) if part.startswith('searched') else args.repeat))
        print(f"\nread_image takes {decoded['folder'] / decoded['Pillow']:.2f} of Pillow's CPU time")


if __name__ == '__main__':
    main()
