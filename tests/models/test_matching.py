import math
from functools import partial

import pytest
import torch
from torch.nn.functional import normalize

from mmsoco.models import BYOLHead, InfoNCEHead
from mmsoco.models.matching import gather_candidates, match_figures

IMAGES, BOXES, CHANNELS = 6, 4, 16
ROWS = IMAGES * BOXES


@pytest.fixture
def targets():
    """Embeddings of 6 x 4 boxes that have a lot in common, as at random weights."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(ROWS, CHANNELS, generator=generator) + 1


@pytest.fixture
def boxes():
    """Four boxes an image, apart from each other."""
    corners = torch.tensor([[0.0, 0, 10, 10], [20, 0, 30, 10], [0, 20, 10, 30], [20, 20, 30, 30]])
    return corners.expand(IMAGES, BOXES, 4)


def candidates(targets, distinct=(BOXES,) * IMAGES):
    images = torch.arange(IMAGES)
    return gather_candidates({('v2', 's'): targets}, images, BOXES, {'s': torch.tensor(distinct)})['v2', 's']


def figures(prediction, targets, boxes, head, distinct=(BOXES,) * IMAGES):
    pool = candidates(targets, distinct)
    named = match_figures({'a_b': [(prediction, pool, head.criterion(targets, pool, boxes))]})
    return {name.removesuffix('_a_b'): value.item() for name, value in named.items()}


HEADS = [BYOLHead(CHANNELS, 8, CHANNELS), InfoNCEHead(CHANNELS, 8, CHANNELS)]


@pytest.mark.parametrize('head', HEADS, ids=lambda head: type(head).__name__)
def test_a_constant_prediction_has_learned_nothing(targets, boxes, head):
    mean = normalize(targets, dim=1).mean(dim=0)
    found = figures(mean.expand_as(targets), targets, boxes, head)
    assert found['learned'] == pytest.approx(0, abs=1e-6)
    assert found['match_top1'] == pytest.approx(1 / ROWS) and found['chance_top1'] == pytest.approx(1 / ROWS)
    # It looks good all the same.
    assert found['match_cos'] == pytest.approx(mean.norm().item()) and found['match_cos'] > 0.6


@pytest.mark.parametrize('head', HEADS, ids=lambda head: type(head).__name__)
def test_a_perfect_prediction_has_learned_all(targets, boxes, head):
    found = figures(3 * targets, targets, boxes, head)
    assert found['learned'] == pytest.approx(1, abs=1e-5)
    assert found['match_top1'] == 1 and found['match_cos'] == pytest.approx(1)
    assert found['other_cos'] < 0.8


def test_learned_is_the_share_of_the_loss_that_is_gained(targets, boxes):
    """With BYOL's loss, by its formula."""
    prediction = targets + torch.randn(ROWS, CHANNELS, generator=torch.Generator().manual_seed(1))
    found = figures(prediction, targets, boxes, HEADS[0])
    mean = normalize(targets, dim=1).mean(dim=0).norm().item()
    own = torch.cosine_similarity(prediction, targets).mean().item()
    assert found['match_cos'] == pytest.approx(own, abs=1e-6)
    assert found['learned'] == pytest.approx((own - mean) / (1 - mean), abs=1e-5)
    assert 0 < found['learned'] < 1


def test_telling_images_apart_is_not_finding_boxes(targets, boxes):
    """A prediction of each image's mean: a large gap to others, and one box in four is found."""
    images = 5 * normalize(torch.randn(IMAGES, CHANNELS, generator=torch.Generator().manual_seed(2)), dim=1)
    targets = 0.1 * targets + images.repeat_interleave(BOXES, dim=0)
    means = targets.unflatten(0, (IMAGES, BOXES)).mean(dim=1).repeat_interleave(BOXES, dim=0)
    found = figures(means, targets, boxes, HEADS[0])
    assert found['match_cos'] > 0.95 and found['other_cos'] < 0.2 and found['learned'] > 0.9
    assert found['match_top1'] == pytest.approx(1 / BOXES)
    assert found['match_image'] == found['chance_image'] == pytest.approx(1 / BOXES)


def test_telling_boxes_of_a_image_apart_is_seen(targets, boxes):
    """The same boxes in every image: each is found in its own image, and nobody knows which image it is."""
    same = targets[:BOXES].repeat(IMAGES, 1)
    found = figures(same, same, boxes, HEADS[0])
    assert found['match_image'] == 1 and found['match_top1'] == pytest.approx(1 / IMAGES)


@pytest.mark.parametrize('broken', ['prediction', 'targets'])
def test_what_is_no_number_is_no_hit(targets, boxes, broken):
    values = {'prediction': targets, 'targets': targets}
    values[broken] = torch.full_like(targets, float('nan'))
    found = figures(**values, boxes=boxes, head=HEADS[0])
    assert found['match_top1'] == found['match_image'] == 0 and math.isnan(found['match_cos'])


def test_copies_of_a_box_count_once(targets, boxes):
    """Images with 4, 3, 2, 1 and no proposals: the copies neither ask nor answer."""
    known = [4, 3, 2, 1, 0, 4]
    rows = torch.cat([i * BOXES + torch.arange(BOXES) % max(n, 1) for i, n in enumerate(known)])
    copied = targets[rows]
    prediction = copied + torch.randn(ROWS, CHANNELS, generator=torch.Generator().manual_seed(1))[rows]
    found = figures(prediction, copied, boxes, HEADS[0], known)
    distinct = candidates(copied, known).distinct
    assert distinct.sum() == sum(max(n, 1) for n in known)
    assert found['chance_top1'] == pytest.approx(1 / distinct.sum().item())
    # An image's n boxes ask n times with a chance of 1 / n each.
    assert found['chance_image'] == pytest.approx(IMAGES / distinct.sum().item())
    similarity = normalize(prediction[distinct], dim=1) @ normalize(copied[distinct], dim=1).T
    hits = (similarity.argmax(dim=1) == torch.arange(len(similarity))).float().mean().item()
    assert found['match_top1'] == pytest.approx(hits) and 0 < hits < 1
    assert found['match_cos'] == pytest.approx(similarity.diag().mean().item(), abs=1e-6)


def test_boxes_of_the_own_image_are_not_others(targets, boxes):
    """All boxes of an image alike, and at right angles to those of other images."""
    targets = torch.eye(IMAGES, CHANNELS).repeat_interleave(BOXES, dim=0)
    found = figures(targets, targets, boxes, HEADS[0])
    assert found['other_cos'] == 0 and found['match_cos'] == 1
    # Among four that are the same, each is found by chance.
    assert found['match_top1'] == pytest.approx(1 / BOXES)


def test_both_directions_of_a_pair_count(targets, boxes):
    pool = candidates(targets)
    loss = partial(HEADS[0].loss, target=targets)
    named = match_figures({'a_b': [(targets, pool, loss), (-targets, pool, loss)]})
    assert named['match_cos_a_b'] == pytest.approx(0, abs=1e-6)
    assert named['match_top1_a_b'] == pytest.approx(0.5)


def test_mixed_precision_changes_nothing(targets, boxes):
    prediction = targets + torch.randn(ROWS, CHANNELS, generator=torch.Generator().manual_seed(1))
    plain = figures(prediction, targets, boxes, HEADS[1])
    with torch.autocast('cpu', torch.bfloat16):
        assert figures(prediction, targets, boxes, HEADS[1]) == plain


def test_one_image_has_no_others(targets, boxes):
    pool = gather_candidates({('v2', 's'): targets[:BOXES]}, torch.tensor([3]), BOXES, {'s': torch.tensor([BOXES])})[
        'v2', 's'
    ]
    named = match_figures({'a_b': [(targets[:BOXES], pool, partial(HEADS[0].loss, target=targets[:BOXES]))]})
    assert math.isnan(named['other_cos_a_b']) and named['match_top1_a_b'] == 1


def test_targets_all_alike_leave_nothing_to_learn(boxes):
    alike = torch.ones(ROWS, CHANNELS)
    assert figures(alike, alike, boxes, HEADS[0])['learned'] == 0


def test_several_rows_a_box_belong_to_the_same_box(targets):
    """As the extractor of every level gives them."""
    pool = gather_candidates({('v2', 's'): targets}, torch.arange(3), 4, {'s': torch.tensor([1, 4, 2])})['v2', 's']
    assert pool.images.tolist() == [0] * 8 + [1] * 8 + [2] * 8
    assert pool.distinct.tolist() == [True] * 2 + [False] * 6 + [True] * 8 + [True] * 4 + [False] * 4
