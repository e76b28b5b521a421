import shutil

import cv2
import numpy as np
import pytest

from mmsoco.errors import UserError
from mmsoco.proposals.lists import PictureList
from mmsoco.proposals.random_boxes import RandomBoxes
from mmsoco.proposals.raw import read_raw, search_folder
from mmsoco.proposals.selective_search import SearchParameters, selective_search
from mmsoco.proposals.store import ProposalStore


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_opencv_without_the_contrib_modules_is_explained(monkeypatch, pictures, tmp_path):
    monkeypatch.delattr(cv2, 'ximgproc')
    with pytest.raises(UserError, match='no selective search'):
        search_folder(pictures, tmp_path / 'raw')


def test_the_result_of_a_folder_does_not_depend_on_the_number_of_jobs(pictures, tmp_path):
    for jobs in (1, 2):
        searched, failures = search_folder(pictures, tmp_path / str(jobs), jobs=jobs, shard_size=3)
        assert (searched, failures) == (8, [])
    one, two = contents(tmp_path / '1'), contents(tmp_path / '2')
    assert sorted(one) == [f'shard-{i:05d}-of-00003.arrow' for i in range(3)]
    assert one == two


def test_rows_of_a_folder_are_its_pictures_with_their_boxes(pictures, tmp_path):
    search_folder(pictures, tmp_path / 'raw', SearchParameters(min_size=20), shard_size=5)
    header, _, rows = read_raw(tmp_path / 'raw')
    rows = list(rows)
    assert [row.file_name for row in rows] == sorted(
        p.relative_to(pictures).as_posix() for p in pictures.rglob('*.*g') if p.is_file()
    )
    for row in rows[::3]:
        picture = cv2.imread(str(pictures / row.file_name), cv2.IMREAD_COLOR_RGB)
        assert (row.height, row.width) == picture.shape[:2]
        np.testing.assert_array_equal(row.boxes, selective_search(picture, SearchParameters(min_size=20)))
    assert header['root'] == str(pictures.resolve())
    assert header['generator']['min_size'] == 20
    assert header['generator']['opencv'] == cv2.__version__


def test_progress_counts_every_picture_also_those_of_finished_shards(pictures, tmp_path):
    calls = []
    search_folder(pictures, tmp_path / 'raw', shard_size=3, on_picture=lambda *call: calls.append(call))
    assert calls == [(i, 8, None) for i in range(1, 9)]
    calls.clear()
    search_folder(pictures, tmp_path / 'raw', shard_size=3, on_picture=lambda *call: calls.append(call))
    assert calls == [(3, 8, None), (6, 8, None), (8, 8, None)]


def test_a_corrupt_picture_is_reported_and_skipped(pictures, tmp_path):
    root = tmp_path / 'pictures'
    shutil.copytree(pictures, root)
    (root / 'first' / '2.png').write_text('not a picture')
    calls = []
    searched, failures = search_folder(
        root, tmp_path / 'raw', shard_size=4, on_picture=lambda *call: calls.append(call)
    )
    assert searched == 7
    assert len(failures) == 1 and str(root / 'first' / '2.png') in failures[0]
    assert [call for call in calls if call[2] is not None] == [(3, 8, failures[0])]
    header, _, rows = read_raw(tmp_path / 'raw')
    names = [row.file_name for row in rows]
    assert len(names) == 7 and 'first/2.png' not in names
    assert header['failures'] == 1
    # A second run, with nothing left to do, still says so.
    assert search_folder(root, tmp_path / 'raw', shard_size=4) == (searched, failures)


def test_a_resumed_run_makes_only_the_missing_shard_and_the_same_bytes(pictures, tmp_path):
    raw = tmp_path / 'raw'
    search_folder(pictures, raw, shard_size=3)
    before = contents(raw)
    times = {path.name: path.stat().st_mtime_ns for path in raw.iterdir()}
    inodes = {path.name: path.stat().st_ino for path in raw.iterdir()}
    lost = 'shard-00001-of-00003.arrow'
    (raw / lost).unlink()
    assert search_folder(pictures, raw, shard_size=3) == (8, [])
    assert contents(raw) == before
    for path in raw.iterdir():
        same = path.stat().st_mtime_ns == times[path.name] and path.stat().st_ino == inodes[path.name]
        assert same == (path.name != lost)


@pytest.mark.parametrize('parameters', [SearchParameters(k=100), SearchParameters('fast'), SearchParameters(sigma=0.5)])
def test_other_parameters_into_the_same_folder_are_refused(pictures, tmp_path, parameters):
    raw = tmp_path / 'raw'
    search_folder(pictures, raw)
    before = contents(raw)
    with pytest.raises(UserError, match=r'was made with generator = .* name another folder or delete it'):
        search_folder(pictures, raw, parameters)
    assert contents(raw) == before


@pytest.mark.parametrize(('first', 'second'), [(3, 2), (5, 6)])
def test_another_shard_size_is_refused(pictures, tmp_path, first, second):
    """5 and 6 both make two shards of 8 pictures: their names alone do not tell."""
    search_folder(pictures, tmp_path / 'raw', shard_size=first)
    before = contents(tmp_path / 'raw')
    with pytest.raises(UserError, match='name another folder or delete it'):
        search_folder(pictures, tmp_path / 'raw', shard_size=second)
    assert contents(tmp_path / 'raw') == before


def test_another_folder_of_pictures_is_refused(pictures, tmp_path):
    search_folder(pictures, tmp_path / 'raw')
    shutil.copytree(pictures, tmp_path / 'copy')
    with pytest.raises(UserError, match='was made with root = '):
        search_folder(tmp_path / 'copy', tmp_path / 'raw')


def test_only_corrupt_pictures_are_an_error(tmp_path):
    root = tmp_path / 'pictures'
    root.mkdir()
    for name in ('a.jpg', 'b.png'):
        (root / name).write_text('not a picture')
    with pytest.raises(UserError, match=r'none of the 2 pictures in .* could be read; the first: .*a\.jpg'):
        search_folder(root, tmp_path / 'raw')


def test_raw_proposals_that_are_missing_or_incomplete_are_refused(pictures, tmp_path):
    with pytest.raises(UserError, match='holds no raw proposals'):
        read_raw(tmp_path)
    search_folder(pictures, tmp_path / 'raw', shard_size=3)
    (tmp_path / 'raw' / 'shard-00000-of-00003.arrow').unlink()
    with pytest.raises(UserError, match='holds 2 of 3 shards'):
        read_raw(tmp_path / 'raw')


def test_a_shard_keeps_the_headers_facts(pictures, tmp_path):
    search_folder(pictures, tmp_path / 'raw', shard_size=6)
    store = ProposalStore.open(tmp_path / 'raw' / 'shard-00001-of-00002.arrow')
    store.verify()
    assert store.header['kind'] == 'raw'
    assert store.header['pictures'] == len(store) == 2
    assert (store.header['first'], store.header['last']) == (store[0].file_name, store[1].file_name)


def test_only_the_pictures_of_a_list(pictures, tmp_path):
    chosen = PictureList('three', ['second/5.jpg', 'first/0.png', 'first/1.jpg'])
    assert search_folder(pictures, tmp_path / 'raw', picture_list=chosen) == (3, [])
    header, _, rows = read_raw(tmp_path / 'raw')
    assert [row.file_name for row in rows] == chosen.names
    assert header['list'] == chosen.describe() and header['list']['title'] == 'three'
    with pytest.raises(UserError, match='was made with list = '):
        search_folder(pictures, tmp_path / 'raw', picture_list=PictureList('three', chosen.names[::-1]))
    with pytest.raises(UserError, match=r'1 of 2 are missing, first gone\.jpg'):
        search_folder(pictures, tmp_path / 'other', picture_list=PictureList('x', ['first/0.png', 'gone.jpg']))
    assert not (tmp_path / 'other').exists()


def test_random_boxes_are_a_method_like_any_other(pictures, tmp_path):
    for jobs in (1, 2):
        search_folder(pictures, tmp_path / str(jobs), RandomBoxes(count=20), jobs=jobs, shard_size=3)
    assert contents(tmp_path / '1') == contents(tmp_path / '2')
    header, _, rows = read_raw(tmp_path / '1')
    assert header['generator'] == {'name': 'random_boxes', 'count': 20, 'seed': 0}
    assert all(15 < len(row.boxes) <= 20 for row in rows)
