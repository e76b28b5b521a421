#!/usr/bin/env python
"""The quickstart's data: sheets of paper with handwritten digits, some with boxes in COCO format.

python data_pipelines/sample_data.py work_dirs/quickstart/data

The digits are those of scikit-learn's wheel on PyPI (UCI's optical recognition
of handwritten digits, Alpaydin and Kaynak, CC BY 4.0): 1,797 of 13 people, 8 x 8 px in
17 shades. They are put onto coloured paper in coloured ink, at random places and sizes, so
that neither place nor size nor colour tells a digit. A small problem for a CPU, with what
makes the pretraining's case: many images, few labels, several classes.
"""

import argparse
import csv
import gzip
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from mmsoco.errors import UserError, command, reason

WHEEL = 'scikit-learn==1.7.2'
DIGITS = 'sklearn/datasets/data/digits.csv.gz'
#: Side of a sheet, in pixels.
SHEET = 128


@dataclass(frozen=True)
class Split:
    """How many sheets a split has, how many of them have labels, and which of the digits lie on them."""

    sheets: int
    labelled: int
    digits: slice


#: No digit of the validation sheets is on a training sheet.
SPLITS = {'train': Split(400, 40, slice(0, 1400)), 'val': Split(60, 60, slice(1400, None))}


def fetch_wheel(folder: Path) -> Path:
    """Download the wheel (10 MB) with pip, without installing it.

    Raises:
        UserError: pip could not.
    """
    pip = [sys.executable, '-m', 'pip', 'download', '-q', '--no-deps', '-d', str(folder), WHEEL]
    if subprocess.run(pip, stdout=subprocess.DEVNULL).returncode:
        raise UserError(f'pip could not download {WHEEL}; check the network, or give a downloaded file by --wheel')
    return next(folder.glob('scikit_learn-*.whl'))


def read_digits(wheel: zipfile.ZipFile) -> tuple[np.ndarray, np.ndarray]:
    """(N, 8, 8) float32 ink from 0 to 1, and (N,) int64, which digit each is.

    Raises:
        ValueError: The wheel's file is another one.
    """
    rows = csv.reader(gzip.decompress(wheel.read(DIGITS)).decode().splitlines())
    table = np.array([[float(cell) for cell in row] for row in rows])
    if table.ndim != 2 or table.shape[1] != 65:
        raise ValueError(f'{DIGITS} has not 64 values and a label a line')
    return table[:, :64].reshape(-1, 8, 8).astype(np.float32) / 16, table[:, 64].astype(int)


def draw_sheet(
    rng: np.random.Generator, digits: np.ndarray, size: int = SHEET
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A sheet with three to seven of the digits, 3 px apart at least.

    Args:
        digits: (N, 8, 8) ink from 0 to 1.

    Returns:
        (size, size, 3) uint8 RGB, (K, 4) float64 boxes around the ink, xyxy in pixels, and
        (K,) which of the digits they are.
    """
    stains = cv2.resize(rng.normal(0, 12, (4, 4, 3)), (size, size), interpolation=cv2.INTER_CUBIC)
    paper = rng.uniform(150, 250, 3) + stains
    boxes, chosen = np.empty((0, 4)), []
    for _ in range(rng.integers(3, 8)):
        for _ in range(30):  # tries to find a place
            index, side = rng.integers(len(digits)), rng.integers(26, 46)
            ink = cv2.resize(digits[index], (int(side), int(side)), interpolation=cv2.INTER_CUBIC).clip(0, 1)
            rows, columns = np.nonzero(ink > 0.25)
            x, y = rng.integers(0, size - side, 2)
            box = np.array([x + columns.min(), y + rows.min(), x + columns.max() + 1, y + rows.max() + 1], float)
            if not ((box[:2] - 3 < boxes[:, 2:]) & (box[2:] + 3 > boxes[:, :2])).all(axis=1).any():
                break
        else:
            continue
        place = paper[y : y + side, x : x + side]
        place += ink[..., None] * (rng.uniform(0, 110, 3) - place)
        boxes = np.concatenate([boxes, box[None]])
        chosen.append(index)
    return (paper + rng.normal(0, 4, paper.shape)).clip(0, 255).astype(np.uint8), boxes, np.array(chosen)


def write_sheets(digits: np.ndarray, labels: np.ndarray, split: Split, folder: Path, rng: np.random.Generator) -> dict:
    """Write a split's sheets; returns the annotations of those that are labelled, as COCO has them."""
    folder.mkdir(parents=True)
    images, annotations = [], []
    for i in range(split.sheets):
        sheet, boxes, chosen = draw_sheet(rng, digits[split.digits])
        name = f'{i:04d}.jpg'
        cv2.imwrite(str(folder / name), sheet[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])
        if i >= split.labelled:
            continue
        images.append(dict(id=i + 1, file_name=name, width=SHEET, height=SHEET))
        for (x1, y1, x2, y2), digit in zip(boxes.tolist(), labels[split.digits][chosen].tolist(), strict=True):
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=i + 1,
                    category_id=digit + 1,
                    bbox=[x1, y1, x2 - x1, y2 - y1],
                    area=(x2 - x1) * (y2 - y1),
                    iscrowd=0,
                )
            )
    categories = [dict(id=digit + 1, name=str(digit)) for digit in range(10)]
    return dict(images=images, annotations=annotations, categories=categories)


def make_sample_data(out: str | os.PathLike, wheel: str | os.PathLike | None = None) -> dict[str, tuple[int, int, int]]:
    """Write ``train/``, ``val/``, ``train.json`` and ``val.json`` into a folder; always the same.

    Args:
        out: The folder; it appears when it is complete.
        wheel: A downloaded wheel of scikit-learn; by default it is fetched.

    Returns:
        Split -> (sheets, labelled ones, their boxes).

    Raises:
        UserError: ``out`` exists already, or the wheel cannot be had or read.
    """
    out = Path(out)
    if out.exists():
        raise UserError(f'{out} exists already; delete it or name another folder')
    out.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f'.{out.name}.', dir=out.parent))
    counts = {}
    try:
        with zipfile.ZipFile(wheel or fetch_wheel(work)) as archive:
            digits, labels = read_digits(archive)
        rng = np.random.default_rng(0)
        order = rng.permutation(len(digits))
        for name, split in SPLITS.items():
            coco = write_sheets(digits[order], labels[order], split, work / 'data' / name, rng)
            (work / 'data' / f'{name}.json').write_text(json.dumps(coco))
            counts[name] = split.sheets, len(coco['images']), len(coco['annotations'])
        (work / 'data').rename(out)
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise UserError(f'{wheel or WHEEL} is not the wheel that is expected ({reason(error)})') from None
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return counts


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Fetch scikit-learn's wheel from PyPI (10 MB), and put its handwritten digits (UCI, CC BY 4.0) "
        'onto sheets of 128 px: 400 for training, of which 40 have boxes, and 60 for validation.'
    )
    parser.add_argument('out', help='folder to make')
    parser.add_argument('--wheel', help='use this file instead of downloading')
    return parser.parse_args()


@command
def main() -> None:
    args = parse_args()
    for split, (sheets, labelled, boxes) in make_sample_data(args.out, args.wheel).items():
        print(f'{args.out}/{split}: {sheets} sheets, {labelled} of them labelled with {boxes} boxes')


if __name__ == '__main__':
    main()
