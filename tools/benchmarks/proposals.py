#!/usr/bin/env python
"""Speed and memory of making and reading proposals, as the tables of docs/proposals.md.

python tools/benchmarks/proposals.py PHOTOS --labelled cards IMAGES LABELS.json
"""

import argparse
import json
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import cv2
import numpy as np
from opencv_search import opencv_search

from mmsoco.arguments import positive
from mmsoco.boxes import xywh_to_xyxy
from mmsoco.errors import command
from mmsoco.images.decoding import read_image
from mmsoco.images.finding import list_images
from mmsoco.proposals.filters import ProposalFilter, filter_boxes
from mmsoco.proposals.generators.selective_search import MODES, SearchParameters, selective_search
from mmsoco.proposals.recall import best_overlaps
from mmsoco.proposals.search.folder import Execution, search_folder
from mmsoco.proposals.store import ProposalRow, ProposalStore, write_proposals

PARTS = ('search', 'modes', 'sides', 'store')
SIDES = (160, 224, 320, None)
ROWS, BOXES, READ, WORKERS = 1_281_167, 22, 10_000, 4


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Measure, and print Markdown tables. Takes some 10 minutes.')
    parser.add_argument('photos', help='folder of images')
    parser.add_argument('--parts', nargs='+', choices=PARTS, default=PARTS, help='what to measure (default: all)')
    parser.add_argument('--labelled', nargs=3, action='append', default=[], metavar=('NAME', 'IMAGES', 'JSON'))
    parser.add_argument('--every', type=positive, default=1, metavar='N', help='only every n-th image')
    parser.add_argument('--repeat', type=positive, default=3, help='rounds of engine runs (default 3)')
    return parser.parse_args()


def table(*rows: tuple) -> None:
    cells = [[f'{cell:.3g}' if isinstance(cell, float) else str(cell) for cell in row] for row in rows]
    cells.insert(1, ['---'] * len(cells[0]))
    print('\n'.join(f'| {" | ".join(row)} |' for row in cells), end='\n\n', flush=True)


def timed(function: Callable, *args: object) -> tuple[float, object]:
    start = time.perf_counter()
    result = function(*args)
    return time.perf_counter() - start, result


def same(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape == b.shape and bool((a == b).all())


def compare(images: list[Path], parameters: SearchParameters) -> tuple[float, float, int]:
    """Seconds an image by OpenCV and by ours, in turn, decoding included; how many have other boxes."""
    naive, ours, differ = [], [], 0
    for path in images:
        seconds, theirs = timed(lambda path=path: opencv_search(read_image(path), parameters))
        naive.append(seconds)
        seconds, boxes = timed(lambda path=path: selective_search(read_image(path), parameters))
        ours.append(seconds)
        differ += not same(theirs, boxes)
    return sum(naive) / len(naive), sum(ours) / len(ours), differ


def search(root: str, every: int, repeat: int) -> None:
    """The search by itself, and in the engine with one worker and with two."""
    naive, ours, differ = compare([Path(root, name) for name in list_images(root)[::every]], SearchParameters())
    wall: dict[int, list[float]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory() as folder:
        for i in range(repeat):
            for jobs in wall:
                out = Path(folder, f'{i}_{jobs}')
                seconds, result = timed(lambda j=jobs, o=out: search_folder(root, o, execution=Execution(jobs=j)))
                wall[jobs].append(seconds / result.total)
    one, two = median(wall[1]), median(wall[2])
    table(
        ('', 's/image', 'against OpenCV'),
        ("OpenCV's own selective search, one process", naive, 1.0),
        (f'ours, the same process ({differ} images with other boxes)', ours, naive / ours),
        ('ours by `selective_search.py --jobs 1`, all of it', one, naive / one),
        ('ours by `selective_search.py --jobs 2`, all of it', two, naive / two),
    )
    print(f'Two workers: {one / two:.2f} times one. ImageNet: {ROWS * one / 3600:.0f} core-hours.\n')


def modes(root: str, every: int) -> None:
    """OpenCV's other modes; sigma is a number that float32 holds, as they round it."""
    rows = []
    names = list_images(root)[:: 10 * every]
    for mode in MODES:
        naive, ours, differ = compare([Path(root, name) for name in names], SearchParameters(mode, sigma=0.75))
        rows.append((mode, naive, ours, naive / ours, f'{differ} of {len(names)}'))
    table(('mode', 'OpenCV, s/image', 'ours', 'ratio', 'images with other boxes'), *rows)


def sides(root: str, labelled: list[tuple[str, str, str]], every: int) -> None:
    """What --max-side saves and costs."""
    rules = ProposalFilter()
    images = [read_image(Path(root, name)) for name in list_images(root)[::every]]
    objects = {name: list(labelled_images(images, labels))[::every] for name, images, labels in labelled}

    def kept(image: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        return filter_boxes(boxes, image.shape[1], image.shape[0], rules)[0]

    full = [kept(image, selective_search(image)) for image in images]
    rows = []
    for side in SIDES:
        parameters = SearchParameters(max_side=side)
        seconds, found = timed(lambda p=parameters: [selective_search(image, p) for image in images])
        filtered = [kept(image, boxes) for image, boxes in zip(images, found, strict=True)]
        overlaps = np.concatenate([best_overlaps(a, b) for a, b in zip(full, filtered, strict=True)])
        row = [side or 'full', seconds / len(images)]
        row += [sum(map(len, boxes)) / len(images) for boxes in (found, filtered)]
        row += [percent(overlaps >= 0.5), percent(overlaps >= 0.7), percent(overlaps)]
        for entries in objects.values():
            best = np.concatenate([best_overlaps(o, selective_search(p, parameters)) for p, o in entries])
            row += [f'{percent(best >= 0.5)} / {percent(best)}']
        rows.append(tuple(row))
    table(
        (
            'side',
            's/image',
            'boxes',
            'kept by the filter',
            'full-size boxes at IoU 0.5',
            '0.7',
            'ABO',
            *(f'{name}: recall at 0.5 / ABO' for name in objects),
        ),
        *rows,
    )


def percent(values: np.ndarray) -> str:
    return f'{100 * values.mean():.1f}'


def labelled_images(images: str, labels: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Images and the xyxy boxes of their objects, (N, 4), N >= 1."""
    content = json.loads(Path(labels).read_text())
    boxes: dict[int, list] = {}
    for a in content['annotations']:
        boxes.setdefault(a['image_id'], []).append(a['bbox'])
    for image in content['images']:
        if image['id'] in boxes:
            yield read_image(Path(images, image['file_name'])), xywh_to_xyxy(np.array(boxes[image['id']], float))


def pss() -> float:
    """This process' proportional share of memory, in MB."""
    lines = Path('/proc/self/smaps_rollup').read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith('Pss:')) / 1024


def imagenet_rows() -> Iterator[ProposalRow]:
    """As many rows as ImageNet has, with names of the same length."""
    rng = np.random.default_rng(0)
    corners = np.sort(rng.integers(0, 500, (4096, BOXES, 2, 2)), axis=2).reshape(4096, BOXES, 4)
    for i in range(ROWS):
        yield ProposalRow(f'n{i // 1300:08d}/n{i // 1300:08d}_{i:06d}.JPEG', 500, 375, corners[i % 4096])


def read_rows(store: ProposalStore, seed: int) -> float:
    """Seconds for READ random rows, boxes looked at."""
    indices = np.random.default_rng(seed).integers(0, len(store), READ).tolist()
    return timed(lambda: sum(int(store[i].boxes[-1, 2]) for i in indices))[0]


def loader_worker(store: ProposalStore, seed: int, barrier: object, results: object) -> None:
    barrier.wait()
    before = pss()
    barrier.wait()
    read_rows(store, seed)
    barrier.wait()
    results.put(pss() - before)
    barrier.wait()


def store_part() -> None:
    """A file as large as ImageNet's."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, 'proposals.arrow')
        writing = multiprocessing.Process(target=write_proposals, args=(path, imagenet_rows(), {'root': folder}))
        seconds_to_write, _ = timed(lambda: (writing.start(), writing.join()))
        before = pss()
        seconds_to_open, store = timed(ProposalStore.open, path)
        opened = pss()
        seconds_to_verify, _ = timed(store.verify)
        verified = pss()
        barrier, results = multiprocessing.Barrier(WORKERS), multiprocessing.Queue()
        workers = [
            multiprocessing.Process(target=loader_worker, args=(store, i, barrier, results)) for i in range(WORKERS)
        ]
        for worker in workers:
            worker.start()
        added = [results.get() for _ in workers]
        for worker in workers:
            worker.join()
        seconds_to_read = read_rows(store, WORKERS)
        table(
            (f'{ROWS:,} images, {BOXES} boxes each', ''),
            ('file, GB', path.stat().st_size / 1e9),
            ('write, s', seconds_to_write),
            ('open, s', seconds_to_open),
            ('verify the checksum, s', seconds_to_verify),
            (f'{READ:,} random rows, s', seconds_to_read),
            ('memory (PSS) that opening adds, MB', f'{opened - before:.1f}'),
            ('that verifying adds, MB', f'{verified - opened:.1f}'),
            (f'that {READ:,} rows add to each of {WORKERS} workers, MB', f'{max(added):.1f}'),
            ('to the process itself, MB', f'{pss() - verified:.1f}'),
        )


@command
def main() -> None:
    args = parse_args()
    cv2.setNumThreads(0)
    print(f'{os.cpu_count()} cores, OpenCV {cv2.__version__}, {len(list_images(args.photos))} images\n')
    if 'search' in args.parts:
        search(args.photos, args.every, args.repeat)
    if 'modes' in args.parts:
        modes(args.photos, args.every)
    if 'sides' in args.parts:
        sides(args.photos, args.labelled, args.every)
    if 'store' in args.parts:
        store_part()


if __name__ == '__main__':
    main()
