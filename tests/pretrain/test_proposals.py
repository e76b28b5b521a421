import itertools
import math
import re

import pytest

from mmsoco.pretrain.inspection import Facts
from mmsoco.pretrain.proposals import MAX_SIDE, SEGMENTS, SIZES, TILE, filter_for, filter_row, search_for
from mmsoco.proposals.filters import ProposalFilter


def facts(shorter=400, longer=500, found=300, **changes):
    parts = dict(unreadable={}, duplicates=[], sides=(shorter, longer), smallest=(9, 9), largest=(9, 9))
    return Facts(root='/images', found=found, readable=found, **{**parts, **changes}, kinds={'RGB': 200}, sampled=200)


@pytest.mark.parametrize(
    ('size', 'longer', 'options'),
    [
        ('small', 300, '--k 100 --min-size 20'),
        ('small', 1900, '--k 100 --min-size 20'),
        ('small', 4000, '--k 100 --min-size 20 --tile 512'),
        ('medium', 600, '--k 200 --min-size 50'),
        ('medium', 700, '--k 200 --min-size 50 --max-side 640'),
        ('large', 300, '--k 300 --min-size 100'),
        ('large', 4000, '--k 300 --min-size 100 --max-side 320'),
    ],
)
def test_the_search_fits_objects_and_images(size, longer, options):
    search, row = search_for(size, facts(longer=longer))
    assert str(search) == options and size in row.why
    assert ('vanish' in row.why) is ('--tile' in options)
    assert search.parameters.k == search.k and (search.tiling is None) is (search.tile is None)


@pytest.mark.parametrize('size', SIZES)
def test_images_that_cannot_be_read_as_a_whole_are_searched_in_tiles(size):
    search, row = search_for(size, facts(shorter=20_000, longer=30_000))
    assert search.tile == TILE and 'too large to be read' in row.why


def test_the_filter_of_large_objects_is_the_papers():
    assert filter_for('large', 400) == ProposalFilter()


@pytest.mark.parametrize(('size', 'shorter'), itertools.product(SIZES, (128, 500, 5000)))
def test_filters_keep_boxes_of_their_size(size, shorter):
    rules = filter_for(size, shorter)
    low, high = SIZES[size]
    assert rules.size == (low, high) and 8 <= rules.min_side <= 32
    # A square box of the middle size passes.
    assert math.sqrt(low * high) * shorter >= rules.min_side


def test_the_quickstarts_own_filter_is_near_the_middle_one():
    """It was chosen by hand for its sheets of 128 px: sides from 12 px on."""
    assert filter_for('medium', 128).min_side == 12


def test_the_row_of_a_filter_says_who_chose_it():
    rules = filter_for('medium', 400)
    assert filter_row(rules, 'medium', asked=False).why.startswith('for medium objects, as nothing is said')
    assert filter_row(rules, 'medium', asked=True).why == '--size medium'


@pytest.mark.parametrize('size', SIZES)
def test_the_page_says_what_each_size_means(root, size):
    (row,) = re.findall(rf'\n\| `{size}`(.*)', (root / 'docs/choose_proposals.md').read_text())
    low, high = SIZES[size]
    k, least = SEGMENTS[size]
    assert f'`--size {low} {high}`' in row and f'`--k {k} --min-size {least}`' in row
    assert f'at most {MAX_SIDE[size]} px' in row if MAX_SIDE[size] else f'tiles of {TILE} px' in row
