"""Small detectors of mmdet, and a training step of theirs."""

import torch
from mmdet.registry import MODELS
from mmdet.testing import demo_mm_inputs
from mmengine.registry import DefaultScope

from mmsoco.config import read_config
from mmsoco.engine import AutocastOptimWrapper
from mmsoco.engine.full_precision import keep_operators_in_float32

#: With RoIAlign, and with the focal loss, in configs/evidence.
OPERATORS = ('faster-rcnn_cards.py', 'retinanet_cards.py')


def build(root, name):
    """A detector of configs/evidence, from random weights."""
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmdet'):
        return MODELS.build(read_config(root / 'configs/evidence' / name).model).train()


def losses_in_both(detector):
    """Of a step in float32, and of the same in bfloat16, which is taken."""
    wrapper = AutocastOptimWrapper(torch.optim.SGD(detector.parameters(), lr=0.01))
    images = demo_mm_inputs(2, image_shapes=[(3, 64, 64)] * 2, num_items=[2, 3], num_classes=6)
    inputs = detector.data_preprocessor(images, True)
    full = _loss(detector, inputs)
    keep_operators_in_float32(next(detector.parameters()).device.type)
    with wrapper.optim_context(detector):
        half = _loss(detector, inputs)
    wrapper.update_params(half)
    return full.item(), half.item()


def _loss(detector, inputs):
    torch.manual_seed(0)
    return detector.parse_losses(detector(**inputs, mode='loss'))[0]
