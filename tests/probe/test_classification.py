import pytest
import torch

from mmsoco.probe.classification import balanced_accuracy, knn_accuracy, linear_accuracy


def split(spread, seed=0, each=30):
    """Three classes around three points, ten times as many of the first."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.tensor([0] * 10 * each + [1] * each + [2] * each)
    features = 3 * torch.eye(3, 8)[labels] + spread * torch.randn(len(labels), 8, generator=generator) + 20
    return features, labels


@pytest.mark.parametrize('accuracy', [knn_accuracy, linear_accuracy])
def test_classes_apart_are_read(accuracy):
    assert accuracy(*split(0.3), *split(0.3, seed=1)) > 0.98


@pytest.mark.parametrize('accuracy', [knn_accuracy, linear_accuracy])
def test_features_that_know_nothing_give_chance(accuracy):
    """Also where most are of one class."""
    train, labels = split(1.0)
    noise = torch.randn(train.shape, generator=torch.Generator().manual_seed(3))
    other = torch.randn(train.shape, generator=torch.Generator().manual_seed(4))
    assert accuracy(noise, labels, other, labels) == pytest.approx(1 / 3, abs=0.12)


def test_a_linear_classifier_reads_what_a_direction_holds():
    """The class is in one of eight coordinates, and the noise of the others hides it from neighbours."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(400) % 2
    features = 4 * torch.randn(400, 64, generator=generator)
    features[:, 5] = 2.0 * labels + 0.3 * torch.randn(400, generator=generator)
    parts = features[:200], labels[:200], features[200:], labels[200:]
    assert linear_accuracy(*parts) > 0.9 > 0.7 > knn_accuracy(*parts)


def test_classes_weigh_alike():
    labels = torch.tensor([0] * 8 + [1] * 2)
    assert balanced_accuracy(torch.zeros(10, dtype=torch.int64), labels) == 0.5


def test_fitting_leaves_gradients_off():
    with torch.no_grad():
        assert linear_accuracy(*split(0.3), *split(0.3, seed=1)) > 0.98
        assert not torch.is_grad_enabled()


def test_a_single_row_can_teach():
    """It has no deviation, and its class is all there is."""
    one, label = torch.ones(1, 4), torch.zeros(1, dtype=torch.int64)
    assert linear_accuracy(one, label, torch.randn(5, 4), label.expand(5)) == 1
