"""The loss and its gradient equal those of the official model, as the slow reference computes them.

The reference takes the weights that the converter writes, so names are checked, too. All in double precision: through
fifty layers with ReLU, single precision alone moves a gradient by 2 %.
"""

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from official_model import OfficialC4, OfficialFPN
from torch import nn

from mmsoco.checkpoints.official import from_official, to_official
from mmsoco.registry import MODELS

SIZES = {'v1': 224, 'v2': 224, 'v3': 112, 'v4': 192}
# Set of boxes -> the views that have it, the first being compared with the others, as the pipeline of each config
# makes them.
BOX_SETS = {
    'soco_r50fpn_8xb256_400e_in1k': {'image+v2': ['v1', 'v2', 'v3']},
    'soco_r50fpn_8xb256_400e_in1k_official': {'image+v2': ['v1', 'v2'], 'image+v3': ['v1', 'v3']},
    'soco-star_r50fpn_8xb256_400e_in1k': {'image+v2': ['v1', 'v2', 'v3'], 'image+v4': ['v1', 'v4']},
    'soco_r50c4_8xb256_400e_in1k': {'image+v2': ['v1', 'v2']},
}
B, K = 2, 4


def random_boxes(generator, view_size):
    """Boxes from a seventh of the view to all of it, so that every level has some."""
    sides = (
        view_size
        * torch.tensor([0.16, 0.35, 0.65, 0.92])[:, None]
        * (1 + 0.08 * torch.rand(B, K, 2, generator=generator))
    )
    corner = (view_size - sides) * torch.rand(B, K, 2, generator=generator)
    return torch.cat([corner, corner + sides], dim=2)


SLOW = ('soco_r50fpn_8xb256_400e_in1k_official', 'soco-star_r50fpn_8xb256_400e_in1k')


@pytest.fixture(params=[pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in BOX_SETS])
def case(request, root):
    """A config's model with weights as after some training, and a batch for it."""
    torch.manual_seed(0)
    cfg = Config.fromfile(root / f'configs/soco/{request.param}.py')
    with DefaultScope.overwrite_default_scope('mmsoco'):
        model = MODELS.build(cfg.model)
    model.init_weights()
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.ndim == 1 and name.endswith('weight'):
                p.uniform_(0.5, 1.5)  # mmdet begins with zeros in each block's last norm
            if name.startswith('target.'):
                p.add_(0.3 * p.std() * torch.randn_like(p) if p.numel() > 1 else 0)
    generator = torch.Generator().manual_seed(1)
    box_sets = BOX_SETS[request.param]
    names = sorted({name for views in box_sets.values() for name in views})
    inputs = {name: torch.randn(B, 3, SIZES[name], SIZES[name], generator=generator) for name in names}
    boxes = {name: {} for name in names}
    for box_set, views in box_sets.items():
        for name in views:
            boxes[name][box_set] = random_boxes(generator, SIZES[name])
    matches = {
        box_set: {(views[0], other): torch.full((B,), K) for other in views[1:]} for box_set, views in box_sets.items()
    }
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.momentum = None  # statistics of the batch itself: embeddings are spread then
    with torch.no_grad():
        model(inputs, boxes=boxes, matches=matches)
    inputs = {name: view.double() for name, view in inputs.items()}
    boxes = {name: {box_set: rows.double() for box_set, rows in sets.items()} for name, sets in boxes.items()}
    return cfg, model.eval().double(), inputs, boxes, matches


def pairs_of(matches):
    return [pair for pairs in matches.values() for pair in pairs]


def reference_of(cfg, model, pairs):
    """The official model with the same weights."""
    reference = (OfficialFPN if hasattr(model, 'neck') else OfficialC4)(pairs).double()
    official = to_official({'state_dict': model.state_dict()}, 'the model')
    weights = {name.removeprefix('module.'): tensor for name, tensor in official['model'].items()}
    reference.load_state_dict(weights, strict=True)
    return reference.eval()


def official_batch(matches, boxes, identities):
    """Boxes by (pair, view), the second view's rows in another order, as identity alone says."""
    order = torch.tensor([2, 0, 3, 1])
    their_boxes, their_identities = {}, {}
    for box_set, pairs in matches.items():
        for pair in pairs:
            for name, rows in zip(pair, (torch.arange(K), order), strict=True):
                their_boxes[pair, name] = boxes[name][box_set][:, rows]
                their_identities[pair, name] = identities[name][:, rows] if name in identities else rows.expand(B, K)
    return their_boxes, their_identities


def test_loss_and_gradient(case):
    cfg, model, inputs, boxes, matches = case
    pairs = pairs_of(matches)
    reference = reference_of(cfg, model, pairs)
    integer = cfg.model.roi_head.bbox_roi_extractor.get('integer_levels', False)

    losses = model(inputs, boxes=boxes, matches=matches)
    loss = sum(losses[f'loss_{a}_{b}'] for a, b in pairs)
    loss.backward()
    their_loss = reference.loss(inputs, *official_batch(matches, boxes, {}), integer)
    their_loss.backward()
    assert loss.item() == pytest.approx(their_loss.item(), rel=1e-5)

    # The comparison sees a wrong match: two proposals exchanged in one view.
    exchanged = {pairs[0][0]: torch.tensor([1, 0, 2, 3]).expand(B, K)}
    with torch.no_grad():
        wrong = reference.loss(inputs, *official_batch(matches, boxes, exchanged), integer)
    assert abs(wrong.item() - loss.item()) > 0.01 * abs(loss.item())

    gradients = {name: p.grad if p.requires_grad else torch.zeros(()) for name, p in reference.named_parameters()}
    buffers = dict(reference.named_buffers())
    theirs = from_official({'model': {**gradients, **buffers}, 'epoch': 0}, 'the reference')['state_dict']
    ours = {name: p.grad for name, p in model.named_parameters() if p.requires_grad}
    assert set(ours) <= set(theirs)
    errors = {name: ((ours[name] - theirs[name]).norm() / theirs[name].norm()).item() for name in ours}
    worst = max(errors, key=errors.get)
    assert errors[worst] < 1e-5, f'{worst} differs by {errors[worst]:.1e}'
    assert all(theirs[name].any() for name in ours)
