"""Promise 7: what was cut is refused where the format can tell; pickles take no more memory than they hold."""

import json
import pickle
import struct
import subprocess
import sys

import numpy as np
import pytest

from mmsoco.errors import UserError
from mmsoco.images.mini_coco import read_annotations
from mmsoco.proposals.formats.base import BoxFile, read_json
from mmsoco.proposals.formats.csv import Csv
from mmsoco.proposals.formats.mmdet import MMDet

LINES = 'file_name,width,height,x1,y1,x2,y2\na.jpg,400,300,10,20,110,120\nb.jpg,400,300,10,20,115,125\n'


def read(box_format, path):
    return [(entry.name, entry.boxes.tolist()) for entry in box_format.read(BoxFile(path))]


def test_a_csv_cut_anywhere_but_between_lines_is_refused(tmp_path):
    path = tmp_path / 'b.csv'
    for end in ('\n', '\r\n'):
        whole = LINES.replace('\n', end).encode()
        path.write_bytes(whole)
        assert len(read(Csv(), path)) == 2
        # From the second line on; the first alone has no boxes, which is refused later.
        for at in range(whole.find(end.encode()) + len(end) + 1, len(whole)):
            if whole[:at].endswith((b'\n', b'\r')):
                continue
            path.write_bytes(whole[:at])
            with pytest.raises(UserError, match=r'was the file cut off|are not all numbers') as error:
                read(Csv(), path)
            assert '\n' not in str(error.value)


def test_a_json_cut_anywhere_is_refused(tmp_path):
    path = tmp_path / 'b.json'
    image = {'id': 1, 'file_name': 'a.jpg', 'width': 40, 'height': 30}
    whole = json.dumps({'images': [image], 'annotations': [], 'categories': []})
    for at in range(len(whole)):
        path.write_text(whole[:at])
        with pytest.raises(UserError, match='is not a JSON file'):
            read_json(path)
        with pytest.raises(UserError, match='it is not JSON, or cut off'):
            read_annotations(path)


def test_a_json_without_end_of_depth(tmp_path):
    (tmp_path / 'b.json').write_text('[' * 100_000)
    with pytest.raises(UserError, match='is not a JSON file'):
        read_json(tmp_path / 'b.json')


class Reduced:
    """Pickles as a call and a state."""

    def __init__(self, *reduction):
        self.reduction = reduction

    def __reduce__(self):
        return self.reduction


def reconstructed(shape, content, of='f4', first=(0,)):
    made = np.zeros(1).__reduce__()[0]
    return Reduced(made, (np.ndarray, first, b'b'), (1, shape, np.dtype(of), False, content))


HUGE = (2**33, 4)
SHARED = np.ones((100_000, 4), np.int8)
BOMBS = {
    'a shape without content': reconstructed(HUGE, b''),
    'numbers of no bytes': reconstructed(HUGE, b'', of='S0'),
    'made at once': Reduced(np.ndarray, (HUGE,)),
    'a large number': Reduced(np.float64(1).__reduce__()[0], (np.dtype('V2000000000'),)),
    'of a large type': reconstructed((1,), b'', of='V2000000000'),
}


@pytest.mark.parametrize('kind', BOMBS)
@pytest.mark.parametrize('protocol', [2, 4])
def test_pickles_of_huge_arrays(tmp_path, kind, protocol):
    (tmp_path / 'p.pkl').write_bytes(pickle.dumps({'a/b.jpg': dict(bboxes=BOMBS[kind])}, protocol))
    with pytest.raises(UserError, match=r'p\.pkl is not (loaded|a pickle)'):
        read(MMDet(), tmp_path / 'p.pkl')


def test_the_shape_that_an_array_begins_with_takes_no_memory(tmp_path):
    entry = dict(bboxes=reconstructed((1, 4), bytes(16), first=HUGE))
    (tmp_path / 'p.pkl').write_bytes(pickle.dumps({'a/b.jpg': entry}))
    assert read(MMDet(), tmp_path / 'p.pkl') == [('a/b.jpg', [[0, 0, 0, 0]])]


def test_an_array_under_many_names(tmp_path):
    entry = dict(bboxes=SHARED)
    (tmp_path / 'p.pkl').write_bytes(pickle.dumps({f'a/{i}.jpg': entry for i in range(10_000)}))
    assert (tmp_path / 'p.pkl').stat().st_size < 1e6
    with pytest.raises(UserError, match='names more boxes than it has bytes'):
        for _ in MMDet().read(BoxFile(tmp_path / 'p.pkl')):
            pass


MEMO = """
import resource, sys
from pathlib import Path
from mmsoco.errors import UserError
from mmsoco.proposals.formats.base import BoxFile
from mmsoco.proposals.formats.mmdet import MMDet

before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    list(MMDet().read(BoxFile(Path(sys.argv[1]))))
except UserError as error:
    print(error)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_numbers_of_objects_take_no_memory(tmp_path):
    """Python's own reader in C makes room for all numbers up to that of an object."""
    number = struct.pack('<I', 2**28)
    (tmp_path / 'p.pkl').write_bytes(b'\x80\x02]r' + number + b'.')
    run = subprocess.run([sys.executable, '-c', MEMO, tmp_path / 'p.pkl'], capture_output=True, text=True, check=True)
    words, peak = run.stdout.splitlines()
    assert 'does not say which image' in words and int(peak) < 50


def test_code_is_not_changed_by_a_state(tmp_path):
    import mmengine.structures

    state = Reduced(mmengine.structures.InstanceData, (), None)
    dumped = pickle.dumps({'a/b.jpg': state}, 2)
    # The class itself instead of what it makes, and a state for it.
    changed = dumped.replace(b')R', b'}q\x09X\x01\x00\x00\x00xK\x01sb')
    assert changed != dumped
    (tmp_path / 'p.pkl').write_bytes(changed)
    with pytest.raises(UserError, match='it sets a state of type'):
        read(MMDet(), tmp_path / 'p.pkl')


def test_what_mmengine_writes_is_read(tmp_path):
    """By protocol 2, in which bytes are a call."""
    from mmengine.fileio import dump

    boxes = np.asfortranarray(np.array([[0, 0, 30, 20], [5, 6, 40, 30]], '>f8'))
    dump({'a/b.jpg': dict(bboxes=boxes, scores=np.ones(2, np.float16))}, tmp_path / 'p.pkl')
    assert read(MMDet(), tmp_path / 'p.pkl') == [('a/b.jpg', boxes.tolist())]


@pytest.mark.parametrize('entry', [dict(bboxes=[[0, 0, 5, 5]]), dict(bboxes=np.zeros((1, 4)), scores=[1.0])])
def test_lists_in_a_pickle(tmp_path, entry):
    """Of references to each other they could stand for any number."""
    (tmp_path / 'p.pkl').write_bytes(pickle.dumps({'a/b.jpg': entry}))
    with pytest.raises(UserError, match='are no numpy array'):
        read(MMDet(), tmp_path / 'p.pkl')
