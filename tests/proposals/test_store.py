import gc
import json
import multiprocessing
import pickle
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from mmsoco.errors import UserError
from mmsoco.proposals.store import ProposalRow, ProposalStore, _Columns, write_proposals


def make_rows(side=100, counts=(3, 1, 5), seed=0, folder='folder'):
    rng = np.random.default_rng(seed)
    rows = []
    for i, count in enumerate(counts):
        corners = np.sort(rng.integers(0, [side, side - i], (count, 2, 2)), axis=1)
        corners[:, 1] += 1
        boxes = corners.reshape(-1, 4)
        boxes[:1] = [0, 0, side, side - i]
        rows.append(ProposalRow(f'{folder}/{i}é.jpg', side, side - i, boxes))
    return rows


@pytest.fixture
def path(tmp_path):
    path = tmp_path / 'proposals.arrow'
    write_proposals(path, make_rows(), dict(root='/images'))
    return path


def assert_same(store, rows):
    assert len(store) == len(rows)
    for read, written in zip(store, rows, strict=True):
        assert read[:3] == written[:3]
        np.testing.assert_array_equal(read.boxes, written.boxes)


@pytest.mark.parametrize(
    ('side', 'dtype'), [(100, np.int16), (32767, np.int16), (40000, np.uint16), (65535, np.uint16), (70000, np.int32)]
)
def test_round_trip_in_the_smallest_type_that_holds_the_sides(tmp_path, side, dtype):
    rows = make_rows(side)
    assert write_proposals(tmp_path / 'a.arrow', rows, dict(root='/images')) == 3
    store = ProposalStore.open(tmp_path / 'a.arrow')
    assert_same(store, rows)
    assert all(row.boxes.dtype == dtype for row in store)
    assert store[0].boxes.max() == side
    store.verify()


def test_one_large_image_decides_the_type_of_all(tmp_path):
    rows = [*make_rows(100), *make_rows(40000, folder='large')]
    write_proposals(tmp_path / 'a.arrow', rows, {})
    store = ProposalStore.open(tmp_path / 'a.arrow')
    assert_same(store, rows)
    assert store[0].boxes.dtype == np.uint16


def test_a_generator_of_rows_is_taken(tmp_path):
    rows = make_rows()
    assert write_proposals(tmp_path / 'a.arrow', iter(rows), {}) == len(rows)
    assert_same(ProposalStore.open(tmp_path / 'a.arrow'), rows)


def test_the_same_rows_give_the_same_bytes(tmp_path):
    for name, header in (('a', dict(root='/p', generator={'x': 1, 'y': 2})), ('b', dict(generator={'y': 2, 'x': 1}))):
        write_proposals(tmp_path / name, make_rows(), {'root': '/p', **header})
    assert (tmp_path / 'a').read_bytes() == (tmp_path / 'b').read_bytes()
    write_proposals(tmp_path / 'c', make_rows(seed=1), dict(root='/p', generator={'x': 1, 'y': 2}))
    assert (tmp_path / 'a').read_bytes() != (tmp_path / 'c').read_bytes()


def test_the_header_is_kept_and_completed(path):
    header = ProposalStore.open(path).header
    assert header['root'] == '/images'
    assert header['count'] == 3
    assert header['format'] == 2
    assert len(header['checksum']) == 64


@pytest.mark.parametrize('counts', [(0,), (0, 0), (2, 0, 3), (0, 4), (4, 0)])
def test_rows_without_boxes(tmp_path, counts):
    rows = make_rows(counts=counts)
    write_proposals(tmp_path / 'a.arrow', rows, {})
    store = ProposalStore.open(tmp_path / 'a.arrow')
    assert_same(store, rows)
    assert [row.boxes.shape for row in store] == [(count, 4) for count in counts]
    store.verify()


def test_rows_one_by_one_are_those_in_turn(path):
    store = ProposalStore.open(path)
    for index in (2, 0, 1, 2):
        assert_same([store[index]], [list(store)[index]])


def test_boxes_cannot_change_the_file(path):
    store = ProposalStore.open(path)
    for boxes in (store[2].boxes, list(store)[2].boxes):
        with pytest.raises(ValueError, match='read-only'):
            boxes[0, 0] = 1


def test_rows_of_a_run_through_are_views_and_outlive_their_store(path):
    boxes = [row.boxes for row in ProposalStore.open(path)]
    gc.collect()
    assert not any(part.flags.owndata for part in boxes)
    np.testing.assert_array_equal(boxes[2], make_rows()[2].boxes)


def test_single_rows_leave_the_file_out_of_memory(tmp_path):
    path = tmp_path / 'big.arrow'
    write_proposals(path, make_rows(side=500, counts=[5000] * 400), dict(root='/images'))
    assert path.stat().st_size > 15e6
    store = ProposalStore.open(path)
    for i in range(0, 400, 3):
        store[i]
    maps = Path('/proc/self/smaps').read_text().split(str(path))
    assert len(maps) == 1, 'the file is still mapped'


@pytest.mark.parametrize('index', [3, -1, 100])
def test_rows_out_of_range(path, index):
    with pytest.raises(IndexError, match='of 3'):
        ProposalStore.open(path)[index]


def test_indices_may_be_numpy_integers(path):
    assert ProposalStore.open(path)[np.int64(1)].file_name == 'folder/1é.jpg'


def test_pickling_carries_only_the_path(tmp_path):
    path = tmp_path / 'big.arrow'
    rows = make_rows(side=300, counts=[100] * 200)
    write_proposals(path, rows, dict(root='/images'))
    store = ProposalStore.open(path)
    pickled = pickle.dumps(store)
    assert len(pickled) < 200 + len(str(path))
    assert path.stat().st_size > 100 * len(pickled)
    assert_same(pickle.loads(pickled), rows)


def test_two_processes_read_one_store(path):
    store = ProposalStore.open(path)
    context = multiprocessing.get_context('forkserver')
    with ProcessPoolExecutor(1, context) as one, ProcessPoolExecutor(1, context) as two:
        futures = [pool.submit(ProposalStore.__getitem__, store, i) for i, pool in enumerate((one, two))]
        assert_same([future.result() for future in futures], make_rows()[:2])


def test_a_missing_file(tmp_path):
    with pytest.raises(UserError, match=r'gone\.arrow does not exist; make it with mmsoco search'):
        ProposalStore.open(tmp_path / 'gone.arrow')


@pytest.mark.parametrize('part', [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_file(path, part):
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    with pytest.raises(UserError, match=r'proposals\.arrow is not a proposal file, or not all of one \(.+\)') as error:
        ProposalStore.open(path)
    assert '\n' not in str(error.value)


def test_a_file_of_another_kind(tmp_path):
    path = tmp_path / 'a.json'
    path.write_text(json.dumps({'a.jpg': [[1, 2, 3, 4]] * 100}))
    with pytest.raises(UserError, match=r'a\.json is not a proposal file'):
        ProposalStore.open(path)


def test_a_folder_is_not_a_proposal_file(tmp_path):
    with pytest.raises(UserError, match='is not a proposal file'):
        ProposalStore.open(tmp_path)


def test_an_arrow_file_without_a_header(tmp_path):
    path = tmp_path / 'other.arrow'
    batch = pa.record_batch([pa.array([1, 2, 3])], names=['numbers'])
    with pa.OSFile(str(path), 'wb') as sink, pa.ipc.new_file(sink, batch.schema) as writer:
        writer.write_batch(batch)
    with pytest.raises(UserError, match=r'other\.arrow is an Arrow file but holds no proposals'):
        ProposalStore.open(path)


def test_another_format_number(tmp_path):
    write_proposals(tmp_path / 'a.arrow', make_rows(), dict(format=1))
    with pytest.raises(UserError, match='has format 1, this mmsoco reads 2; make the file again'):
        ProposalStore.open(tmp_path / 'a.arrow')


def test_another_number_of_rows_than_the_header_says(tmp_path):
    write_proposals(tmp_path / 'a.arrow', make_rows(), dict(count=4))
    with pytest.raises(UserError, match='should hold 4 rows but holds 3'):
        ProposalStore.open(tmp_path / 'a.arrow')


def alter(path, content, offset=0):
    """Change one byte of the only place in a file that holds ``content``."""
    data = bytearray(path.read_bytes())
    assert data.count(content) == 1
    data[data.find(content) + offset] ^= 4
    path.write_bytes(data)


def test_verify_detects_an_altered_byte_in_the_boxes(path):
    ProposalStore.open(path).verify()
    flat = np.concatenate([row.boxes for row in make_rows()]).astype(np.int16)
    alter(path, flat.tobytes(), offset=flat.nbytes // 2)
    store = ProposalStore.open(path)
    with pytest.raises(UserError, match='does not match its checksum'):
        store.verify()


def test_verify_detects_an_altered_name(path):
    alter(path, ''.join(row.file_name for row in make_rows()).encode())
    store = ProposalStore.open(path)
    with pytest.raises(UserError, match='does not match its checksum'):
        store.verify()


def test_the_type_of_boxes_is_part_of_the_checksum(path):
    header, batch, _ = ProposalStore.open(path)._map()
    columns = _Columns.of(batch)
    other = columns._replace(boxes=columns.boxes.view(np.uint16))
    assert columns.checksum(header) == header['checksum'] != other.checksum(header)


FUZZ = """
import sys
from pathlib import Path

from mmsoco.errors import UserError
from mmsoco.proposals.store import ProposalStore

whole, path = Path(sys.argv[1]).read_bytes(), Path(sys.argv[2])
refused = 0
for at in range(0, len(whole), 3):
    for change in (1, 0x80):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ change]) + whole[at + 1 :])
        try:
            rows = list(ProposalStore.open(path).verify())
        except UserError as error:
            assert '\\n' not in str(error), at
            refused += 1
        else:
            # Arrow has bytes that say nothing: padding, and what it repeats.
            expected = list(ProposalStore.open(sys.argv[1]))
            assert str(rows) == str(expected), at
print(refused)
"""


def test_no_altered_byte_is_taken_for_proposals(path, tmp_path):
    """In a process of its own: a bad length must not be followed out of the file, which kills."""
    run = subprocess.run(
        [sys.executable, '-c', FUZZ, path, tmp_path / 'altered.arrow'], capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 0, (run.returncode, run.stderr)
    assert int(run.stdout) > 500
