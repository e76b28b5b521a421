import pytest
import torch

from mmsoco.probe.retrieval import find_again, standard_error


@pytest.fixture
def features():
    """Twelve boxes of three images."""
    return torch.randn(12, 32, generator=torch.Generator().manual_seed(0)) + 5


IMAGES = torch.arange(3).repeat_interleave(4)
OWN = torch.arange(12)


def test_the_same_features_are_found(features):
    found = find_again(features, 2 * features, OWN, IMAGES)
    assert found['top1'] == found['top5'] == found['own_image'] == 1
    assert found['chance_top1'] == pytest.approx(1 / 12) and found['chance_top5'] == pytest.approx(5 / 12)
    assert found['chance_own_image'] == pytest.approx(1 / 4)


def test_features_all_alike_are_found_by_chance(features):
    alike = torch.ones(12, 32)
    found = find_again(alike, alike, OWN, IMAGES)
    for name in ('top1', 'top5', 'own_image'):
        assert found[name] == pytest.approx(found[f'chance_{name}'])


def test_knowing_the_image_is_not_knowing_the_box(features):
    """All boxes of an image have its features."""
    same = features[::4].repeat_interleave(4, dim=0)
    found = find_again(same, same, OWN, IMAGES)
    assert found['top1'] == pytest.approx(1 / 4) and found['own_image'] == pytest.approx(1 / 4)
    assert found['top5'] == 1


def test_boxes_of_others_are_there_to_be_mistaken_for(features):
    """Only the first image asks; one of the others has its third box's features twice as near."""
    queries = features[:4].clone()
    gallery = features.clone()
    gallery[9], gallery[2] = features[2], features[2] + torch.randn(32, generator=torch.Generator().manual_seed(1))
    found = find_again(queries, gallery, OWN[:4], IMAGES)
    assert found['top1'] == pytest.approx(3 / 4) and found['top5'] == 1 and found['own_image'] == 1


def test_what_all_have_in_common_does_not_count(features):
    """A large constant makes all cosines nearly 1, and changes nothing."""
    noisy = features + 0.5 * torch.randn(12, 32, generator=torch.Generator().manual_seed(1))
    plain = find_again(features, noisy, OWN, IMAGES)
    assert find_again(features + 1000, noisy - 500, OWN, IMAGES) == pytest.approx(plain)


def test_what_is_no_number_is_not_found(features):
    broken = find_again(torch.full_like(features, float('nan')), features, OWN, IMAGES)
    assert broken['top1'] == broken['top5'] == broken['own_image'] == 0


def test_the_error_of_a_share():
    assert standard_error(0.5, 100) == 0.05
    # Of none that was found it is as of one, and of no box as of one that was.
    assert standard_error(0, 100) == standard_error(0.01, 100) > 0 and standard_error(0.3, 0) == 0
