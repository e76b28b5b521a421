# Mask R-CNN on microscopy images from random weights: COCO format, one class. NUCLEI says
# where they are.
_base_ = [
    'mmdet::_base_/models/mask-rcnn_r50_fpn.py',
    'mmdet::_base_/datasets/coco_instance.py',
    './_base_/small.py',
]

model = dict(
    backbone=_base_.small_backbone,
    neck=_base_.small_neck,
    # Anchors from 8 px on: nuclei here measure 5 to 60.
    rpn_head=dict(in_channels=64, feat_channels=64, anchor_generator=dict(scales=[2])),
    roi_head=dict(
        bbox_roi_extractor=_base_.small_roi_extractor,
        bbox_head=dict(**_base_.small_box_head, num_classes=1),
        mask_roi_extractor=_base_.small_roi_extractor,
        mask_head=dict(in_channels=64, conv_out_channels=64, num_classes=1, norm_cfg=_base_.norm),
    ),
    train_cfg=_base_.few_boxes,
    test_cfg=_base_.few_proposals,
)

nuclei = dict(data_root='{{$NUCLEI:data/nuclei}}/', metainfo=dict(classes=('nucleus',)))
masks = dict(type='LoadAnnotations', with_bbox=True, with_mask=True)
train_dataloader = dict(
    **_base_.small_batches,
    dataset=dict(
        **nuclei,
        ann_file='train.json',
        data_prefix=dict(img='train/'),
        pipeline=[_base_.load, masks, _base_.resize, _base_.flip, _base_.pack],
    ),
)
val_dataloader = dict(
    num_workers=1,
    dataset=dict(
        **nuclei,
        ann_file='val.json',
        data_prefix=dict(img='val/'),
        pipeline=[_base_.load, _base_.resize, masks, _base_.pack_unflipped],
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='mmsoco.CocoMetric', ann_file=nuclei['data_root'] + 'val.json')
test_evaluator = val_evaluator
