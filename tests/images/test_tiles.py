from itertools import pairwise

import numpy as np
import pytest

from mmsoco.errors import UserError
from mmsoco.images.tiles import Tiling, split_name


@pytest.mark.parametrize('width, height', [(100, 100), (101, 64), (640, 333), (64, 1000), (1000, 40)])
@pytest.mark.parametrize('overlap', [0, 0.1, 0.5])
def test_windows_cover_the_image_and_overlap(width, height, overlap):
    windows = Tiling(64, overlap).windows(width, height)
    seen = np.zeros((height, width), bool)
    for x, y, w, h in windows:
        assert (w, h) == (min(64, width), min(64, height)) and x + w <= width and y + h <= height
        seen[y : y + h, x : x + w] = True
    assert seen.all() and len(set(windows)) == len(windows)
    columns = sorted({x for x, *_ in windows})
    assert all(b - a <= int(64 * (1 - overlap)) for a, b in pairwise(columns))


def test_names_say_the_window_and_are_read_again():
    names = Tiling(64, 0).names('a/b.tif', 128, 64)
    assert names == ['a/b.tif#xywh=0,0,64,64', 'a/b.tif#xywh=64,0,64,64']
    assert [split_name(name) for name in names] == [('a/b.tif', (0, 0, 64, 64)), ('a/b.tif', (64, 0, 64, 64))]
    assert Tiling(64).names('small.tif', 60, 64) == ['small.tif']
    for name in ('a.tif', 'a#xywh=1,2,3', 'a#xywh=1,2,3,4.png', 'a#xywh=percent:1,2,3,4'):
        assert split_name(name) == (name, None)


@pytest.mark.parametrize('options', [(0,), (31,), (64, -0.1), (64, 0.95)])
def test_tiles_that_cannot_be_are_refused(options):
    with pytest.raises(UserError, match='cannot be'):
        Tiling(*options)
