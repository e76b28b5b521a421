"""What of weights of any kind a pretraining is filled with."""

import pytest
import torch
from foreign_weights import resnet18
from mmengine.hub import get_config
from mmengine.registry import DefaultScope

from mmsoco.checkpoints.recognition import Weights, recognise
from mmsoco.checkpoints.transfer import require_complete
from mmsoco.checkpoints.warm_start import plan_warm_start
from mmsoco.errors import UserError
from mmsoco.registry import MODELS

PARTS = ('backbone', 'neck', 'roi_head')


@pytest.fixture
def wide(tiny_model_cfg):
    """The small pretraining's state with torchvision's widths in its backbone."""
    cfg = dict(tiny_model_cfg, backbone=dict(tiny_model_cfg['backbone'], base_channels=64, stem_channels=64))
    cfg['neck'] = dict(cfg['neck'], in_channels=[64, 128, 256, 512])
    return MODELS.build(cfg).state_dict()


@pytest.fixture
def state(tiny_model_cfg):
    return MODELS.build(tiny_model_cfg).state_dict()


def plan(weights, model, **options):
    transfer = plan_warm_start(weights, model, PARTS, **options)
    require_complete(transfer, 'x.pth', hook='WarmStartHook')
    return transfer


def parts(names):
    return {name.partition('.')[0] for name in names}


def online(state):
    return {name for name in state if not name.startswith('target.')}


def test_an_imagenet_backbone(wide):
    transfer = plan(recognise(resnet18().state_dict(), 'x.pth'), wide)
    assert transfer.loaded.keys() == {name for name in wide if name.startswith('backbone.')}
    new = {reason: parts(some) for reason, some in transfer.new.items()}
    assert new == {
        'new: not part of these weights': {'neck', 'roi_head'},
        'new: only for pretraining': {'projector', 'predictor'},
    }
    assert transfer.left.keys() == {'left: of a classifier, or only for pretraining'}


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (lambda s: s.pop('layer3.1.bn2.running_var'), 'backbone.layer3.1.bn2.running_var of the model is not in'),
        (
            lambda s: s.update({'layer2.0.conv1.weight': torch.ones(128, 64, 1, 1)}),
            r'is \(128, 64, 3, 3\) in the model',
        ),
        (lambda s: s.update({'layer2.0.se.weight': torch.ones(1)}), 'backbone.layer2.0.se.weight has no place'),
        (lambda s: s.update({'layer3.2.conv1.weight': torch.ones(1)}), 'the backbones differ in depth'),
        (
            lambda s: s.update({'bn1.running_var': torch.full((64,), 7e4).half()}),
            r'backbone\.bn1\.running_var of these weights is not finite',
        ),
    ],
)
def test_what_should_load_and_does_not_is_refused(wide, change, words):
    weights = resnet18().state_dict()
    change(weights)
    with pytest.raises(UserError, match=rf'^x\.pth does not fit this model: .*{words}[^\n]*docs/warm_start\.md'):
        plan(recognise(weights, 'x.pth'), wide)


def test_counts_that_other_tools_leave_out(wide):
    weights = {n: t for n, t in resnet18().state_dict().items() if not n.endswith('num_batches_tracked')}
    transfer = plan(recognise(weights, 'x.pth'), wide)
    counts = transfer.new["new: counts of BN's batches, which other tools leave out"]
    assert len(counts) == 20 and parts(counts) == {'backbone'}


def test_an_earlier_run_is_loaded_whole_but_for_its_target(state):
    earlier = {name: torch.full_like(tensor, 3) for name, tensor in state.items()}
    transfer = plan(recognise({'state_dict': earlier, 'meta': {}}, 'x.pth'), state)
    assert transfer.loaded.keys() == online(state) and not transfer.new
    assert transfer.left.keys() == {'left: the target becomes a copy'}
    assert len(transfer.left['left: the target becomes a copy']) == len(state) - len(online(state))


def test_another_embedding_stays_new_as_a_whole(state):
    earlier = {**state, 'projector.fc1.weight': torch.ones(3, 16), 'predictor.past': torch.ones(2, 8)}
    transfer = plan(recognise(earlier, 'x.pth'), state)
    assert parts(transfer.loaded) == {*PARTS} and parts(transfer.new['new: only for pretraining']) == {
        'projector',
        'predictor',
    }
    assert parts(transfer.left['left: another embedding']) == {'projector', 'predictor'}
    # What a method remembers of its images is nothing to begin from.
    remembering = {**state, 'predictor.past': torch.ones(2, 8)}
    transfer = plan(recognise(remembering, 'x.pth'), remembering)
    assert transfer.loaded.keys() == online(state)
    assert list(transfer.new.values()) == [{'predictor.past': remembering['predictor.past']}]
    # Nor is a projector behind a neck that stays new.
    transfer = plan(recognise(state, 'x.pth'), state, leave=['neck.'], new=['neck.'])
    assert parts(transfer.loaded) == {'backbone', 'roi_head'}


def test_of_a_pretraining_a_neck_that_does_not_fit_is_refused_with_the_way_out(state):
    earlier = {**state, 'neck.fpn_convs.0.conv.weight': torch.ones(8, 4, 3, 3)}
    with pytest.raises(
        UserError, match=r"if it is to be left: WarmStartHook\(new=\['neck\.fpn_convs\.0\.conv\.'\], leave=\['neck"
    ):
        plan(recognise(earlier, 'x.pth'), state)


def detector_state(base, **neck):
    cfg = get_config(f'mmdet::{base}').model
    cfg.backbone.update(depth=18, base_channels=8, stem_channels=8, init_cfg=None)
    cfg.neck.update(in_channels=[8, 16, 32, 64], out_channels=4, **neck)
    with DefaultScope.overwrite_default_scope('mmdet'), torch.device('meta'):
        state = MODELS.build(cfg).state_dict()
    return {name: torch.zeros(tensor.shape) for name, tensor in state.items()}


def test_a_detector_trained_on_coco_gives_its_backbone(state):
    """Its FPN has no norms, its box head is of another kind: left by design, not for damage."""
    coco = detector_state('faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py')
    transfer = plan(recognise({'state_dict': coco, 'meta': {}}, 'x.pth'), state)
    assert parts(transfer.loaded) == {'backbone'}
    reasons = {reason: parts(some) for reason, some in transfer.left.items()}
    assert reasons == {
        'left: a neck without norms, which the pretraining has': {'neck'},
        'left: another box head than the pretraining has': {'roi_head'},
        'left: only for that detector': {'rpn_head', 'roi_head'},
    }
    retinanet = detector_state('retinanet/retinanet_r50_fpn_1x_coco.py', norm_cfg=dict(type='BN'))
    left = plan(recognise({'state_dict': retinanet, 'meta': {}}, 'x.pth'), state).left
    assert parts(left['left: another neck than the pretraining has']) == {'neck'}
    del coco['backbone.layer1.0.bn1.bias']
    with pytest.raises(UserError, match=r'backbone\.layer1\.0\.bn1\.bias of the model is not in'):
        plan(recognise({'state_dict': coco, 'meta': {}}, 'x.pth'), state)


def test_a_fine_tuned_detector_gives_all_that_was_pretrained(state):
    tuned = {name: tensor for name, tensor in state.items() if name.startswith(PARTS)}
    tuned |= {'roi_head.bbox_head.fc_cls.weight': torch.ones(3, 8), 'rpn_head.rpn_conv.weight': torch.ones(1)}
    transfer = plan(recognise(tuned, 'x.pth'), state)
    assert parts(transfer.loaded) == {*PARTS} and len(transfer.left['left: only for that detector']) == 2
    del tuned['neck.fpn_convs.2.bn.bias']
    with pytest.raises(UserError, match=r'neck\.fpn_convs\.2\.bn\.bias of the model is not in'):
        plan(recognise(tuned, 'x.pth'), state)


def test_c4s_fifth_block_is_the_backbones_where_there_is_no_shared_head():
    block = {
        'roi_head.shared_head.layer4.0.conv1.weight': torch.ones(1),
        'backbone.layer1.0.conv1.weight': torch.ones(1),
    }
    own = {'backbone.layer1.0.conv1.weight': torch.zeros(1), 'backbone.layer4.0.conv1.weight': torch.zeros(1)}
    assert plan(Weights('a SoCo pretraining', block), own).loaded.keys() == own.keys()
    assert plan(Weights('a backbone', own), block).loaded.keys() == block.keys()
