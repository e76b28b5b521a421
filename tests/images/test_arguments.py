import argparse

import pytest

from mmsoco.errors import UserError
from mmsoco.images.arguments import add_reading_arguments, reading_of
from mmsoco.images.reading import Reading


def parsed(*words):
    parser = argparse.ArgumentParser()
    add_reading_arguments(parser)
    return reading_of(parser.parse_args(words))


def test_what_is_said_is_read():
    assert parsed() == Reading()
    assert parsed('--channels', '13', '--triple', '4', '3', '2') == Reading(13, triple=(4, 3, 2))
    assert parsed('--value-range', 'percentiles') == Reading(value_range='percentiles')
    assert parsed('--value-range', '0..4095') == Reading(value_range=(0, 4095))
    assert parsed('--value-range=-100..1e3') == Reading(value_range=(-100, 1000))


@pytest.mark.parametrize('words', ['0..', 'a..b', '1..2..3', '5..5', 'bits'])
def test_what_is_no_range_is_refused(words):
    with pytest.raises(UserError, match=r'range'):
        parsed('--value-range', words)
