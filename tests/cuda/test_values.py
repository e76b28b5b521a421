"""Values of the device beside those of the CPU."""

import copy

import pytest
import torch
from mmengine.registry import DefaultScope

from mmsoco.engine.optim_constructor import PretrainOptimConstructor
from mmsoco.registry import MODELS


@pytest.fixture(autouse=True)
def full_precision():
    """TF32 has 10 bits."""
    places = torch.backends.cuda.matmul, torch.backends.cudnn
    before = [place.allow_tf32 for place in places]
    for place in places:
        place.allow_tf32 = False
    yield
    for place, allowed in zip(places, before, strict=True):
        place.allow_tf32 = allowed


@pytest.fixture
def models(tiny_model_cfg, device):
    """The same weights on the CPU and on the device."""
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmsoco'):
        model = MODELS.build(tiny_model_cfg)
    model.init_weights()
    return model.train(), copy.deepcopy(model).to(device)


def moved(value, device):
    """A batch's tensors, in whatever dicts."""
    if isinstance(value, dict):
        return {key: moved(part, device) for key, part in value.items()}
    return value.to(device)


def close(theirs, mine, share=1e-4):
    """Equal up to a share of the largest value."""
    assert mine.device.type == 'cpu' and theirs.shape == mine.shape
    assert (theirs.cpu() - mine).abs().max() <= share * mine.abs().max() + 1e-6


@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last])
def test_pooling_and_levels(models, device, layout):
    extractor = models[0].roi_head.bbox_roi_extractor
    generator = torch.Generator().manual_seed(0)
    maps = [
        torch.randn(2, 4, side, side, generator=generator).contiguous(memory_format=layout) for side in (16, 8, 4, 2)
    ]
    corner = 40 * torch.rand(2, 6, 2, generator=generator)
    side = torch.tensor([6.0, 12, 12.01, 20, 24, 50])[:, None]  # bounds belong to the finer level
    boxes = torch.cat([corner, corner + side], dim=2)
    assert torch.equal(extractor.levels(boxes.to(device)).cpu(), extractor.levels(boxes))
    assert len(extractor.levels(boxes).unique()) == 4
    grads = []
    for where in ('cpu', device):
        here = [m.detach().clone(memory_format=torch.preserve_format).to(where).requires_grad_() for m in maps]
        pooled = extractor(here, boxes.to(where), (64, 64))
        pooled.square().sum().backward()
        grads.append((pooled.detach(), *(m.grad for m in here)))
    for mine, theirs in zip(*grads, strict=True):
        close(theirs, mine)


def test_a_step(models, batch, device):
    """Preprocessing, losses, gradients, LARS and moving average."""
    results = []
    for model, where in zip(models, ('cpu', device), strict=True):
        lars = dict(type='mmsoco.LARS', lr=0.1, momentum=0.9, weight_decay=1e-4)
        optimizer = PretrainOptimConstructor(dict(type='OptimWrapper', optimizer=lars))(model)
        data = model.data_preprocessor(moved(copy.deepcopy(batch), where), training=True)
        losses = model(**data, mode='loss')
        loss, _ = model.parse_losses(losses)
        loss.backward()
        norm = torch.stack([p.grad.norm() for p in model.parameters() if p.requires_grad]).norm()
        optimizer.step()
        model.update_target(0.9)
        figures = torch.stack([losses[name].detach().float() for name in sorted(losses) if 'loss' in name])
        weights = [p.detach() for p in model.parameters()]
        results.append((data['inputs']['v3'], figures, norm, *weights))
    (_, figures, *_), _ = results
    assert figures.abs().max() > 0.01
    for mine, theirs in zip(*results, strict=True):
        close(theirs, mine, share=1e-3)
