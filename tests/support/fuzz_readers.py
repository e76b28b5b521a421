"""Readers of files, each given thousands of damaged ones; run as a script, in a process that may die.

For each reader a line of JSON: how many files it was given and refused, how many MB of memory
that took, and the first thing that is wrong, if any.
"""

import json
import os
import pickle
import re
import resource
import struct
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from unittest import mock

import numpy as np
import pillow_heif
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from image_files import png
from PIL import Image

from mmsoco.errors import UserError
from mmsoco.images.decoding import VARIABLE, UnreadableImage, image_size, read_image
from mmsoco.images.lists import read_list
from mmsoco.images.mini_coco import read_annotations
from mmsoco.images.reading import Reading
from mmsoco.proposals.formats.base import BoxFile
from mmsoco.proposals.formats.coco import Coco
from mmsoco.proposals.formats.csv import Csv
from mmsoco.proposals.formats.mmdet import MMDet
from mmsoco.proposals.formats.official import Official
from mmsoco.proposals.store import ProposalRow, ProposalStore, write_proposals

EXAMPLES = round(60 * float(os.environ.get('MMSOCO_FUZZ', '1')))
#: Bytes that a reader may ask for beyond what the process has at the start.
LIMIT = 2**29
PIXELS = 2**18

NUMBERS = [struct.pack('<q', n) for n in (-1, 0, 1, 2**31, 2**40, 2**62)] + [
    struct.pack('<i', n) for n in (-1, 2**31 - 1)
]
TOKENS = [b'-1', b'1e400', b'9' * 400, b'null', b'""', b'[]', b'{}', b'true', b'NaN', b'2147483648', b'[' * 5000]
#: (kind, where from 0 to 1, how long, bytes)
CHANGE = st.tuples(
    st.sampled_from(['flip', 'cut', 'insert', 'repeat', 'delete', 'number', 'token', 'replace']),
    st.floats(0, 1, exclude_max=True),
    st.integers(0, 200),
    st.binary(max_size=40),
)


def damaged(data: bytes, changes: list[tuple]) -> bytes:
    """A file after some changes."""
    for kind, where, size, content in changes:
        at = int(where * len(data))
        if kind == 'flip' and data:
            data = data[:at] + bytes([data[at] ^ 1 << size % 8]) + data[at + 1 :]
        elif kind == 'cut':
            data = data[:at]
        elif kind == 'insert':
            data = data[:at] + content + data[at:]
        elif kind == 'repeat':
            data = data[: at + size] + data[at:]
        elif kind == 'delete':
            data = data[:at] + data[at + size :]
        elif kind == 'number':
            number = NUMBERS[size % len(NUMBERS)]
            data = data[:at] + number + data[at + len(number) :]
        elif kind == 'token':
            places = [match.span() for match in re.finditer(rb'-?\d+(\.\d+)?|"[^"]*"', data)]
            if places:
                first, last = places[int(where * len(places))]
                data = data[:first] + TOKENS[size % len(TOKENS)] + data[last:]
        elif kind == 'replace':
            data = content
    return data


@dataclass
class Reader:
    """A reader, a good file, and what it may raise."""

    read: Callable[[Path], object]
    good: bytes
    error: type[Exception] = UserError
    same: bool = False  # whether what is read is what the good file holds


BOXES = [[0, 0, 30, 20], [5, 6, 35, 24], [1, 2, 3, 4]]
NAMES = ['n01/n01_1.png', 'n01/n01_2.png', 'n02/n02_3.png']


def rows_of(path: Path) -> list:
    store = ProposalStore.open(path).verify()
    rows = [(name, width, height, boxes.tolist()) for name, width, height, boxes in store]
    assert rows == [(row[0], row[1], row[2], row[3].tolist()) for row in (store[i] for i in range(len(store)))]
    return rows


def boxes_of(box_format: type, **others: Path) -> Callable[[Path], list]:
    return lambda path: list(box_format().read(BoxFile(path, **others)))


def image_files() -> dict[str, bytes]:
    """Kind -> a small image of it."""
    rng, files = np.random.default_rng(0), {}
    pixels = rng.integers(0, 256, (20, 30, 3), np.uint8)
    pillow_heif.register_heif_opener()

    def keep(name: str, write: Callable, *args, **options) -> None:
        file = BytesIO()
        write(file, *args, **options)
        files[name] = file.getvalue()

    kinds = ('JPEG', 'PNG', 'GIF', 'BMP', 'PPM', 'TIFF', 'WEBP', 'JPEG2000', 'AVIF', 'HEIF', 'TGA', 'SGI', 'ICO', 'QOI')
    for kind in kinds:
        keep(kind.lower(), Image.fromarray(pixels).save, kind)
    keep('npy', np.save, pixels.astype(np.uint16))
    for compression in (None, 'zlib', 'lzw'):
        name = f'tiff_16_bits_{compression}'
        keep(name, tifffile.imwrite, pixels.astype(np.uint16), tile=(16, 16), compression=compression)
    files['png_16_bits'] = png(pixels.astype('>u2'), 16, 2)
    others = [Image.fromarray(255 - pixels), Image.fromarray(pixels[::-1])]
    keep('animation', Image.fromarray(pixels).save, 'PNG', save_all=True, append_images=others)
    return files


def read_in_all_ways(path: Path) -> None:
    image_size(path)
    read_image(path)
    read_image(path, Reading(1, 'percentiles'), (1, 2, 5, 5))


def readers(folder: Path) -> dict[str, Reader]:
    annotations = {
        'categories': [{'id': 1, 'name': 'thing'}],
        'images': [{'id': i, 'file_name': name, 'width': 40, 'height': 30} for i, name in enumerate(NAMES)],
        'annotations': [{'id': i, 'image_id': i, 'category_id': 1, 'bbox': box} for i, box in enumerate(BOXES)],
    }
    images = folder / 'annotations.json'
    images.write_text(json.dumps(annotations))
    results = [{'image_id': i, 'bbox': box, 'score': 0.5} for i, box in enumerate(BOXES)]
    arrays = {
        name: dict(bboxes=np.array([box], np.float32), scores=np.ones(1))
        for name, box in zip(NAMES, BOXES, strict=True)
    }
    lines = ['file_name,x1,y1,x2,y2,score,width,height']
    lines += [f'{name},0,0,5,{i + 1},0.5,40,30' for i, name in enumerate(NAMES)]
    rows = [ProposalRow(name, 40, 30, np.array([box])) for name, box in zip(NAMES, BOXES, strict=True)]
    write_proposals(folder / 'good.arrow', rows, dict(root='/images'))
    return {
        'proposals': Reader(rows_of, (folder / 'good.arrow').read_bytes(), same=True),
        'list': Reader(read_list, ('# three\n' + '\n'.join(NAMES) + '\n').encode()),
        'csv': Reader(boxes_of(Csv), ('\n'.join(lines) + '\n').encode()),
        'coco': Reader(boxes_of(Coco), json.dumps(annotations).encode()),
        'results': Reader(boxes_of(Coco, annotations=images), json.dumps(results).encode()),
        'official': Reader(boxes_of(Official), json.dumps({name: [BOXES[0]] for name in NAMES}).encode()),
        'mmdet': Reader(boxes_of(MMDet), pickle.dumps(arrays, protocol=4)),
        'mmdet_2': Reader(boxes_of(MMDet), pickle.dumps(arrays, protocol=2)),
        'annotations': Reader(read_annotations, json.dumps(annotations).encode()),
        **{f'image_{kind}': Reader(read_in_all_ways, file, UnreadableImage) for kind, file in image_files().items()},
    }


def fuzz(reader: Reader, path: Path) -> dict:
    """Give a reader damaged files; raises what it should not."""
    path.write_bytes(reader.good)
    expected = reader.read(path)
    counts = {'files': 0, 'refused': 0}

    def attempt(changes: list[tuple]) -> None:
        path.write_bytes(damaged(reader.good, changes))
        counts['files'] += 1
        try:
            found = reader.read(path)
        except reader.error as error:
            assert '\n' not in str(error), str(error)
            counts['refused'] += 1
        else:
            assert not reader.same or found == expected, 'another content is taken'

    # What chance alone would seldom bring.
    for kind, values in (('token', TOKENS), ('number', NUMBERS)):
        for size in range(len(values)):
            for where in (0.1, 0.5, 0.9):
                attempt([(kind, where, size, b'')])

    @settings(max_examples=EXAMPLES, derandomize=True, deadline=None, database=None, suppress_health_check=HealthCheck)
    @given(st.lists(CHANGE, min_size=1, max_size=3))
    def run(changes: list[tuple]) -> None:
        attempt(changes)

    run()
    return counts


ROW = st.tuples(
    st.sampled_from(['a.jpg', 'b/c.jpg', 'b/d é.jpg', '../a.jpg', '/a.jpg', 'a/./b', '', 'a//b', 'a/', 'x\0y']),
    st.integers(-1, 4),
    st.integers(-1, 4),
    st.lists(st.lists(st.integers(-1, 4), min_size=4, max_size=4), max_size=3),
)


def is_good(rows: list[tuple]) -> bool:
    """What a proposal file may hold, box by box."""
    names = [row[0] for row in rows]
    return len(set(names)) == len(names) and all(
        name in ('a.jpg', 'b/c.jpg', 'b/d é.jpg')
        and width > 0
        and height > 0
        and all(0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height for x1, y1, x2, y2 in boxes)
        for name, width, height, boxes in rows
    )


def fuzz_signed(path: Path) -> dict:
    """Give rows of any content a valid checksum."""
    counts = {'files': 0, 'refused': 0}

    @settings(max_examples=EXAMPLES, derandomize=True, deadline=None, database=None, suppress_health_check=HealthCheck)
    @given(st.lists(ROW, max_size=4))
    def run(rows: list[tuple]) -> None:
        written = [ProposalRow(*row[:3], np.array(row[3], int).reshape(-1, 4)) for row in rows]
        with mock.patch('mmsoco.proposals.store.find_fault', lambda batch: None):
            write_proposals(path, written, {})
        counts['files'] += 1
        try:
            assert rows_of(path) == rows
            taken = True
        except UserError:
            counts['refused'] += 1
            taken = False
        assert taken == is_good(rows), rows

    run()
    return counts


def peak() -> int:
    """MB that the process has taken at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main(folder: Path) -> Iterator[dict]:
    os.environ[VARIABLE] = str(PIXELS)
    known = readers(folder)
    tasks = {name: lambda path, reader=reader: fuzz(reader, path) for name, reader in known.items()}
    for name, task in {**tasks, 'signed': fuzz_signed}.items():
        used = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + LIMIT, resource.RLIM_INFINITY))
        before = peak()
        print(f'# {name}', file=sys.stderr, flush=True)
        try:
            result = {'fault': None, **task(folder / f'damaged.{name}')}
        except BaseException:
            result = {'fault': traceback.format_exc()}
        yield {'reader': name, 'MB': peak() - before, **result}


if __name__ == '__main__':
    for line in main(Path(sys.argv[1])):
        print(json.dumps(line), flush=True)
