"""Files of weights that would run code, take memory, or are damaged."""

import io
import pickle
import random
import zipfile
from collections import OrderedDict
from pathlib import Path

import torch


class Marking:
    """Unpickled, it leaves a file."""

    def __init__(self, marker):
        self.marker = str(marker)

    def __reduce__(self):
        return open, (self.marker, 'w')


def write_code(path, marker, kind='zip', content=None):
    """A checkpoint that leaves ``marker`` when it is unpickled; returns its path.

    ``kind`` is zip, legacy, or the number of a pickle protocol.
    """
    content = {'state_dict': OrderedDict(), 'meta': {}, **(content or {}), 'x': Marking(marker)}
    if kind in ('zip', 'legacy'):
        torch.save(content, path, _use_new_zipfile_serialization=kind == 'zip')
    else:
        Path(path).write_bytes(pickle.dumps(content, protocol=int(kind)))
    return path


def archive(pickled, storages=(), compression=zipfile.ZIP_STORED):
    """A zip archive as torch's, with this pickle and these bytes of storages 0, 1, ..."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, 'w', compression) as file:
        file.writestr('archive/data.pkl', pickled)
        file.writestr('archive/byteorder', 'little')
        for number, data in enumerate(storages):
            file.writestr(f'archive/data/{number}', data)
        file.writestr('archive/version', '3\n')
    return buffer.getvalue()


def number(value):
    """A pickle's instruction for a number."""
    return pickle.dumps(value, protocol=2)[2:-1]


def call(name, *arguments):
    """Instructions that call what is named 'module name' with instructions."""
    return b'c' + name.replace(' ', '\n').encode() + b'\n(' + b''.join(arguments) + b'tR'


def tensor(numel, size, stride, offset=0, kind='FloatStorage'):
    """Instructions for a tensor in storage 0."""
    of = b'ctorch\n' + kind.encode() + b'\n'
    storage = b'(' + number('storage') + of + number('0') + number('cpu') + number(numel) + b'tQ'
    shape = number(tuple(size)) + number(tuple(stride))
    return call(
        'torch._utils _rebuild_tensor_v2', storage, number(offset), shape, b'\x89', call('collections OrderedDict')
    )


def pickled(instructions):
    """A whole pickle, a dict with what they make."""
    return b'\x80\x02}' + number('x') + instructions + b's.'


def flipped(data, count, seed=0):
    """Bit -> the bytes with it flipped, at places drawn from the seed."""
    generator = random.Random(seed)
    for _ in range(count):
        bit = generator.randrange(8 * len(data))
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        yield bit, bytes(changed)
