import itertools
from types import SimpleNamespace

import detectors
import pytest
import torch
from mmcv.ops import roi_align
from mmengine.logging import MMLogger
from mmengine.optim import OptimWrapper
from torch.autograd import Function

from mmsoco.engine import AutocastOptimWrapper
from mmsoco.engine.full_precision import keep_operators_in_float32
from mmsoco.engine.hooks.precision import PrecisionHook


def test_a_detector_trains_in_bfloat16(root):
    """See tests/cuda/test_detectors.py."""
    full, half = detectors.losses_in_both(detectors.build(root, 'faster-rcnn_cards.py'))
    assert half == pytest.approx(full, rel=0.02) and half != full


class Kept(Function):
    """Looks, as some of mmcv's operators do, whether what it was given, and kept, needs a gradient."""

    @staticmethod
    def forward(ctx, scores, boxes):
        assert scores.dtype == boxes.dtype == torch.float32 and scores.requires_grad
        ctx.save_for_backward(scores, boxes)
        return scores * boxes, torch.arange(2)

    @staticmethod
    def backward(ctx, grad, _):
        scores, boxes = ctx.saved_tensors
        assert grad.dtype == torch.float32 and scores.requires_grad
        return grad * boxes, grad * scores if boxes.requires_grad else None


Kept.__module__ = 'mmcv.ops.kept'


@pytest.fixture
def kept():
    """That operator, once the process keeps operators in float32."""
    keep_operators_in_float32.cache_clear()
    before = {one: (one.forward, one.backward) for one in Function.__subclasses__()}
    keep_operators_in_float32('cpu')
    yield Kept.apply
    for one, (forward, backward) in before.items():
        one.forward, one.backward = staticmethod(forward), staticmethod(backward)
    keep_operators_in_float32.cache_clear()


@pytest.mark.parametrize(('first', 'second'), itertools.product((torch.bfloat16, torch.float32), repeat=2))
def test_the_first_tensor_says_what_comes_back(kept, first, second):
    """And each gradient is of its input's type; what is in float32 loses no digit."""
    scores = torch.tensor([1.0, 2.0]).to(first).requires_grad_()
    boxes = torch.tensor([1.0009765625, 3.0]).to(second).requires_grad_()
    product, numbers = kept(scores, boxes)
    assert product.dtype == first and numbers.dtype == torch.int64
    product.float().sum().backward()
    assert scores.grad.dtype == first and boxes.grad.dtype == second
    assert boxes.grad.tolist() == [1.0, 2.0]
    if first == second == torch.float32:
        assert scores.grad.tolist() == [1.0009765625, 3.0]


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


@pytest.mark.parametrize('fp16', [True, False])
def test_an_evaluation_in_bfloat16_asks_for_it(monkeypatch, fp16):
    asked = []
    monkeypatch.setattr('mmsoco.engine.hooks.precision.keep_operators_in_float32', asked.append)
    loop, logger = SimpleNamespace(fp16=fp16), MMLogger.get_instance('precision')
    runner = SimpleNamespace(model=torch.nn.Linear(2, 2), val_loop=loop, test_loop=loop, logger=logger)
    PrecisionHook().before_val(runner)
    PrecisionHook().before_test(runner)
    assert asked == ['cpu'] * 2 * fp16
