"""Every reader of files, given damaged ones: no other error than the project's own, no memory, no silent change.

``MMSOCO_FUZZ=25`` gives 25 times as many.
"""

import json
import os
import subprocess
import sys

import fuzz_readers
import pytest

READERS = (
    *('proposals', 'list', 'csv', 'coco', 'results', 'official', 'mmdet', 'mmdet_2', 'annotations'),
    *(f'image_{kind}' for kind in fuzz_readers.image_files()),
    'signed',
)


@pytest.fixture(scope='module')
def results(tmp_path_factory, root):
    """Reader -> what became of it; in a process of its own, as a bad length could kill it."""
    run = subprocess.run(
        [sys.executable, fuzz_readers.__file__, tmp_path_factory.mktemp('fuzz')],
        env={**os.environ, 'PYTHONPATH': os.pathsep.join(filter(None, [str(root), os.environ.get('PYTHONPATH')]))},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, (run.returncode, run.stderr[-2000:])
    return {line['reader']: line for line in map(json.loads, run.stdout.splitlines())}


def test_no_reader_is_left_out(results):
    assert list(results) == list(READERS)


@pytest.mark.parametrize('reader', READERS)
def test_damaged_files(results, reader):
    result = results[reader]
    assert result['fault'] is None, result['fault']
    # Most are refused; some are still whole, or say something else where no checksum tells.
    assert result['files'] >= 60 and result['refused'] > result['files'] // 10
    assert result['MB'] < 100
