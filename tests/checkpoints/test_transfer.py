"""A pretraining in the Mask R-CNN of the transfer config: nothing lost, equal features."""

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmsoco.checkpoints.pretraining import detector_weights
from mmsoco.checkpoints.transfer import plan_transfer, require_complete
from mmsoco.errors import UserError
from mmsoco.registry import MODELS


@pytest.fixture(scope='module')
def soco(root):
    """The real R50-FPN pretraining model, BN statistics filled with something."""
    cfg = Config.fromfile(root / 'configs/soco/soco_r50fpn_8xb256_100e_in1k.py')
    with DefaultScope.overwrite_default_scope('mmsoco'):
        model = MODELS.build(cfg.model)
    return fill_norms(model).eval()


@pytest.fixture(scope='module')
def transfer_cfg(root):
    return Config.fromfile(root / 'configs/transfer/coco/mask-rcnn_r50fpn_soco_1x.py')


@pytest.fixture(scope='module')
def mask_rcnn(transfer_cfg):
    with DefaultScope.overwrite_default_scope('mmdet'):
        from mmdet.registry import MODELS as MMDET_MODELS

        return MMDET_MODELS.build(transfer_cfg.model).eval()


def fill_norms(model):
    generator = torch.Generator().manual_seed(0)
    for name, buffer in model.named_buffers():
        if name.endswith('running_mean'):
            buffer.normal_(generator=generator).mul_(0.1)
        elif name.endswith('running_var'):
            buffer.uniform_(0.5, 2.0, generator=generator)
    return model


def test_every_detector_tensor_has_its_twin(soco, mask_rcnn):
    pretrained = detector_weights(soco.state_dict(), 'soco')
    detector = mask_rcnn.state_dict()
    assert set(pretrained) <= set(detector)
    parts = ('backbone.', 'neck.', 'roi_head.bbox_head.shared_')
    expected = {name for name in detector if name.startswith(parts)}
    assert set(pretrained) == expected
    for name in expected:
        assert pretrained[name].shape == detector[name].shape, name
    assert not any('fc_cls' in name or 'fc_reg' in name for name in soco.state_dict())
    transfer = plan_transfer(pretrained, detector)
    assert not transfer.problems
    new = {name for tensors in transfer.new.values() for name in tensors}
    assert {name.split('.')[0] for name in new} == {'rpn_head', 'roi_head'}
    assert set(transfer.loaded) | new == set(detector) and not transfer.left


@torch.no_grad()
def test_equal_features_from_one_picture(soco, mask_rcnn):
    """Each through its own data preprocessor: catches channel order, mean and stride, which shapes do not."""
    mask_rcnn.load_state_dict(detector_weights(soco.state_dict(), 'soco'), strict=False)
    rgb = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    ours = soco.data_preprocessor({'inputs': {'v1': torch.from_numpy(rgb)[None]}})['inputs']['v1']
    # mmdet's loader gives BGR.
    bgr = torch.from_numpy(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)).permute(2, 0, 1)
    theirs = mask_rcnn.data_preprocessor({'inputs': [bgr], 'data_samples': None})['inputs']
    torch.testing.assert_close(ours, theirs)

    for mine, other in zip(soco.backbone(ours), mask_rcnn.backbone(theirs), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-5)
    pyramid, other_pyramid = soco.extract_feat(ours), mask_rcnn.neck(mask_rcnn.backbone(theirs))
    for mine, other in zip(pyramid, other_pyramid[:4], strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-5)

    boxes = torch.tensor([[[4.0, 6.0, 40.0, 50.0], [0.0, 0.0, 64.0, 64.0]]])
    features = soco.roi_head(pyramid, boxes, (64, 64))
    pooled = soco.roi_head.bbox_roi_extractor(pyramid, boxes, (64, 64))
    head = mask_rcnn.roi_head.bbox_head
    shared = pooled
    for conv in head.shared_convs:
        shared = conv(shared)
    shared = head.shared_fcs[0](shared.flatten(1)).relu()
    torch.testing.assert_close(features, shared, rtol=1e-5, atol=1e-5)
    scores, _ = head(pooled)
    torch.testing.assert_close(scores, head.fc_cls(features), rtol=1e-4, atol=1e-4)


def test_table_tells_what_is_new_and_why(soco, mask_rcnn):
    transfer = plan_transfer(detector_weights(soco.state_dict(), 'soco'), mask_rcnn.state_dict())
    lines = transfer.table().splitlines()
    assert any(line.startswith('backbone') and line.endswith('loaded') for line in lines)
    assert any(line.startswith('rpn_head') and 'not part of the pretraining' in line for line in lines)
    assert any(line.startswith('roi_head.bbox_head.fc_cls') and 'depends on the classes' in line for line in lines)


@pytest.fixture
def small():
    """A pretraining's and a detector's state dicts that fit."""
    pretrained = {
        'backbone.w': torch.ones(2, 2),
        'neck.w': torch.ones(3),
        'roi_head.bbox_head.shared_fcs.0.bias': torch.ones(1),
    }
    detector = {name: torch.zeros_like(t) for name, t in pretrained.items()} | {'rpn_head.w': torch.zeros(1)}
    return pretrained, detector


def test_shape_that_differs_is_refused(small):
    pretrained, detector = small
    detector['neck.w'] = torch.zeros(4)
    with pytest.raises(UserError, match=r'neck.w is \(4,\) in the model, \(3,\) in the pretraining'):
        require_complete(plan_transfer(pretrained, detector), 'a.pth')


def test_detector_part_that_should_load_and_does_not_is_refused(small):
    pretrained, detector = small
    detector['neck.extra'] = torch.zeros(4)
    with pytest.raises(UserError, match=r'neck\.extra of the model is not in the pretraining'):
        require_complete(plan_transfer(pretrained, detector), 'a.pth')


def test_pretrained_tensor_without_a_place_is_refused(small):
    pretrained, detector = small
    del detector['neck.w']
    with pytest.raises(UserError, match=r'neck\.w has no place in the model'):
        require_complete(plan_transfer(pretrained, detector), 'a.pth')


def test_parts_that_a_pretraining_lacks_stay_new(small):
    """Table 4's first rows: the backbone alone, or with the FPN."""
    pretrained, detector = small
    backbone = {'backbone.w': pretrained['backbone.w']}
    transfer = plan_transfer(detector_weights({**backbone, 'projector.w': torch.ones(1)}, 'x'), detector)
    assert not transfer.problems and set(transfer.loaded) == {'backbone.w'}
    assert set(transfer.new['new: this pretraining has none']) == {'neck.w', 'roi_head.bbox_head.shared_fcs.0.bias'}
    assert transfer.table().count('new: this pretraining has none') == 2
    transfer = plan_transfer({**backbone, 'neck.w': pretrained['neck.w']}, detector)
    assert not transfer.problems and set(transfer.loaded) == {'backbone.w', 'neck.w'}


def test_a_classifier_takes_the_backbone():
    """Of C4 with the fifth block, which is its detectors' head."""
    classifier = {'backbone.layer3.w': torch.zeros(1), 'backbone.layer4.w': torch.zeros(2), 'head.fc.w': torch.zeros(3)}
    c4 = {'backbone.layer3.w': torch.ones(1), 'roi_head.shared_head.layer4.w': torch.ones(2)}
    fpn = {'backbone.layer3.w': torch.ones(1), 'backbone.layer4.w': torch.ones(2), 'neck.w': torch.ones(1)}
    for pretrained, left in ((c4, set()), (fpn, {'neck.w'})):
        transfer = plan_transfer(pretrained, classifier)
        assert not transfer.problems and set(transfer.left) == left
        assert set(transfer.loaded) == {'backbone.layer3.w', 'backbone.layer4.w'}
        assert transfer.loaded['backbone.layer4.w'].all() and 'new: depends on the classes' in transfer.new


def test_c4_does_not_load_into_a_detector_with_an_fpn(small):
    _, detector = small
    c4 = {'backbone.w': torch.ones(2, 2), 'roi_head.shared_head.layer4.w': torch.ones(2)}
    with pytest.raises(UserError, match=r'roi_head\.shared_head\.layer4\.w has no place in the model'):
        require_complete(plan_transfer(c4, detector), 'a.pth')


def test_detectors_that_start_at_c3_are_refused(root, soco):
    """Their fpn_convs.0 is P3 and has the shape of our P2: it must not load silently."""
    with DefaultScope.overwrite_default_scope('mmdet'):
        from mmdet.registry import MODELS as MMDET_MODELS

        neck = dict(type='FPN', in_channels=[256, 512, 1024, 2048], out_channels=256, start_level=1, num_outs=5,
                    norm_cfg=dict(type='BN'))  # fmt: skip
        fpn = MMDET_MODELS.build(neck)
    detector = {f'neck.{name}': t for name, t in fpn.state_dict().items()}
    pretrained = {k: v for k, v in detector_weights(soco.state_dict(), 'soco').items() if k.startswith('neck.')}
    assert plan_transfer(pretrained, detector).problems


def test_other_checkpoints_are_refused():
    with pytest.raises(UserError, match=r'r\.pth is not a checkpoint of a SoCo pretraining.*holds conv1, fc'):
        detector_weights({'conv1.weight': torch.zeros(1), 'fc.weight': torch.zeros(1)}, 'r.pth')
