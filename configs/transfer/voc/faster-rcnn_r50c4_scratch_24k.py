# Faster R-CNN R50-C4, VOC 07+12 trainval, tested on VOC 07, from random weights (paper, table 3:
# AP 33.8, AP50 60.2, AP75 33.1). 8 GPUs with 2 images each. The paper's code, detectron2, trains
# on the boxes that are marked difficult, too; mmdet ignores them.
_base_ = ['mmdet::pascal_voc/faster-rcnn_r50-caffe-c4_ms-18k_voc0712.py', '../_base_/finetuning.py']

custom_imports = dict(imports=['mmpretrain.models.utils.res_layer_extra_norm'], allow_failed_imports=False)
model = _base_.rcnn_c4

# VOC 2007 and 2012 have the same classes: the checkpoint then names them once.
train_dataloader = dict(dataset=dict(ignore_keys=['dataset_type']))

optim_wrapper = dict(
    optimizer=dict(lr=0.02, momentum=0.9, weight_decay=1e-4),
    paramwise_cfg=dict(norm_decay_mult=0),
)
max_iter = 24000
train_cfg = dict(max_iters=max_iter, val_interval=3000)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=100),
    dict(type='MultiStepLR', by_epoch=False, begin=0, end=max_iter, milestones=[18000, 22000], gamma=0.1),
]
default_hooks = dict(
    precise_bn=dict(**_base_.precise_bn, interval=3000),
    checkpoint=dict(**_base_.saving, by_epoch=False, interval=3000),
)

# mAP is the paper's AP, with the eleven points of VOC 2007.
val_evaluator = dict(iou_thrs=[0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95], eval_mode='11points')
test_evaluator = val_evaluator
