import contextlib
import csv
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import in_processes
import numpy as np
import pytest
from in_processes import FragileSearch, HangingSearch, SlowSearch, WildSearch
from PIL import Image
from textures import textured

from mmsoco.datasets.transforms.formatting import LoadImage
from mmsoco.errors import UserError
from mmsoco.images.lists import ImageList
from mmsoco.proposals.generators.grid import GridBoxes
from mmsoco.proposals.generators.random import RandomBoxes
from mmsoco.proposals.generators.selective_search import SearchParameters, selective_search
from mmsoco.proposals.search.folder import Execution, default_shard_size, search_folder
from mmsoco.proposals.source import read_raw
from mmsoco.proposals.store import ProposalStore

TWO = Execution(jobs=2)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def failures_file(folder):
    with (folder / 'failures.csv').open(newline='', encoding='utf-8') as file:
        return list(csv.reader(file))


def test_opencv_without_the_contrib_modules_is_explained(monkeypatch, images, tmp_path):
    monkeypatch.delattr(cv2, 'ximgproc')
    with pytest.raises(UserError, match='no selective search'):
        search_folder(images, tmp_path / 'raw')


def test_the_result_of_a_folder_does_not_depend_on_the_number_of_jobs(images, raw, tmp_path):
    search_folder(images, tmp_path / 'two', execution=TWO, shard_size=3)
    assert sorted(contents(raw)) == ['failures.csv', *(f'shard-{i:05d}-of-00003.arrow' for i in range(3))]
    assert contents(tmp_path / 'two') == contents(raw)
    assert failures_file(raw) == [['file_name', 'reason']]


def test_rows_of_a_folder_are_its_images_with_their_boxes(images, tmp_path):
    search_folder(images, tmp_path / 'raw', SearchParameters(min_size=20), shard_size=5)
    header, _, rows = read_raw(tmp_path / 'raw')
    rows = list(rows)
    assert [row.file_name for row in rows] == sorted(
        p.relative_to(images).as_posix() for p in images.rglob('*.*g') if p.is_file()
    )
    for row in rows[::3]:
        image = cv2.imread(str(images / row.file_name), cv2.IMREAD_COLOR_RGB)
        assert (row.height, row.width) == image.shape[:2]
        np.testing.assert_array_equal(row.boxes, selective_search(image, SearchParameters(min_size=20)))
    assert header['root'] == str(images.resolve())
    assert header['generator']['min_size'] == 20
    assert header['generator']['opencv'] == cv2.__version__


def test_progress_goes_from_what_is_there_to_the_end(images, copy):
    def states(**arguments):
        seen = []
        search_folder(images, copy, shard_size=3, on_progress=lambda result: seen.append(result.done), **arguments)
        return seen

    assert set(states()) == {8}
    (copy / 'shard-00001-of-00003.arrow').unlink()
    seen = states()
    assert seen[0] == 5 and seen[-1] == 8 and seen == sorted(seen)


def test_a_corrupt_image_fails_alone_and_can_be_searched_again(images, raw, tmp_path):
    root = shutil.copytree(images, tmp_path / 'images')
    (root / 'first' / '2.png').write_text('not an image')
    out = tmp_path / 'raw'
    result = search_folder(root, out, shard_size=4)
    assert (result.done, result.searched) == (8, 7)
    reason = 'not an image but text'
    assert result.failures == {'first/2.png': reason}
    assert failures_file(out) == [['file_name', 'reason'], ['first/2.png', reason]]
    header, failures, rows = read_raw(out)
    names = [row.file_name for row in rows]
    assert len(names) == 7 and 'first/2.png' not in names
    assert header['failures'] == 1 and failures == result.failures

    # Mended: a second run still says what the first found, a third looks again, at that image only.
    shutil.copy(images / 'first' / '2.png', root / 'first' / '2.png')
    (root / 'first' / '1.jpg').unlink()
    (root / 'first' / '1.jpg').write_text('broken since')
    assert search_folder(root, out, shard_size=4).failures == result.failures
    mended = search_folder(root, out, execution=Execution(retry=True), shard_size=4)
    assert (mended.searched, mended.failures) == (8, {})
    assert failures_file(out) == [['file_name', 'reason']]
    assert [row.file_name for row in read_raw(out)[2]] == sorted([*names, 'first/2.png'])


def test_a_resumed_run_makes_only_the_missing_shard_and_the_same_bytes(images, raw, copy):
    def states():
        # An inode may be used again.
        return {(path.name, path.stat().st_ino, path.stat().st_mtime_ns) for path in copy.glob('*.arrow')}

    before = states()
    lost = 'shard-00001-of-00003.arrow'
    (copy / lost).unlink()
    result = search_folder(images, copy, shard_size=3)
    assert (result.searched, result.failures) == (8, {})
    assert contents(copy) == contents(raw)
    assert {name for name, *_ in before - states()} == {lost}


@pytest.mark.parametrize('parameters', [SearchParameters(k=100), SearchParameters('fast'), RandomBoxes()])
def test_another_search_into_the_same_folder_is_refused(images, copy, raw, parameters):
    with pytest.raises(UserError, match=r'was made with generator\.\w+ = .* name another folder, or delete this one'):
        search_folder(images, copy, parameters, shard_size=3)
    assert contents(copy) == contents(raw)


@pytest.mark.parametrize(('first', 'second'), [(3, 2), (5, 6)])
def test_another_shard_size_is_refused(images, tmp_path, first, second):
    """5 and 6 both make two shards of 8 images: their names alone do not tell."""
    search_folder(images, tmp_path / 'raw', GridBoxes(), shard_size=first)
    before = contents(tmp_path / 'raw')
    with pytest.raises(UserError, match='name another folder, or delete this one'):
        search_folder(images, tmp_path / 'raw', GridBoxes(), shard_size=second)
    assert contents(tmp_path / 'raw') == before


def test_another_folder_of_images_is_refused(images, copy, tmp_path):
    shutil.copytree(images, tmp_path / 'others')
    with pytest.raises(UserError, match='was made with root = '):
        search_folder(tmp_path / 'others', copy, shard_size=3)


def test_images_that_were_exchanged_are_noticed(images, tmp_path):
    """Same folder, same number, same first and last."""
    root = shutil.copytree(images, tmp_path / 'images')
    search_folder(root, tmp_path / 'raw', GridBoxes(), shard_size=8)
    (root / 'first' / '1.jpg').rename(root / 'first' / '1a.jpg')
    with pytest.raises(UserError, match='was made with names = '):
        search_folder(root, tmp_path / 'raw', GridBoxes(), shard_size=8)


def test_only_corrupt_images_are_an_error(tmp_path):
    root = tmp_path / 'images'
    root.mkdir()
    for name in ('a.jpg', 'b.png'):
        (root / name).write_text('not an image')
    with pytest.raises(UserError, match=r'none of the 2 images in .* could be read; the first: a\.jpg: not'):
        search_folder(root, tmp_path / 'raw')


def test_a_folder_that_cannot_be_written(images, tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(UserError, match=r'cannot be written|finished shards are kept'):
        search_folder(images, tmp_path / 'file' / 'raw')


def test_an_altered_shard_is_not_made_good_by_another_search(images, tmp_path):
    root = shutil.copytree(images, tmp_path / 'images')
    (root / 'first' / '2.png').write_text('broken')
    search_folder(root, tmp_path / 'raw', GridBoxes(), shard_size=8)
    (shard,) = (tmp_path / 'raw').glob('*.arrow')
    content = shard.read_bytes()
    at = content.find(ProposalStore.open(shard)[0].boxes.tobytes())
    shard.write_bytes(content[:at] + b'\x07' + content[at + 1 :])
    with pytest.raises(UserError, match='does not match its checksum'):
        search_folder(root, tmp_path / 'raw', GridBoxes(), execution=Execution(retry=True), shard_size=8)


def test_a_cut_shard_is_named_with_what_to_do(images, copy):
    shard = copy / 'shard-00001-of-00003.arrow'
    shard.write_bytes(shard.read_bytes()[:200])
    with pytest.raises(UserError, match=r'shard-00001-of-00003\.arrow is not .*; delete this shard and start again'):
        search_folder(images, copy, shard_size=3)


def test_a_shard_keeps_the_headers_facts(raw):
    store = ProposalStore.open(raw / 'shard-00002-of-00003.arrow').verify()
    assert store.header['kind'] == 'raw'
    assert store.header['pictures'] == len(store) == 2
    assert (store.header['first'], store.header['last']) == (store[0].file_name, store[1].file_name)


def test_only_the_images_of_a_list(images, tmp_path):
    chosen = ImageList('three', ['second/5.jpg', 'first/0.png', 'first/1.jpg'])
    assert search_folder(images, tmp_path / 'raw', GridBoxes(), image_list=chosen).searched == 3
    header, _, rows = read_raw(tmp_path / 'raw')
    assert [row.file_name for row in rows] == chosen.names
    assert header['list'] == chosen.describe() and header['list']['title'] == 'three'
    with pytest.raises(UserError, match=r'was made with list\.sha256 = '):
        turned = ImageList('three', chosen.names[::-1])
        search_folder(images, tmp_path / 'raw', GridBoxes(), image_list=turned)
    with pytest.raises(UserError, match=r'1 of 2 are missing, first gone\.jpg'):
        search_folder(images, tmp_path / 'other', image_list=ImageList('x', ['first/0.png', 'gone.jpg']))
    assert not (tmp_path / 'other').exists()


@pytest.mark.parametrize('generator', [RandomBoxes(count=20), GridBoxes()])
def test_other_generators_are_used_like_the_search(images, tmp_path, generator):
    for jobs in (1, 2):
        search_folder(images, tmp_path / str(jobs), generator, execution=Execution(jobs=jobs), shard_size=3)
    assert contents(tmp_path / '1') == contents(tmp_path / '2')
    header, _, rows = read_raw(tmp_path / '1')
    assert header['generator'] == generator.describe()
    for row in rows:
        image = cv2.imread(str(images / row.file_name))
        np.testing.assert_array_equal(row.boxes, generator.propose(image, row.file_name))


def test_a_generator_may_describe_itself_by_tuples(images, tmp_path, monkeypatch):
    """A file has lists in their place, and a second call goes on all the same."""
    monkeypatch.setattr(RandomBoxes, 'describe', lambda self: {'name': 'random', 'sizes': (0.3, 0.5)})
    made = []
    for _ in range(2):
        assert search_folder(images, tmp_path / 'raw', RandomBoxes(count=5), shard_size=3).searched == 8
        made.append([path.stat().st_mtime_ns for path in sorted((tmp_path / 'raw').glob('shard-*'))])
    assert made[0] == made[1] and len(made[0]) == 3


def test_parts_make_the_whole(images, raw, tmp_path):
    for i in range(2):
        result = search_folder(images, tmp_path / 'raw', execution=Execution(part=(i, 2)), shard_size=3)
        assert result.total == result.done == (5, 3)[i]
        if i == 0:
            with pytest.raises(UserError, match='holds 2 of 3 shards'):
                read_raw(tmp_path / 'raw')
    assert contents(tmp_path / 'raw') == contents(raw)
    # More machines than shards: some have nothing to do.
    assert search_folder(images, tmp_path / 'raw', execution=Execution(part=(5, 9)), shard_size=3).total == 0


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (dict(part=(2, 2)), r'no shard 2/2; shards count from 0/2 to 1/2'),
        (dict(timeout=0), 'give a number above 0'),
        (dict(timeout=float('nan')), 'give a number above 0'),
    ],
)
def test_an_execution_that_cannot_run(arguments, words):
    with pytest.raises(UserError, match=words):
        Execution(**arguments)


@pytest.mark.parametrize(('images', 'size'), [(1, 1), (64, 1), (65, 2), (200, 4), (16384, 256), (1281167, 256)])
def test_shards_are_small_enough_to_be_shared(images, size):
    assert default_shard_size(images) == size


@pytest.mark.parametrize('jobs', [1, 2])
def test_a_image_that_hangs_fails_alone(images, tmp_path, jobs):
    generator = HangingSearch('first/3.jpg')
    result = search_folder(images, tmp_path / 'raw', generator, execution=Execution(jobs, timeout=1), shard_size=3)
    assert result.failures == {'first/3.jpg': 'took longer than 1 s'}
    assert result.searched == 7


def test_a_pipe_is_passed_over_and_counted(images, tmp_path):
    root = shutil.copytree(images, tmp_path / 'images')
    os.mkfifo(root / 'first' / '3.png')
    found = []
    result = search_folder(root, tmp_path / 'raw', GridBoxes(), on_found=found.append)
    assert result.failures == {} and result.searched == 8 and found[0].passed_over == {'pipe': 1}


def test_an_image_for_which_the_generator_has_bad_boxes_fails_alone(images, tmp_path):
    result = search_folder(images, tmp_path / 'raw', WildSearch('first/1.jpg'))
    assert result.failures == {'first/1.jpg': 'its generator proposes [5, 5, 5, 9], no box of the image'}
    assert result.searched == 7


@pytest.mark.parametrize('jobs', [1, 2])
def test_a_image_that_kills_its_process_fails_alone(images, tmp_path, jobs):
    generator = FragileSearch(kills='first/1.jpg', raises='second/5.jpg')
    result = search_folder(images, tmp_path / 'raw', generator, execution=Execution(jobs), shard_size=3)
    assert result.failures == {
        'first/1.jpg': 'its process died (killed by SIGKILL)',
        'second/5.jpg': 'needs more memory than there is',
    }
    assert result.searched == 6


def save_odd_images(root):
    """Images of all kinds, the whole of each textured; returns (height, width) as they are to be seen."""
    rgb = textured(72, 96)
    image = Image.fromarray(rgb)
    cv2.imwrite(str(root / '16-bit.png'), rgb.astype(np.uint16) * 256)
    image.convert('L').save(root / 'grey.png')
    image.convert('CMYK').save(root / 'cmyk.jpg')
    image.convert('P').save(root / 'palette.gif')
    image.save(root / 'animated.gif', save_all=True, append_images=[Image.fromarray(255 - rgb)])
    Image.fromarray(np.dstack([rgb, rgb[..., 0]])).save(root / 'alpha.png')
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(root / 'turned.jpg', exif=exif, quality=95)
    sizes = {path.name: (72, 96) for path in root.iterdir()} | {'turned.jpg': (96, 72)}
    for height, width in ((1, 1), (1, 90), (90, 1), (3, 400), (400, 3)):
        Image.fromarray(textured(height, width)).save(root / f'{height}x{width}.png')
        sizes[f'{height}x{width}.png'] = (height, width)
    return sizes


@pytest.mark.parametrize('max_side', [None, 40])
def test_odd_images_have_boxes_in_the_frame_that_the_loader_sees(tmp_path, max_side):
    (tmp_path / 'odd').mkdir()
    sizes = save_odd_images(tmp_path / 'odd')
    generator = SearchParameters(k=60, min_size=20, max_side=max_side)
    result = search_folder(tmp_path / 'odd', tmp_path / 'raw', generator, execution=TWO)
    assert result.failures == {}
    rows = {row.file_name: row for row in read_raw(tmp_path / 'raw')[2]}
    assert {name: (row.height, row.width) for name, row in rows.items()} == sizes
    for name, row in rows.items():
        seen = LoadImage()({'img_path': str(tmp_path / 'odd' / name), 'width': row.width, 'height': row.height})['img']
        np.testing.assert_array_equal(row.boxes, selective_search(seen, generator))
        assert (row.boxes >= 0).all() and (row.boxes[:, 2:] <= (row.width, row.height)).all()
        assert (row.boxes[:, 2:] > row.boxes[:, :2]).all()
        assert len(row.boxes) > (10 if min(row.height, row.width) > 70 else 0)


SEARCH = """
import sys

from in_processes import SlowSearch

from mmsoco.proposals.search.folder import Execution, search_folder

if __name__ == '__main__':
    root, out, jobs = sys.argv[1:]
    search_folder(root, out, SlowSearch(seconds=0.1), Execution(jobs=int(jobs)), shard_size=1)
"""


def processes_with(text):
    """Processes whose command line holds a text."""
    found = []
    for file in Path('/proc').glob('[0-9]*/cmdline'):
        with contextlib.suppress(OSError):
            found += [file] * (text.encode() in file.read_bytes())
    return found


@pytest.mark.parametrize('jobs', [1, 2])
def test_a_killed_run_goes_on_to_the_same_bytes(images, tmp_path, jobs):
    # The name is in the command line of every process of the run, its children included.
    support = shutil.copytree(Path(in_processes.__file__).parent, tmp_path / 'support')
    (support / 'search.py').write_text(SEARCH)
    out = tmp_path / 'raw'
    run = subprocess.Popen(
        [sys.executable, support / 'search.py', images, out, str(jobs)],
        env={**os.environ, 'PYTHONPATH': os.pathsep.join([str(support), *sys.path])},
    )
    deadline = time.monotonic() + 60
    while len(list(out.glob('shard-*.arrow')) if out.exists() else []) < 2:
        assert run.poll() is None and time.monotonic() < deadline
        time.sleep(0.005)
    assert processes_with(str(support))
    run.send_signal(signal.SIGKILL)
    run.wait()
    finished = contents(out)
    assert 2 <= len([name for name in finished if name.startswith('shard')]) < 8
    assert all(ProposalStore.open(out / name).verify() for name in finished if name.startswith('shard'))
    # Workers of another process finish their shard and leave after a while; their children go with them.
    while jobs == 1 and processes_with(str(support)):
        assert time.monotonic() < deadline, 'a child outlives its parent'
        time.sleep(0.05)

    generator = SlowSearch(seconds=0.1)
    # What a run leaves that is killed while writing, long ago.
    (out / '.shard-00007-of-00008.1-01234567.abcd1234.arrow').touch()
    for leftover in out.glob('.*'):
        os.utime(leftover, (0, 0))
    search_folder(images, out, generator, execution=TWO, shard_size=1)
    search_folder(images, tmp_path / 'whole', generator, shard_size=1)
    assert contents(out) == contents(tmp_path / 'whole')


def test_several_folders_and_an_archive(images, tmp_path):
    for name in ('a', 'b'):
        shutil.copytree(images, tmp_path / 'd' / name)
    archive = Path(shutil.make_archive(str(tmp_path / 'd' / 'c'), 'tar', images / 'second'))
    found = []
    paths = [tmp_path / 'd' / 'b' / 'second', archive, tmp_path / 'd' / 'a' / 'first']
    result = search_folder(paths, tmp_path / 'raw', GridBoxes(), on_found=found.append)
    header, _, rows = read_raw(tmp_path / 'raw')
    names = [row.file_name for row in rows]
    assert header['root'] == str(tmp_path / 'd') and names == found[0].names and result.total == 11
    assert [name.rpartition('/')[0] for name in names] == ['a/first'] * 5 + ['b/second'] * 3 + ['c.tar'] * 3
    # A list is relative to the same folder.
    search_folder(paths, tmp_path / 'listed', GridBoxes(), image_list=ImageList('t', names[-2:]))
    assert [row.file_name for row in read_raw(tmp_path / 'listed')[2]] == names[-2:]
    with pytest.raises(UserError, match=r'1 of 1 are missing, first c\.tar/9\.jpg'):
        search_folder(paths, tmp_path / 'other', GridBoxes(), image_list=ImageList('t', ['c.tar/9.jpg']))


def test_a_list_of_several_folders_is_looked_up_in_these_alone(images, tmp_path):
    """Not in all of the folder that they have in common."""
    for name in ('one', 'two'):
        shutil.copytree(images / 'first', tmp_path / 'all' / name)
    (tmp_path / 'all' / 'broken.zip').write_text('no archive')
    names = ['one/0.PNG', './two/1.jpg']
    result = search_folder(
        [tmp_path / 'all' / 'one', tmp_path / 'all' / 'two'],
        tmp_path / 'raw',
        GridBoxes(),
        image_list=ImageList('two', names),
    )
    assert (result.searched, result.failures) == (2, {})
