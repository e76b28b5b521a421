import numpy as np
import pytest

from mmsoco.images.channels import OtherChannels, as_channels, principal, to_triple


def image(*channels):
    """A row of two pixels."""
    return np.stack([np.array(channel, np.uint8) for channel in channels], axis=1)[None]


def test_grey_is_repeated_and_alpha_dropped():
    np.testing.assert_array_equal(as_channels(image([1, 2]), 3), image([1, 2], [1, 2], [1, 2]))
    np.testing.assert_array_equal(as_channels(image([1, 2], [9, 9]), 3), image([1, 2], [1, 2], [1, 2]))
    np.testing.assert_array_equal(as_channels(image([1, 2], [3, 4], [5, 6], [9, 9]), 3), image([1, 2], [3, 4], [5, 6]))
    np.testing.assert_array_equal(as_channels(image([1, 2], [9, 9]), 1), image([1, 2]))


def test_colours_become_grey_by_their_luma():
    assert as_channels(image([255, 0], [0, 255], [0, 0]), 1)[0, :, 0].tolist() == [76, 150]


@pytest.mark.parametrize('there, asked', [(13, 3), (3, 4), (5, 1), (1, 4), (3, 13)])
def test_other_channels_are_refused_with_both_numbers(there, asked):
    with pytest.raises(OtherChannels, match=f'has {there} channels where {asked} are asked'):
        as_channels(np.zeros((2, 2, there), np.uint8), asked)


def test_a_triple_counts_from_one():
    np.testing.assert_array_equal(
        to_triple(image([1, 2], [3, 4], [5, 6], [7, 8]), (4, 1, 2)), image([7, 8], [1, 2], [3, 4])
    )


def test_principal_components_are_ordered_and_have_a_sign():
    rng = np.random.default_rng(0)
    strong, weak, weakest = rng.normal(0, 40, (50, 50)), rng.normal(0, 15, (50, 50)), rng.normal(0, 5, (50, 50))
    # Five channels of three things.
    channels = [strong, strong + weak, -0.5 * strong, weak, weakest]
    array = np.stack([(c + 128).clip(0, 255) for c in channels], axis=2).astype(np.uint8)
    found = to_triple(array)
    assert found.shape == (50, 50, 3) and found.dtype == np.uint8
    for component, source in enumerate((strong, weak, weakest)):
        correlation = np.corrcoef(found[..., component].ravel(), source.ravel())[0, 1]
        assert abs(correlation) > 0.85, component
    assert np.corrcoef(found[..., 0].ravel(), strong.ravel())[0, 1] > 0
    np.testing.assert_array_equal(principal(array), found)


@pytest.mark.parametrize('count', [1, 2, 3, 4, 13])
def test_any_number_can_be_shown(count):
    array = np.random.default_rng(0).integers(0, 256, (9, 7, count), dtype=np.uint8)
    shown = to_triple(array)
    assert shown.shape == (9, 7, 3) and (count == 1 or np.ptp(shown) > 100)
    assert to_triple(np.full((9, 7, count), 5, np.uint8)).shape == (9, 7, 3)  # nothing varies
