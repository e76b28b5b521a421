import json

import pytest

from mmsoco.errors import UserError
from mmsoco.images.reading import Reading


def test_plain_rgb_says_nothing_of_itself():
    """Files of earlier versions stay valid, and new ones of plain images the same."""
    assert Reading().describe() == {} and Reading.of({}) == Reading()


@pytest.mark.parametrize(
    'reading', [Reading(13), Reading(value_range=(0, 4095)), Reading(5, 'type', (5, 3, 1)), Reading(1, 'percentiles')]
)
def test_a_header_keeps_it(reading):
    assert Reading.of(json.loads(json.dumps(reading.describe()))) == reading


@pytest.mark.parametrize(
    'options, words',
    [
        (dict(channels=0), '1 or more'),
        (dict(value_range='bits'), "'bits' is unknown"),
        (dict(value_range=(5, 5)), 'no range'),
        (dict(value_range=(1, 2, 3)), 'no range'),
        (dict(channels=4, triple=(0, 1, 2)), 'channels 1 to 4'),
        (dict(channels=4, triple=(3, 4, 5)), 'channels 1 to 4'),
        (dict(triple=(1, 2)), 'three of the channels'),
    ],
)
def test_what_makes_no_sense_is_refused(options, words):
    with pytest.raises(UserError, match=words):
        Reading(**options)
