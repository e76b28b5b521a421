# Mask R-CNN R50-C4, COCO, 90k iterations (paper, table 2: box AP 40.4 / 40.9, mask AP
# 34.9 / 35.3 after 100 / 400 epochs of SoCo on R50-C4). 8 GPUs with 2 pictures each.
_base_ = ['mmdet::mask_rcnn/mask-rcnn_r50-caffe-c4_1x_coco.py', '../_base_/finetuning.py']

# A norm more after the shared block.
custom_imports = dict(imports=['mmpretrain.models.utils.res_layer_extra_norm'], allow_failed_imports=False)
shared_head = dict(type='ResLayerExtraNorm', style='pytorch', norm_cfg=_base_.norm, norm_eval=False, init_cfg=None)
model = dict(data_preprocessor=_base_.pictures, backbone=_base_.whole_backbone, roi_head=dict(shared_head=shared_head))

pipeline = _base_.train_pipeline
pipeline[2] = _base_.short_side_640_to_800
train_dataloader = dict(
    sampler=dict(_delete_=True, type='InfiniteSampler', shuffle=True), dataset=dict(pipeline=pipeline)
)

optim_wrapper = dict(
    optimizer=dict(lr=0.02, momentum=0.9, weight_decay=2.5e-5),
    paramwise_cfg=dict(norm_decay_mult=0),
)
train_cfg = dict(_delete_=True, type='IterBasedTrainLoop', max_iters=90000, val_interval=10000)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=1000),
    dict(type='MultiStepLR', by_epoch=False, begin=0, end=90000, milestones=[60000, 80000], gamma=0.1),
]
default_hooks = dict(checkpoint=dict(type='mmsoco.CheckpointHook', by_epoch=False, interval=10000, max_keep_ckpts=2))
log_processor = dict(by_epoch=False)
val_evaluator = dict(type='mmsoco.CocoMetric')
test_evaluator = dict(type='mmsoco.CocoMetric')
