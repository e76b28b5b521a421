import pytest
import torch

from mmsoco.models import ProposalRoIHead
from mmsoco.registry import MODELS

EXTRACTOR = dict(type='mmsoco.ScaleAwareRoIExtractor', max_sizes=(), output_size=7)


def bbox_head():
    return dict(
        type='Shared4Conv1FCBBoxHead',
        _scope_='mmdet',
        in_channels=4,
        conv_out_channels=6,
        fc_out_channels=8,
        norm_cfg=dict(type='BN'),
        with_reg=False,
        cls_predictor_cfg=dict(type='mmsoco.Identity'),
    )


def test_names_are_mmdets_and_no_predictor_is_there():
    head = ProposalRoIHead(EXTRACTOR, bbox_head())
    names = set(head.state_dict())
    assert {'bbox_head.shared_convs.3.bn.running_mean', 'bbox_head.shared_fcs.0.bias'} <= names
    assert not any('fc_cls' in name or 'fc_reg' in name for name in names)


def test_returns_the_shared_features():
    head = ProposalRoIHead(EXTRACTOR, bbox_head()).eval()
    feats = (torch.randn(2, 4, 16, 16),)
    boxes = torch.tensor([[0.0, 0.0, 20.0, 30.0], [5.0, 5.0, 60.0, 60.0], [1.0, 1.0, 9.0, 9.0]]).expand(2, 3, 4)
    x = head.bbox_roi_extractor(feats, boxes, (64, 64))
    for conv in head.bbox_head.shared_convs:
        x = conv(x)
    expected = head.bbox_head.shared_fcs[0](x.flatten(1)).relu()
    out = head(feats, boxes, (64, 64))
    assert out.shape == (6, 8)
    torch.testing.assert_close(out, expected)


def test_init_weights_reaches_the_box_head():
    head = MODELS.build(dict(type='mmsoco.ProposalRoIHead', bbox_roi_extractor=EXTRACTOR, bbox_head=bbox_head()))
    with torch.no_grad():
        head.bbox_head.shared_fcs[0].weight.zero_()
    head.init_weights()
    assert head.bbox_head.shared_fcs[0].weight.any()


def test_shared_head_is_averaged_over_the_box():
    shared = dict(type='mmdet.ResLayer', depth=50, stage=3, norm_eval=False, init_cfg=None)
    head = ProposalRoIHead(dict(EXTRACTOR, output_size=14), shared_head=shared).eval()
    feats = (torch.randn(1, 1024, 4, 4),)
    boxes = torch.tensor([[[0.0, 0.0, 40.0, 40.0]]])
    out = head(feats, boxes, (64, 64))
    assert out.shape == (1, 2048)
    maps = head.shared_head(head.bbox_roi_extractor(feats, boxes, (64, 64)))
    torch.testing.assert_close(out, maps.mean(dim=(2, 3)))


def test_without_a_head_the_pooled_features_are_averaged():
    head = ProposalRoIHead(EXTRACTOR)
    assert not head.state_dict()
    feats = (torch.randn(1, 3, 4, 4),)
    whole = torch.tensor([[[0.0, 0.0, 64.0, 64.0]]])
    out = head((feats[0].repeat_interleave(7, 2).repeat_interleave(7, 3),), whole, (64, 64))
    # The whole view as the box: global average pooling.
    torch.testing.assert_close(out, feats[0].mean(dim=(2, 3)))


def test_not_both_heads():
    with pytest.raises(ValueError, match='either bbox_head'):
        ProposalRoIHead(EXTRACTOR, bbox_head(), shared_head=dict())
