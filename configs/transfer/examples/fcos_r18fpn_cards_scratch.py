# FCOS on the photos of playing cards of _base_/cards.py, from random weights.
_base_ = ['../../own/detectors/_base_/cpu_boxes.py', './_base_/cards.py']

# As in mmdet's fcos_r50-caffe_fpn_gn-head_1x_coco.py, from which no model can be taken alone.
model = dict(
    type='FCOS',
    data_preprocessor=dict(type='DetDataPreprocessor', **_base_.images, pad_size_divisor=32),
    backbone=dict(type='ResNet', **_base_.small_backbone, num_stages=4, out_indices=(0, 1, 2, 3)),
    neck=dict(
        type='FPN',
        **_base_.small_neck,
        start_level=1,
        add_extra_convs='on_output',
        num_outs=5,
        relu_before_extra_convs=True,
    ),
    bbox_head=dict(
        type='FCOSHead',
        num_classes=6,
        in_channels=64,
        feat_channels=64,
        stacked_convs=2,
        strides=[8, 16, 32, 64, 128],
        loss_cls=dict(type='FocalLoss', use_sigmoid=True, gamma=2.0, alpha=0.25, loss_weight=1.0),
        loss_bbox=dict(type='IoULoss', loss_weight=1.0),
        loss_centerness=dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=1.0),
    ),
    test_cfg=dict(
        nms_pre=1000, min_bbox_size=0, score_thr=0.05, nms=dict(type='nms', iou_threshold=0.5), max_per_img=100
    ),
)
optim_wrapper = dict(
    paramwise_cfg=dict(bias_lr_mult=2.0, bias_decay_mult=0.0),
    clip_grad=dict(max_norm=35, norm_type=2),
)
train_dataloader = _base_.cards_train
val_dataloader = _base_.cards_test
test_dataloader = _base_.cards_test
val_evaluator = _base_.cards_metric
test_evaluator = _base_.cards_metric
