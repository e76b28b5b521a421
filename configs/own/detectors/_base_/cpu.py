# A detector small enough for a CPU, at the widths of ../../_base_/cpu.py, and how it is trained in some minutes; one of
# mmdet's models and of its data sets come beside it.
_base_ = [
    'mmdet::_base_/schedules/schedule_1x.py',
    'mmdet::_base_/default_runtime.py',
    '../../../transfer/_base_/finetuning.py',
]

small_backbone = dict(**_base_.whole_backbone, depth=18, base_channels=32, stem_channels=32)
small_neck = dict(in_channels=[32, 64, 128, 256], out_channels=64, norm_cfg=_base_.norm)
small_roi_extractor = dict(out_channels=64)
small_box_head = _base_.four_conv_head
small_box_head.update(in_channels=64, conv_out_channels=64, fc_out_channels=256)
# An image holds few objects: fewer boxes are sampled, for the sake of CPUs.
few_boxes = dict(rpn_proposal=dict(nms_pre=500, max_per_img=100), rcnn=dict(sampler=dict(num=64)))
few_proposals = dict(rpn=dict(nms_pre=500, max_per_img=200))

small_batches = dict(batch_size=4, num_workers=1, sampler=_base_.shuffled_forever, batch_sampler=None)
load = dict(type='LoadImageFromFile')
resize = dict(type='Resize', scale=(256, 256), keep_ratio=True)
flip = dict(type='RandomFlip', prob=0.5)
pack = dict(type='PackDetInputs')
pack_unflipped = dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'))

# AdamW learns faster than SGD where there is only time for some hundred steps.
optim_wrapper = dict(optimizer=dict(_delete_=True, type='AdamW', lr=1e-3, weight_decay=0.05))
auto_scale_lr = dict(base_batch_size=4)  # one process
steps = 400
train_cfg = dict(**_base_.iterations, max_iters=steps, val_interval=steps)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=30),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=30, end=steps, T_max=steps - 30, eta_min=1e-6),
]
# For the sake of CPUs, BN is not measured afresh.
default_hooks = dict(
    logger=dict(interval=10),
    checkpoint=dict(type='mmsoco.CheckpointHook', by_epoch=False, interval=100, max_keep_ckpts=1),
)
log_processor = dict(by_epoch=False, window_size=10)
randomness = dict(seed=0)
