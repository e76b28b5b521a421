# Faster R-CNN for two CPU cores, into which a pretraining by configs/own/*_cpu.py loads: backbone, FPN and box head.
# Anchors of 16 to 256 px on images of 256; docs/compare.md says how to change both.
_base_ = ['mmdet::_base_/models/faster-rcnn_r50_fpn.py', './_base_/cpu_boxes.py']

model = dict(
    backbone=_base_.small_backbone,
    neck=_base_.small_neck,
    rpn_head=dict(in_channels=64, feat_channels=64, anchor_generator=dict(scales=[4])),
    roi_head=dict(bbox_roi_extractor=_base_.small_roi_extractor, bbox_head=_base_.small_box_head),
    train_cfg=_base_.few_boxes,
    test_cfg=_base_.few_proposals,
)
