"""What a checkpoint says of its pretraining reaches the detector."""

from types import SimpleNamespace

import pytest
import torch
from mmengine.hub import get_config
from mmengine.registry import DefaultScope

from mmsoco.checkpoints.extract import extract
from mmsoco.checkpoints.pretraining import Origin
from mmsoco.engine.hooks.transfer import TransferHook
from mmsoco.engine.launch import train
from mmsoco.errors import UserError

MEAN, STD = [100.0, 110.5, 120.25], [50.0, 60.0, 70.5]


@pytest.fixture(scope='module')
def checkpoint(recipe, images, proposal_file, tmp_path_factory):
    """Of a pretraining with statistics of its own."""
    from shrinking import shrink

    work_dir = tmp_path_factory.mktemp('other_statistics')
    options = shrink(recipe, images, proposal_file)
    options['model.data_preprocessor'] = dict(type='SoCoDataPreprocessor', mean=MEAN, std=STD)
    train(recipe, str(work_dir), amp=False, options=options)
    return work_dir / 'epoch_2.pth'


def detector(mean, std):
    """Faster R-CNN of the same widths."""
    from mmdet.registry import MODELS

    cfg = get_config('mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py')
    norm = dict(type='BN')
    widths = dict(depth=18, base_channels=8, stem_channels=8, init_cfg=None)
    head = dict(type='Shared4Conv1FCBBoxHead', in_channels=4, conv_out_channels=4, fc_out_channels=8, norm_cfg=norm)
    cfg.merge_from_dict(
        {
            'model.data_preprocessor': dict(mean=mean, std=std),
            'model.backbone': widths,
            'model.neck': dict(in_channels=[8, 16, 32, 64], out_channels=4, norm_cfg=norm),
            'model.rpn_head': dict(in_channels=4, feat_channels=4),
            'model.roi_head.bbox_roi_extractor.out_channels': 4,
            'model.roi_head.bbox_head': head,
        }
    )
    with DefaultScope.overwrite_default_scope('mmdet'):
        return MODELS.build(cfg.model)


def load(checkpoint, model):
    said = []
    runner = SimpleNamespace(model=model, _resume=False, logger=SimpleNamespace(info=said.append))
    TransferHook().after_load_checkpoint(runner, torch.load(checkpoint, weights_only=True))
    return said[0]


def test_a_checkpoint_says_what_was_shown_and_what_a_detector_takes(checkpoint, tmp_path):
    content = torch.load(checkpoint, weights_only=True)
    shown = content['meta']['pretraining']
    assert shown['method'] == 'SoCoAlgorithm' and shown['parts'] == ['backbone', 'neck', 'roi_head']
    assert (shown['mean'], shown['std'], shown['channels']) == (MEAN, STD, 'rgb')
    assert [view['name'] for view in shown['views']] == ['v1', 'v2', 'v3'] and shown['num_proposals'] == 4
    assert shown['pairs'] == [['v1', 'v2'], ['v1', 'v3']]
    # So does what is made of it.
    extracted, _ = extract(checkpoint, tmp_path / 'detector.pth')
    again = torch.load(extracted, weights_only=True)
    assert {**again['meta']['pretraining'], 'views': ()} == {**shown, 'views': ()}
    assert [view['crop'] and view['crop']['scale'] for view in again['meta']['pretraining']['views']] == [
        None,
        [0.5, 1.0],
        None,
    ]
    assert Origin.of(again) == Origin.of(content) and Origin.of(again).said


def test_a_detector_is_shown_the_same(checkpoint, tmp_path):
    table = load(checkpoint, detector(MEAN, STD))
    assert 'backbone' in table and 'target' in table and 'left: only for pretraining' in table
    extracted, _ = extract(checkpoint, tmp_path / 'detector.pth')
    assert 'left: only for pretraining' not in load(extracted, detector(MEAN, STD))
    for file in (checkpoint, extracted):
        with pytest.raises(UserError, match=r'set in its data_preprocessor mean=\[100.0, 110.5, 120.25\], std=\[50.0'):
            load(file, detector([123.675, 116.28, 103.53], [58.395, 57.12, 57.375]))


def test_the_order_of_channels_counts(checkpoint, tmp_path):
    bgr = torch.load(checkpoint, weights_only=True)
    bgr['meta']['pretraining']['channels'] = 'bgr'
    torch.save(bgr, tmp_path / 'bgr.pth')
    with pytest.raises(UserError, match='bgr_to_rgb=False'):
        load(tmp_path / 'bgr.pth', detector(MEAN, STD))


def test_an_incomplete_description_is_none(checkpoint):
    content = torch.load(checkpoint, weights_only=True)
    del content['meta']['pretraining']['mean']
    assert Origin.of(content) == Origin() and not Origin.of(content).said


def test_checkpoints_of_earlier_versions_were_shown_imagenets(checkpoint, tmp_path):
    old = torch.load(checkpoint, weights_only=True)
    del old['meta']['pretraining']
    torch.save(old, tmp_path / 'old.pth')
    assert not Origin.of(old).said
    load(tmp_path / 'old.pth', detector([123.675, 116.28, 103.53], [58.395, 57.12, 57.375]))
    with pytest.raises(UserError, match=r'mean=\[123.675, 116.28, 103.53\]'):
        load(tmp_path / 'old.pth', detector(MEAN, STD))
