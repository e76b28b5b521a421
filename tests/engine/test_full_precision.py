from types import SimpleNamespace

import detectors
import pytest
import torch
from mmcv.ops import roi_align
from mmengine.logging import MMLogger
from mmengine.optim import OptimWrapper

from mmsoco.engine import AutocastOptimWrapper
from mmsoco.engine.full_precision import keep_operators_in_float32
from mmsoco.engine.hooks.precision import PrecisionHook


def test_a_detector_trains_in_bfloat16(root):
    """See tests/cuda/test_detectors.py."""
    full, half = detectors.losses_in_both(detectors.build(root, 'faster-rcnn_cards.py'))
    assert half == pytest.approx(full, rel=0.02) and half != full


def test_gradients_are_those_of_float32():
    keep_operators_in_float32('cpu')
    maps = torch.randn(1, 2, 8, 8).bfloat16()
    boxes = torch.tensor([[0, 1.0, 1.0, 6.0, 5.0]])
    results = []
    for dtype, enabled in ((torch.float32, False), (torch.bfloat16, True)):
        given = maps.to(dtype).requires_grad_()
        with torch.autocast('cpu', torch.bfloat16, enabled=enabled):
            pooled = roi_align(given, boxes, 2)
            assert pooled.dtype == dtype
        pooled.float().square().sum().backward()
        assert given.grad.dtype == dtype
        results.append((pooled, given.grad))
    (expected, gradient), (pooled, of_half) = results
    assert torch.equal(pooled, expected.bfloat16()) and gradient.abs().max() > 0
    torch.testing.assert_close(of_half.float(), gradient, rtol=0.02, atol=0.02)


@pytest.mark.parametrize(('kind', 'devices'), [(AutocastOptimWrapper, ['cpu']), (OptimWrapper, [])])
def test_a_run_in_bfloat16_asks_for_it(monkeypatch, kind, devices):
    asked = []
    monkeypatch.setattr('mmsoco.engine.hooks.precision.keep_operators_in_float32', asked.append)
    model = torch.nn.Linear(2, 2)
    wrapper = kind(torch.optim.SGD(model.parameters(), lr=0.1))
    logger = MMLogger.get_instance('precision')
    PrecisionHook().before_train(SimpleNamespace(model=model, optim_wrapper=wrapper, logger=logger))
    assert asked == devices
