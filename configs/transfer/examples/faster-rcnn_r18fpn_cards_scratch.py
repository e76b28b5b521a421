# Faster R-CNN on the photos of playing cards of _base_/cards.py, from random weights.
_base_ = ['mmdet::_base_/models/faster-rcnn_r50_fpn.py', './_base_/cards.py']

model = dict(
    backbone=_base_.small_backbone,
    neck=_base_.small_neck,
    rpn_head=dict(in_channels=64, feat_channels=64),
    roi_head=dict(
        bbox_roi_extractor=_base_.small_roi_extractor,
        bbox_head=dict(**_base_.small_box_head, num_classes=6),
    ),
    train_cfg=_base_.few_boxes,
    test_cfg=_base_.few_proposals,
)
