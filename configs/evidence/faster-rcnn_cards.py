# Faster R-CNN on the photos of playing cards, at the widths of _base_/narrow.py.
_base_ = '../transfer/examples/faster-rcnn_r18fpn_cards_scratch.py'

model = dict(
    backbone=dict(base_channels=16, stem_channels=16),
    neck=dict(in_channels=[16, 32, 64, 128], out_channels=32),
    rpn_head=dict(in_channels=32, feat_channels=32),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=32),
        bbox_head=dict(in_channels=32, conv_out_channels=32),
    ),
)
steps = 300
train_cfg = dict(max_iters=steps, val_interval=steps)
param_scheduler = [_base_.param_scheduler[0], dict(_base_.param_scheduler[1], end=steps, T_max=steps - 30)]
