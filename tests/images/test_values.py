import numpy as np
import pytest

from mmsoco.images.values import join, summarise, to_8_bits, words


def scaled(values, dtype, value_range='file', declared=None):
    """What becomes of a row of grey values."""
    array, met = to_8_bits(np.array(values, dtype)[None, :, None], value_range, declared)
    assert array.dtype == np.uint8
    return array[0, :, 0].tolist(), met


def test_8_bits_stay_as_they_are():
    assert scaled([0, 7, 200], np.uint8) == ([0, 7, 200], None)


@pytest.mark.parametrize(
    'top, bits', [(200, 8), (1000, 10), (4095, 12), (4096, 14), (16383, 14), (16384, 16), (65535, 16)]
)
def test_whole_numbers_have_the_fewest_bits_that_hold_them(top, bits):
    (low, high), met = scaled([0, top], np.uint16)
    assert (low, high) == (0, round(255 * top / (2**bits - 1)))
    assert met == ('uint16', 0, top, f'0..{2**bits - 1}')


@pytest.mark.parametrize(
    'values, dtype, declared, wanted',
    [
        ([0, 0.5, 1], np.float32, None, [0, 128, 255]),
        ([0, 500, 1000], np.uint16, (0, 1000), [0, 128, 255]),
        ([0, 2, 3], np.uint8, (0, 3), [0, 170, 255]),
        ([20, 30, 40], np.float64, None, [0, 128, 255]),  # degrees, say: from the lowest to the highest
        ([-1000, 0, 1000], np.int16, None, [0, 128, 255]),
        ([0, 16383, 32767], np.int16, None, [0, 127, 255]),  # a signed type has no 16 bits above 0
        ([0, 2**31, 2**32 - 1], np.uint32, None, [0, 128, 255]),
        ([5, 5, 5], np.float32, (5, 5), [0, 0, 0]),
        ([0, np.nan, 1], np.float32, None, [0, 0, 255]),
        ([0, np.inf, 1], np.float32, None, [0, 255, 255]),
        ([False, True, False], bool, None, [0, 255, 0]),
        ([0, 0.5, 1], np.float16, None, [0, 128, 255]),
    ],
)
def test_the_files_own_range(values, dtype, declared, wanted):
    assert scaled(values, dtype, declared=declared)[0] == wanted


def test_the_range_of_the_type():
    assert scaled([0, 4095, 65535], np.uint16, 'type')[0] == [0, 16, 255]
    assert scaled([-32768, 0, 32767], np.int16, 'type')[0] == [0, 128, 255]
    assert scaled([0, 1, 2], np.float32, 'type')[0] == [0, 255, 255]


def test_a_stated_range_cuts_what_lies_outside():
    assert scaled([0, 100, 150, 200, 999], np.uint16, (100, 200))[0] == [0, 0, 127, 255, 255]
    assert scaled([0, 100, 150, 200], np.uint8, (100, 200))[0] == [0, 0, 127, 255]


def test_percentiles_are_of_each_channel():
    ramp = np.linspace(0, 1000, 101)
    array, met = to_8_bits(np.stack([ramp, 10 * ramp + 7], axis=1)[None].astype(np.float32), 'percentiles')
    np.testing.assert_array_equal(array[..., 0], array[..., 1])
    assert array[0, [0, 2, 50, 98, 100], 0].tolist() == [0, 0, 128, 255, 255]
    assert met.by == 'percentiles 2..98'


def test_what_was_met_is_counted_by_type_and_range():
    met = [scaled([0, top], np.uint16)[1] for top in (4000, 4095, 900)] + [scaled([0, 1], np.float32)[1]]
    kinds = join(summarise(met[:2]), summarise(met[2:]))
    assert kinds['uint16'] == {'images': 3, 'low': 0, 'high': 4095, 'by': {'0..1023': 1, '0..4095': 2}}
    lines = words(kinds)
    assert '1 images of float32' in lines[0] and '--value-range' not in lines[0]
    assert '--value-range=0..4095' in lines[1]
