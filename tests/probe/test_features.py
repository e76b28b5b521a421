import copy

import pytest
import torch
from mmengine.model import BaseDataPreprocessor
from torch import nn

from mmsoco.errors import UserError
from mmsoco.models import SoCoDataPreprocessor
from mmsoco.probe.data import LabelledBoxes
from mmsoco.probe.features import BoxFeatures, level_extractor
from mmsoco.probe.measure import _classify_boxes, build
from mmsoco.registry import MODELS


@pytest.fixture
def model(tiny_model_cfg):
    torch.manual_seed(0)
    model = MODELS.build(tiny_model_cfg)
    model.init_weights()
    with torch.no_grad():
        for p in model.parameters():  # the last norm of a block is 0 at first
            p.add_(0.1 * torch.randn_like(p))
    return model


def test_features_are_the_models_own(model, batch):
    """Of view 1, through the model's own modules in eval mode."""
    features = BoxFeatures(model)
    view, boxes = batch['inputs']['v1'], batch['boxes']['v1']['image+v2']
    found = {predict: features.of_boxes(view, boxes, predict) for predict in (True, False)}
    with torch.no_grad():
        pixels = model.data_preprocessor({'inputs': {'v1': view}})['inputs']['v1']
        maps = model.extract_feat(pixels)
        head = model.roi_head(maps, boxes, (64, 64))
        projection = model.projector(head)
        expected = {True: model.predictor(projection), False: projection}
        pooled = model.roi_head.bbox_roi_extractor(maps, boxes, (64, 64))
    for predict, embedding in expected.items():
        assert list(found[predict]) == ['backbone', 'neck', 'head', 'embedding']
        torch.testing.assert_close(found[predict]['embedding'], embedding)
        torch.testing.assert_close(found[predict]['head'], head)
        torch.testing.assert_close(found[predict]['neck'], pooled.mean(dim=(2, 3)))
    assert not torch.allclose(expected[True], expected[False])
    assert found[True]['backbone'].shape == (6, 64)


def test_only_the_parts_asked_for(model, batch):
    features = BoxFeatures(model, parts=['backbone', 'head'])
    found = features.of_boxes(batch['inputs']['v1'], batch['boxes']['v1']['image+v2'])
    assert list(found) == ['backbone', 'head']


def test_norms_of_random_weights_get_the_statistics_of_the_views(model, batch):
    features = BoxFeatures(model)
    view, boxes = batch['inputs']['v1'], batch['boxes']['v1']['image+v2']
    norm = model.backbone.layer2[0].bn1
    before = norm.running_var.clone()
    features.calibrate([view], [boxes])
    assert not torch.equal(norm.running_var, before) and norm.momentum == 0.1
    assert not any(module.training for module in model.modules() if isinstance(module, nn.BatchNorm2d))
    seen = []
    # A copy: the activation that follows works in place.
    norm.register_forward_hook(lambda module, inputs, output: seen.append(output.clone()))
    features.of_boxes(view, boxes)
    spread = ((seen[0] - norm.bias[:, None, None]) / norm.weight[:, None, None]).std(dim=(0, 2, 3), correction=0)
    torch.testing.assert_close(spread, torch.ones_like(spread), rtol=0.02, atol=0)


def test_a_model_that_is_shown_bgr_gets_bgr(model, batch):
    """The same network with its first convolution's channels turned around, and its statistics."""
    view, boxes = batch['inputs']['v1'], batch['boxes']['v1']['image+v2']
    rgb = BoxFeatures(model).of_boxes(view, boxes)
    own = model.data_preprocessor

    class TakesBGR(BaseDataPreprocessor):
        _channel_conversion = False

    turned = TakesBGR()
    turned.register_buffer('mean', own.mean.flip(0))
    turned.register_buffer('std', own.std.flip(0))
    model.data_preprocessor = turned
    with torch.no_grad():
        model.backbone.conv1.weight.copy_(model.backbone.conv1.weight.flip(1))
    bgr = BoxFeatures(model).of_boxes(view, boxes)
    for stage in rgb:
        torch.testing.assert_close(bgr[stage], rgb[stage], rtol=1e-4, atol=1e-5)
    assert BoxFeatures._sees_rgb(SoCoDataPreprocessor()) and not BoxFeatures._sees_rgb(turned)


@pytest.mark.parametrize(
    ('sides', 'bounds'),
    [((56, 28, 14, 7), (48, 96, 192)), ((28, 14, 7), (96, 192)), ((7,), ())],
    ids=['from P2', 'from P3', 'one map'],
)
def test_levels_of_a_detector_are_the_papers(sides, bounds):
    maps = [torch.zeros(1, 1, side, side) for side in sides]
    assert level_extractor(maps, 224).max_sizes == pytest.approx(bounds)
    assert level_extractor([torch.zeros(1, 1, 2 * side, 2 * side) for side in sides], 448).max_sizes == pytest.approx(
        [2 * bound for bound in bounds]
    )


def test_a_model_that_sees_images_as_they_are(model, batch):
    """As YOLOX does: its preprocessor has neither mean nor deviation."""
    view, boxes = batch['inputs']['v1'], batch['boxes']['v1']['image+v2']
    own = model.data_preprocessor
    own.mean.zero_()
    own.std.fill_(1)
    expected = BoxFeatures(model).of_boxes(view, boxes)
    model.data_preprocessor = BaseDataPreprocessor()
    model.data_preprocessor.to_rgb = True
    for stage, found in BoxFeatures(model).of_boxes(view, boxes).items():
        torch.testing.assert_close(found, expected[stage])


def test_a_probe_waits_for_no_other_process(tiny_model_cfg):
    """Its random network is built in one of them alone, and a SyncBN would wait for the others."""
    cfg = copy.deepcopy(tiny_model_cfg)
    cfg['backbone']['norm_cfg'] = dict(type='SyncBN')
    norms = [m for m in build(cfg).modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    assert norms and not any(isinstance(norm, nn.SyncBatchNorm) for norm in norms)


def test_categories_that_only_teach_or_only_ask(model):
    """One line, before anything is trained."""
    boxes = torch.tensor([[0.0, 0.0, 60.0, 60.0]])
    data = LabelledBoxes(
        torch.zeros(2, 64, 64, 3, dtype=torch.uint8),
        [boxes, boxes],
        [torch.tensor([0]), torch.tensor([1])],
        torch.tensor([True, False]),
    )
    with pytest.raises(UserError, match='no category of the labelled images has boxes both in'):
        _classify_boxes(BoxFeatures(model), data)
