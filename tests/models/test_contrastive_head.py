import math

import pytest
import torch
from torch.nn.functional import normalize

from mmsoco.models import InfoNCEHead
from mmsoco.models.matching import gather_candidates
from mmsoco.registry import MODELS

CHANNELS, TEMPERATURE = 8, 0.2
# Three boxes an image: the first two overlap, the third is apart.
BOXES = torch.tensor([[0.0, 0, 10, 10], [5, 5, 15, 15], [20, 20, 30, 30]]).expand(2, 3, 4)


def head(**options):
    return InfoNCEHead(CHANNELS, 8, CHANNELS, temperature=TEMPERATURE, **options)


def rows(seed, count=6):
    return torch.randn(count, CHANNELS, generator=torch.Generator().manual_seed(seed))


def pool(targets, images=(0, 1), distinct=None):
    num_proposals, key = len(targets) // len(images), ('v2', 's')
    known = {'s': torch.tensor(distinct or [num_proposals] * len(images))}
    return gather_candidates({key: targets}, torch.tensor(images), num_proposals, known)[key]


def expected(prediction, targets, negatives, past=()):
    """Row by row: -log of the own one's share; negatives are row numbers."""
    p, z = normalize(prediction, dim=1), normalize(targets, dim=1)
    losses = []
    for i, others in enumerate(negatives):
        scores = [p[i] @ z[j] for j in [i, *others]] + [p[i] @ normalize(row, dim=0) for row in past]
        weights = [math.exp(score / TEMPERATURE) for score in scores]
        losses.append(-math.log(weights[0] / sum(weights)))
    return sum(losses) / len(losses)


def test_negatives_are_other_images_and_boxes_apart():
    prediction, targets = rows(0), rows(1)
    loss = head().loss(prediction, targets, pool(targets), BOXES)
    negatives = [[2, 3, 4, 5], [2, 3, 4, 5], [0, 1, 3, 4, 5], [5, 0, 1, 2], [5, 0, 1, 2], [3, 4, 0, 1, 2]]
    assert loss.item() == pytest.approx(expected(prediction, targets, negatives), rel=1e-5)


def test_boxes_of_the_own_image_can_be_left_out():
    prediction, targets = rows(0), rows(1)
    loss = head(max_overlap=None).loss(prediction, targets, pool(targets), BOXES)
    assert loss.item() == pytest.approx(expected(prediction, targets, [[3, 4, 5]] * 3 + [[0, 1, 2]] * 3), rel=1e-5)


def test_some_overlap_can_be_allowed():
    prediction, targets = rows(0), rows(1)
    loss = head(max_overlap=0.2).loss(prediction, targets, pool(targets), BOXES)  # the IoU is 25 / 175
    everyone = [[j for j in range(6) if j != i] for i in range(6)]
    assert loss.item() == pytest.approx(expected(prediction, targets, everyone), rel=1e-5)


def test_copies_are_no_negatives():
    """The second image has one box, three times."""
    targets = rows(1)
    targets[3:] = targets[3]
    boxes = BOXES.clone()
    boxes[1] = boxes[1, 0]
    prediction = rows(0)
    loss = head().loss(prediction, targets, pool(targets, distinct=[3, 1]), boxes)
    negatives = [[2, 3], [2, 3], [0, 1, 3], [0, 1, 2], [0, 1, 2], [0, 1, 2]]
    assert loss.item() == pytest.approx(expected(prediction, targets, negatives), rel=1e-5)


def test_only_the_prediction_gets_a_gradient():
    prediction, targets = rows(0).requires_grad_(), rows(1).requires_grad_()
    head().loss(prediction, targets, pool(targets), BOXES).backward()
    assert prediction.grad.abs().sum() > 0 and targets.grad is None


def test_a_right_and_sure_choice_costs_little_and_none_the_logarithm():
    targets = torch.eye(6, CHANNELS)
    sure = InfoNCEHead(CHANNELS, 8, CHANNELS, temperature=0.01)
    assert sure.loss(targets, targets, pool(targets), BOXES).item() == pytest.approx(0, abs=1e-6)
    nothing = torch.eye(CHANNELS)[6].expand(6, CHANNELS)
    everyone = head(max_overlap=1.0)
    assert everyone.loss(nothing, targets, pool(targets), BOXES).item() == pytest.approx(math.log(6), rel=1e-5)


def test_the_queue_holds_the_last_targets_and_they_are_negatives():
    queued = head(queue=8, max_overlap=None)
    first, second, third = rows(1), rows(2), rows(3)
    # Empty, it changes nothing.
    prediction = rows(0)
    assert torch.equal(
        queued.loss(prediction, first, pool(first), BOXES),
        head(max_overlap=None).loss(prediction, first, pool(first), BOXES),
    )
    queued.remember([pool(first, (0, 1))])
    queued.remember([pool(second, (2, 3))])
    # The last eight: two of the first step, of image 1, and all of the second.
    now = pool(third, (1, 4))
    loss = queued.loss(prediction, third, now, BOXES)
    others = [[3, 4, 5]] * 3 + [[0, 1, 2]] * 3
    # Those of image 1, which is in the batch again, do not count.
    assert loss.item() == pytest.approx(expected(prediction, third, others, second), rel=1e-5)
    loss = queued.loss(prediction, third, pool(third, (5, 4)), BOXES)
    assert loss.item() == pytest.approx(expected(prediction, third, others, [*first[4:], *second]), rel=1e-5)


def test_the_queue_is_part_of_a_checkpoint_and_knows_no_copies():
    queued = head(queue=6)
    queued.remember([pool(rows(1), distinct=[2, 3])])
    assert queued.past_pictures.tolist() == [0, 0, -1, 1, 1, 1]
    again = head(queue=6)
    again.load_state_dict(queued.state_dict())
    assert torch.equal(again.past, queued.past) and torch.equal(again.past_pictures, queued.past_pictures)


def test_the_queue_takes_no_target_that_is_not_finite():
    """One would make the losses, and gradients, of all steps that it stays for none."""
    queued, bad = head(queue=6), rows(1)
    bad[2] = float('inf')
    queued.remember([pool(bad)])
    assert queued.past_pictures.tolist() == [0, 0, -1, 1, 1, 1] and queued.past.isfinite().all()
    prediction = rows(0).requires_grad_()
    loss = queued.loss(prediction, rows(2), pool(rows(2), (4, 5)), BOXES)
    loss.backward()
    assert loss.isfinite() and prediction.grad.isfinite().all()


@pytest.mark.parametrize('options', [dict(temperature=0.0), dict(queue=-1)])
def test_options_that_make_no_sense(options):
    with pytest.raises(ValueError, match='temperature'):
        InfoNCEHead(CHANNELS, 8, CHANNELS, **options)


def test_the_algorithm_fills_the_queue_once_a_step(tiny_model_cfg, batch):
    tiny_model_cfg['predictor'] = dict(
        type='mmsoco.InfoNCEHead', in_channels=8, hid_channels=16, out_channels=8, queue=40
    )
    model = MODELS.build(tiny_model_cfg)
    model.init_weights()
    batch['images'] = torch.tensor([5, 9])
    losses = model(**model.data_preprocessor(batch), mode='loss')
    assert all(torch.isfinite(value) for value in losses.values())
    # Three views of two images with three boxes each.
    assert (model.predictor.past_pictures >= 0).sum() == 18
    assert set(model.predictor.past_pictures.tolist()) == {-1, 5, 9}
    model.eval()
    model(**model.data_preprocessor(batch), mode='loss')
    assert (model.predictor.past_pictures >= 0).sum() == 18
