# RetinaNet on the photos of playing cards of _base_/cards.py, from random weights.
_base_ = ['mmdet::_base_/models/retinanet_r50_fpn.py', './_base_/cards.py']

model = dict(
    backbone=_base_.small_backbone,
    neck=_base_.small_neck,
    bbox_head=dict(in_channels=64, feat_channels=64, stacked_convs=2, num_classes=6),
)
