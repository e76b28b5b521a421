# Faster R-CNN of the pretrainings' widths, on labelled images of any channels: COCO
# format. SCENES says where they are; classes and num_classes are to be yours.
_base_ = [
    'mmdet::_base_/models/faster-rcnn_r50_fpn.py',
    'mmdet::_base_/datasets/coco_detection.py',
    '../../own/detectors/_base_/cpu.py',
]

model = dict(
    # mean and std are the pretraining's, which are measured.
    data_preprocessor=dict(_delete_=True, type='mmsoco.ChannelDetDataPreprocessor', pad_size_divisor=32),
    backbone=_base_.small_backbone,
    neck=_base_.small_neck,
    rpn_head=dict(in_channels=64, feat_channels=64),
    roi_head=dict(
        bbox_roi_extractor=_base_.small_roi_extractor,
        bbox_head=dict(**_base_.small_box_head, num_classes=1),
    ),
    train_cfg=_base_.few_boxes,
    test_cfg=_base_.few_proposals,
)

scenes = dict(data_root='{{$SCENES:data/scenes}}/', metainfo=dict(classes=('object',)))
boxes = dict(type='LoadAnnotations', with_bbox=True)
# What comes after loading. Of mmdet's other steps, those that know colours or paint are for
# three channels (README.md).
train_steps = [boxes, _base_.resize, _base_.flip, _base_.pack]
test_steps = [_base_.resize, boxes, _base_.pack_unflipped]
train_dataloader = dict(
    **_base_.small_batches,
    dataset=dict(**scenes, ann_file='train.json', data_prefix=dict(img='train/')),
)
val_dataloader = dict(
    num_workers=1,
    dataset=dict(**scenes, ann_file='test.json', data_prefix=dict(img='test/')),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='mmsoco.CocoMetric', ann_file=scenes['data_root'] + 'test.json')
test_evaluator = val_evaluator

default_hooks = dict(transfer=dict(type='mmsoco.TransferHook'))
