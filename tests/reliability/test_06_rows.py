"""Promise 6: rows that cannot be are refused when a proposal file is opened, and never written."""

import json
import pickle
import re

import numpy as np
import pyarrow as pa
import pytest
from unchecked import row, write_unchecked

from mmsoco.errors import UserError
from mmsoco.proposals import faults
from mmsoco.proposals.store import ProposalStore, _Columns, _schema, write_proposals

GOOD = [0, 0, 40, 30]
BAD = {
    'negative': (dict(boxes=[GOOD, [-1, 0, 5, 5]]), 'has the box [-1, 0, 5, 5] (x1, y1, x2, y2), which lies outside'),
    'inverted': (dict(boxes=[[9, 0, 5, 5]]), 'has the box [9, 0, 5, 5] (x1, y1, x2, y2), which has no area'),
    'inverted in y': (dict(boxes=[[0, 9, 5, 5]]), 'has the box [0, 9, 5, 5] (x1, y1, x2, y2), which has no area'),
    'empty': (dict(boxes=[GOOD, GOOD, [5, 5, 5, 9]]), 'has the box [5, 5, 5, 9] (x1, y1, x2, y2), which has no area'),
    'too wide': (dict(boxes=[[0, 0, 41, 30]]), 'has the box [0, 0, 41, 30] (x1, y1, x2, y2), which lies outside'),
    'too high': (dict(boxes=[[0, 0, 40, 31]]), 'has the box [0, 0, 40, 31] (x1, y1, x2, y2), which lies outside'),
    'no width': (dict(width=0, boxes=[]), 'is an image of 0x30'),
    'no height': (dict(height=0, boxes=[]), 'is an image of 40x0'),
    'negative width': (dict(width=-3, boxes=[]), 'is an image of -3x30'),
    'twice': (dict(name='0.jpg'), 'is there twice'),
}


@pytest.mark.parametrize('kind', BAD)
@pytest.mark.parametrize('chunk', [1, 2, faults.CHUNK])
def test_a_bad_row_is_named(tmp_path, monkeypatch, kind, chunk):
    monkeypatch.setattr(faults, 'CHUNK', chunk)
    changes, words = BAD[kind]
    bad = row(**{'name': 'bad.jpg', **changes})
    # Rows without boxes are allowed; names in another order than a search's.
    rows = [row('0.jpg'), row('z.jpg', boxes=[]), row('1.jpg', boxes=[GOOD] * 3), bad, row('2.jpg')]
    path = write_unchecked(tmp_path / 'p.arrow', rows, dict(root='/images'))
    message = re.escape(f"row 3 ('{bad.file_name}') {words}")
    with pytest.raises(UserError, match=rf'p\.arrow: {message}.*; mend what made the file'):
        ProposalStore.open(path)
    with pytest.raises(UserError, match=rf'q\.arrow would not be read again: {message}'):
        write_proposals(tmp_path / 'q.arrow', rows, {})
    assert not (tmp_path / 'q.arrow').exists()
    del rows[3]
    write_proposals(path, rows, {})
    assert len(ProposalStore.open(path)) == 4


def write_batch(path, columns, **options):
    """Any columns under a valid header, without a checksum."""
    batch = pa.record_batch(columns, schema=_schema(pa.int16()))
    header = json.dumps(dict(format=2, count=batch.num_rows, checksum='')).encode()
    batch = batch.replace_schema_metadata({b'mmsoco.proposals': header})
    with pa.ipc.new_file(str(path), batch.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_batch(batch)
    return path


def columns(**changes):
    good = dict(file_name=['a', 'b', 'c'], width=[40] * 3, height=[30] * 3, boxes=[[], [GOOD], [GOOD, GOOD]])
    types = _schema(pa.int16()).types
    return [pa.array(values, of) for values, of in zip({**good, **changes}.values(), types, strict=True)]


@pytest.mark.parametrize(
    'changes',
    [
        dict(file_name=['a', 'b', None]),
        dict(width=[40, 40, None]),
        dict(height=[40, 40, None]),
        dict(boxes=[[], [GOOD], None]),
        dict(boxes=[[], [GOOD], [GOOD, None]]),
        dict(boxes=[[], [GOOD], [GOOD, [0, 0, None, 30]]]),
    ],
)
def test_a_missing_value_is_named(tmp_path, changes):
    path = write_batch(tmp_path / 'p.arrow', columns(**changes))
    with pytest.raises(UserError, match=r'p\.arrow: row 2 lacks a value; mend what made the file'):
        ProposalStore.open(path)


def test_damaged_offsets_and_names(tmp_path):
    """Neither is followed, whatever the checksum says."""
    for number, (kind, wrong) in enumerate([(0, [0, 2, 1, 3]), (3, [0, 3, 1, 3])]):
        parts = columns(boxes=[[GOOD], [GOOD], [GOOD]])
        buffers = pa.py_buffer(np.array(wrong, np.int64))
        if kind == 0:
            parts[0] = pa.LargeStringArray.from_buffers(3, buffers, pa.py_buffer(b'abc'))
        else:
            parts[3] = pa.Array.from_buffers(parts[3].type, 3, [None, buffers], children=[parts[3].values])
        with pytest.raises(UserError, match='its rows are damaged'):
            ProposalStore.open(write_batch(tmp_path / f'{number}.arrow', parts))
    parts = columns()
    parts[0] = pa.LargeStringArray.from_buffers(3, pa.py_buffer(np.arange(4)), pa.py_buffer(b'a\xffc'))
    with pytest.raises(UserError, match='its rows are damaged'):
        ProposalStore.open(write_batch(tmp_path / 'p.arrow', parts))


@pytest.mark.parametrize('codec', ['lz4', 'zstd'])
def test_a_compressed_file_is_not_decompressed(tmp_path, codec):
    path = write_batch(tmp_path / 'p.arrow', columns(boxes=[[], [GOOD], [GOOD] * 500_000]), compression=codec)
    assert path.stat().st_size < 1e6
    usual, pool = pa.default_memory_pool(), pa.proxy_memory_pool(pa.system_memory_pool())
    pa.set_memory_pool(pool)
    try:
        with pytest.raises(UserError, match='it is compressed, which a proposal file never is'):
            ProposalStore.open(path)
    finally:
        pa.set_memory_pool(usual)
    assert pool.max_memory() < 1e5


def test_workers_do_not_look_again(tmp_path, monkeypatch):
    write_proposals(tmp_path / 'p.arrow', [row()], {})
    store = ProposalStore.open(tmp_path / 'p.arrow')
    monkeypatch.setattr('mmsoco.proposals.store.find_fault', None)
    assert pickle.loads(pickle.dumps(store))[0].file_name == 'a.jpg'


def test_the_whole_of_a_large_image_and_types(tmp_path):
    """Sides at the bounds of the boxes' types."""
    for side in (32767, 32768, 65535, 65536, 2**31 - 1):
        write_proposals(tmp_path / 'p.arrow', [row(width=side, height=1, boxes=[[side - 1, 0, side, 1]])], {})
        assert ProposalStore.open(tmp_path / 'p.arrow')[0].boxes.tolist() == [[side - 1, 0, side, 1]]


def test_sides_larger_than_the_boxes_type(tmp_path):
    """As another writer could make them."""
    parts = columns(width=[100_000] * 3, height=[100_000] * 3)
    assert len(ProposalStore.open(write_batch(tmp_path / 'p.arrow', parts))) == 3
    assert _Columns.of(ProposalStore.open(tmp_path / 'p.arrow')._map()[1]).boxes.dtype == np.int16
