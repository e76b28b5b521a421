import importlib
import json
import sys

import numpy as np
import pytest
from box_files import BOXES, EVERYTHING, contents

from mmsoco.errors import UserError
from mmsoco.proposals import formats
from mmsoco.proposals.convert import export_boxes, find_format, import_boxes
from mmsoco.proposals.formats.base import Boxes, BoxFile, BoxFormat
from mmsoco.proposals.registry import FORMATS
from mmsoco.proposals.store import ProposalStore

LINES = """
import numpy as np

from mmsoco.proposals.formats.base import BoxFormat, Boxes
from mmsoco.proposals.registry import FORMATS


@FORMATS.register('lines')
class Lines(BoxFormat):
    endings = ('.txt',)

    def read(self, file):
        for number, line in enumerate(file.path.read_text().splitlines(), 1):
            name, *boxes = line.split()
            yield Boxes(name, np.array(boxes, float).reshape(-1, 4), lambda i, n=number: f'line {n}, box {i + 1}')

    def write(self, store, file):
        with file.open_to_write() as text:
            for row in store:
                print(row.file_name, *row.boxes.ravel().tolist(), file=text)
"""


@pytest.fixture
def registered(monkeypatch):
    """The formats, where a test may add some."""
    monkeypatch.setattr(FORMATS, '_classes', dict(FORMATS))
    return FORMATS


@pytest.fixture
def lines(registered, monkeypatch, tmp_path):
    """A file with a format, put into the package."""
    (tmp_path / 'put').mkdir()
    (tmp_path / 'put/lines.py').write_text(LINES)
    monkeypatch.setattr(formats, '__path__', [*formats.__path__, str(tmp_path / 'put')])
    importlib.invalidate_caches()
    yield
    sys.modules.pop('mmsoco.proposals.formats.lines')


def test_a_new_format_is_one_file(lines, store, root, tmp_path):
    assert list(FORMATS) == ['official', 'coco', 'mmdet', 'csv', 'lines']
    assert export_boxes(store, tmp_path / 'b.txt') == 3
    assert (tmp_path / 'b.txt').read_text().splitlines()[0] == 'n01/n01_1.png 0 0 30 20 5 6 40 30'
    import_boxes(tmp_path / 'b.txt', tmp_path / 'back.arrow', root)
    assert contents(tmp_path / 'back.arrow') == EVERYTHING
    assert ProposalStore.open(tmp_path / 'back.arrow').header['generator']['name'] == 'lines'
    (tmp_path / 'b.txt').write_text('n01/n01_1.png 0 0 30 20\nn01/n01_2.png 0 0 9 9 0 0 99 9\n')
    with pytest.raises(UserError, match=r'line 2, box 2: the box .* leaves its image'):
        import_boxes(tmp_path / 'b.txt', tmp_path / 'x.arrow', root)


class Wrapped(BoxFormat):
    """A JSON file with one key more than the official one."""

    endings = ('.json',)

    def recognises(self, file):
        return isinstance(file.json, dict) and 'wrapped' in file.json

    def read(self, file):
        for name, boxes in file.json['wrapped'].items():
            yield Boxes(name, np.array(boxes, float).reshape(-1, 4), str)

    def write(self, store, file):
        raise NotImplementedError


def test_a_new_format_may_share_an_ending(registered, root, tmp_path):
    registered.register('wrapped')(Wrapped)
    (tmp_path / 'b.json').write_text(json.dumps({'wrapped': BOXES}))
    import_boxes(tmp_path / 'b.json', tmp_path / 'a.arrow', root)
    assert contents(tmp_path / 'a.arrow') == EVERYTHING
    for content, kind in (({'a': []}, 'official'), ({'images': []}, 'coco'), ([], 'coco'), ('text', 'official')):
        (tmp_path / 'c.json').write_text(json.dumps(content))
        assert find_format(BoxFile(tmp_path / 'c.json'), to_read=True) == kind


def test_two_formats_that_are_sure_are_one_too_many(registered, tmp_path):
    registered.register('wrapped')(Wrapped)
    (tmp_path / 'b.json').write_text(json.dumps({'wrapped': {}, 'images': []}))
    with pytest.raises(UserError, match='is not clear; name one by --format: official, coco, mmdet, csv, wrapped'):
        find_format(BoxFile(tmp_path / 'b.json'), to_read=True)


def test_an_unknown_format_is_refused(store, root, tmp_path):
    words = "format 'voc' is unknown; choose one of official, coco, mmdet, csv"
    with pytest.raises(UserError, match=words):
        export_boxes(store, tmp_path / 'b.csv', 'voc')
    with pytest.raises(UserError, match=words):
        import_boxes(tmp_path / 'b.csv', tmp_path / 'a.arrow', root, kind='voc')
