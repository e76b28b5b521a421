#!/usr/bin/env python
"""Memory and time of windows of a large TIFF, uncompressed and in deflated tiles.

python tools/benchmarks/windows.py
"""

import argparse
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import tifffile

from mmsoco.arguments import positive
from mmsoco.errors import command
from mmsoco.images.decoding import image_size, read_image

#: Side of a window, in pixels.
WINDOW = 512


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Make the two files, of noise, in a temporary folder (1.7 GB at the default side), read windows at '
        'random in a fresh process each, and print its peak memory and the time that passes.'
    )
    parser.add_argument('--side', type=positive, default=20_000, help='of the picture, in pixels (default 20000)')
    parser.add_argument('--count', type=positive, default=100, help='windows (default 100)')
    parser.add_argument('--read', metavar='TIFF', help=argparse.SUPPRESS)
    return parser.parse_args()


def blocks(side: int) -> Iterator[np.ndarray]:
    """The tiles of a picture, row by row."""
    noise = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (WINDOW, WINDOW, 3), dtype=np.uint8), (0, 0), 6)
    noise = cv2.normalize(noise, None, 0, 255, cv2.NORM_MINMAX)
    for i in range((-(-side // WINDOW)) ** 2):
        yield np.roll(noise, i, axis=(0, 1))


def peak() -> int:
    """MB that this process has taken at most; ru_maxrss would be its parent's, where that was larger."""
    return int(re.search(r'VmHWM:\s*(\d+)', Path('/proc/self/status').read_text())[1]) // 1024


def read_windows(path: str, count: int) -> str:
    """A row of the table."""
    before, rng = peak(), np.random.default_rng(0)
    width, height = image_size(path)
    start = time.perf_counter()
    for _ in range(count):
        x, y = int(rng.integers(0, width - WINDOW)), int(rng.integers(0, height - WINDOW))
        read_image(path, window=(x, y, WINDOW, WINDOW))
    milliseconds = 1000 * (time.perf_counter() - start) / count
    return f'| {Path(path).stem} | {before} | {peak() - before} | {milliseconds:.1f} |'


@command
def main() -> None:
    args = parse_args()
    if args.read is not None:
        print(read_windows(args.read, args.count))
        return
    shape = (args.side, args.side, 3)
    with tempfile.TemporaryDirectory() as folder:
        paths = Path(folder, 'uncompressed.tif'), Path(folder, 'deflated.tif')
        plain = tifffile.memmap(paths[0], shape=shape, dtype=np.uint8, photometric='rgb')
        across = -(-args.side // WINDOW)
        for i, block in enumerate(blocks(args.side)):
            y, x = (WINDOW * number for number in divmod(i, across))
            part = plain[y : y + WINDOW, x : x + WINDOW]
            part[:] = block[: part.shape[0], : part.shape[1]]
        plain.flush()
        tiles = dict(tile=(WINDOW, WINDOW), compression='zlib', photometric='rgb')
        tifffile.imwrite(paths[1], blocks(args.side), shape=shape, dtype=np.uint8, **tiles)
        print(f'windows of {WINDOW} px of {args.side} x {args.side}\n')
        print('| TIFF | process, MB | windows, MB more | ms a window |\n|---|---|---|---|')
        for path in paths:
            subprocess.run([sys.executable, __file__, '--read', path, '--count', str(args.count)], check=True)


if __name__ == '__main__':
    main()
