# RetinaNet for two CPU cores, into which a pretraining by configs/own/*_cpu.py loads: backbone and FPN.
# Anchors of 16 to 256 px on images of 256; docs/compare.md says how to change both.
_base_ = ['mmdet::_base_/models/retinanet_r50_fpn.py', './_base_/cpu_boxes.py']

model = dict(
    backbone=_base_.small_backbone,
    neck=_base_.small_neck,
    bbox_head=dict(
        in_channels=64,
        feat_channels=64,
        stacked_convs=2,
        anchor_generator=dict(octave_base_scale=2),
    ),
)
