import shutil

import numpy as np
import pytest

from mmsoco.errors import UserError
from mmsoco.images.lists import ImageList
from mmsoco.proposals.filters import STAGES, ProposalFilter, filter_boxes, filter_folder
from mmsoco.proposals.search.folder import search_folder
from mmsoco.proposals.store import ProposalRow, ProposalStore, write_proposals

ALL_RULES, ASPECT_AND_SIDE, SIDE, WHOLE = STAGES
ANY_SIZE = dict(size=(0.0, 1.0))


def box(width, height, x=0, y=0):
    return [x, y, x + width, y + height]


def kept(boxes, side, rules):
    """The boxes that pass all rules in a square image; the last one always passes."""
    result, stage = filter_boxes(np.array(boxes, np.int16), side, side, rules)
    assert stage == ALL_RULES
    return result.tolist()


def test_aspect_keeps_both_bounds():
    rules = ProposalFilter(min_side=0, **ANY_SIZE)
    boxes = [box(90, 30), box(91, 30), box(30, 90), box(30, 91), box(50, 50)]
    assert kept(boxes, 100, rules) == [boxes[0], boxes[2], boxes[4]]


def test_size_keeps_both_bounds():
    rules = ProposalFilter(min_side=0)
    boxes = [box(30, 30), box(30, 29), box(80, 80), box(80, 81), box(18, 50), box(50, 50)]
    assert kept(boxes, 100, rules) == [boxes[0], boxes[2], boxes[4], boxes[5]]


def test_size_is_relative_to_both_sides_of_the_image():
    boxes = np.array([box(60, 60), box(59, 60), box(160, 160), box(160, 161)], np.int16)
    result, stage = filter_boxes(boxes, 400, 100, ProposalFilter(min_side=0))
    assert stage == ALL_RULES
    assert result.tolist() == boxes[[0, 2]].tolist()


def test_side_keeps_its_bound():
    rules = ProposalFilter(**ANY_SIZE)
    boxes = [box(32, 40), box(31, 40), box(40, 32), box(40, 31), box(50, 50)]
    assert kept(boxes, 100, rules) == [boxes[0], boxes[2], boxes[4]]


def test_the_defaults_are_the_papers():
    assert ProposalFilter() == ProposalFilter(max_aspect=3, size=(0.3, 0.8), min_side=32)


@pytest.mark.parametrize(
    ('boxes', 'stage', 'expected'),
    [
        # One box passes all rules: those that only pass the looser ones go.
        ([box(40, 40), box(95, 95), box(33, 100), box(5, 5)], ALL_RULES, [0]),
        # None has the size: aspect and side decide.
        ([box(95, 95), box(90, 95), box(33, 100), box(5, 5)], ASPECT_AND_SIDE, [0, 1]),
        # None has the aspect either.
        ([box(32, 100), box(100, 32), box(5, 5), box(20, 60)], SIDE, [0, 1]),
    ],
)
def test_the_rules_are_loosened_in_turn(boxes, stage, expected):
    boxes = np.array(boxes, np.int16)
    result, served = filter_boxes(boxes, 100, 100, ProposalFilter())
    assert served == stage
    assert result.tolist() == boxes[expected].tolist()


@pytest.mark.parametrize('boxes', [[box(31, 90), box(5, 5)], []])
def test_with_no_box_left_the_whole_image_is_the_box(boxes):
    result, served = filter_boxes(np.array(boxes, np.int16).reshape(-1, 4), 100, 70, ProposalFilter())
    assert served == WHOLE
    assert result.tolist() == [[0, 0, 100, 70]]
    assert result.dtype == np.int16


@pytest.mark.parametrize('dtype', [np.int16, np.uint16, np.int32])
def test_areas_do_not_overflow_the_boxes_type(dtype):
    # 30000 x 30000 wraps around in 16 and in 32 bits.
    boxes = np.array([box(200, 200), box(15000, 15000), box(30000, 30000)], dtype)
    result, served = filter_boxes(boxes, 32000, 32000, ProposalFilter())
    assert served == ALL_RULES
    assert result.tolist() == [box(15000, 15000)]
    assert result.dtype == dtype


@pytest.mark.parametrize(
    'arguments', [dict(max_aspect=0.5), dict(size=(0.8, 0.3)), dict(size=(30.0, 80.0)), dict(min_side=-1)]
)
def test_rules_that_hold_no_box_are_refused(arguments):
    with pytest.raises(UserError, match='cannot hold any box'):
        ProposalFilter(**arguments)


def test_filter_folder_counts_what_served_each_image(tmp_path):
    images = {
        'a.jpg': [box(40, 40), box(95, 95)],
        'b.jpg': [box(95, 95)],
        'c.jpg': [box(32, 100)],
        'd.jpg': [box(5, 5)],
        'e.jpg': [box(40, 40, 3, 4), box(50, 50)],
    }
    rows = [ProposalRow(name, 100, 100, np.array(boxes, np.int32)) for name, boxes in images.items()]
    header = dict(kind='raw', root='/images', generator=dict(name='made up'))
    for i, part in enumerate((rows[:2], rows[2:])):
        failures = [(f'{n}.jpg', 'broken') for n in range(i, 2 * i + 1)]
        write_proposals(tmp_path / 'raw' / f'shard-{i:05d}-of-00002.arrow', part, {**header, 'failures': failures})
    served = filter_folder(tmp_path / 'raw', tmp_path / 'out.arrow', ProposalFilter())
    assert served == {ALL_RULES: 2, ASPECT_AND_SIDE: 1, SIDE: 1, WHOLE: 1}

    store = ProposalStore.open(tmp_path / 'out.arrow')
    store.verify()
    assert {row.file_name: row.boxes.tolist() for row in store} == {
        'a.jpg': [box(40, 40)],
        'b.jpg': [box(95, 95)],
        'c.jpg': [box(32, 100)],
        'd.jpg': [[0, 0, 100, 100]],
        'e.jpg': images['e.jpg'],
    }
    assert all((row.width, row.height) == (100, 100) for row in store)
    assert store.header['kind'] == 'filtered'
    assert store.header['root'] == '/images'
    assert store.header['generator'] == dict(name='made up')
    assert store.header['failures'] == 3
    assert store.header['filter'] == dict(max_aspect=3.0, size=[0.3, 0.8], min_side=32.0)


def test_raw_proposals_of_no_image_make_no_file(tmp_path):
    header = dict(kind='raw', root='/images', generator=dict(name='made up'), failures=[('a.jpg', 'broken')])
    write_proposals(tmp_path / 'raw' / 'shard-00000-of-00001.arrow', [], header)
    with pytest.raises(UserError, match='has proposals of no image'):
        filter_folder(tmp_path / 'raw', tmp_path / 'out.arrow', ProposalFilter())
    assert not (tmp_path / 'out.arrow').exists()


def test_incomplete_raw_proposals_are_refused_with_the_counts(images, tmp_path):
    raw = tmp_path / 'raw'
    search_folder(images, raw, shard_size=2)
    (raw / 'shard-00003-of-00004.arrow').unlink()
    with pytest.raises(UserError, match='holds 3 of 4 shards'):
        filter_folder(raw, tmp_path / 'out.arrow', ProposalFilter())
    assert not (tmp_path / 'out.arrow').exists()


def test_a_list_takes_a_part_of_what_was_searched(images, tmp_path):
    search_folder(images, tmp_path / 'raw')
    chosen = ImageList('two', ['second/6.png', 'first/1.jpg'])
    served = filter_folder(tmp_path / 'raw', tmp_path / 'part.arrow', ProposalFilter(min_side=8), chosen)
    store = ProposalStore.open(tmp_path / 'part.arrow')
    assert sum(served.values()) == 2 and [row.file_name for row in store] == sorted(chosen.names)
    assert store.header['list'] == chosen.describe()
    spelled = ImageList('two', ['second\\6.png', f'{images}/first/1.jpg'])
    filter_folder(tmp_path / 'raw', tmp_path / 'same.arrow', ProposalFilter(min_side=8), spelled)
    assert (tmp_path / 'same.arrow').read_bytes() == (tmp_path / 'part.arrow').read_bytes()
    filter_folder(tmp_path / 'raw', tmp_path / 'all.arrow', ProposalFilter(min_side=8))
    assert ProposalStore.open(tmp_path / 'all.arrow').header['list'] is None
    with pytest.raises(UserError, match=r'lacks 1 of the 2 images of the list, first gone\.jpg'):
        other = ImageList('x', ['first/1.jpg', 'gone.jpg'])
        filter_folder(tmp_path / 'raw', tmp_path / 'none.arrow', ProposalFilter(), other)
    assert not (tmp_path / 'none.arrow').exists()


def test_images_of_a_list_that_could_not_be_read(images, tmp_path):
    """They are no surprise; a wrong name is one, however many could not be read."""
    shutil.copytree(images, tmp_path / 'images')
    (tmp_path / 'images/first/2.png').write_text('not an image')
    search_folder(tmp_path / 'images', tmp_path / 'raw')
    both = ImageList('x', ['first/1.jpg', 'first/2.png'])
    assert sum(filter_folder(tmp_path / 'raw', tmp_path / 'p.arrow', ProposalFilter(), both).values()) == 1
    with pytest.raises(UserError, match=r'lacks 1 of the 2 images of the list, first typo\.png'):
        wrong = ImageList('x', ['first/1.jpg', 'typo.png'])
        filter_folder(tmp_path / 'raw', tmp_path / 'none.arrow', ProposalFilter(), wrong)
