# What all fine-tunings have in common; the names are new, so that this stands beside
# any of mmdet's configs in a _base_ list.

# Every norm trains and is synchronised, also the new ones (paper, section 4.2). BN
# stands for SyncBN: the Runner converts it where there are several GPUs.
sync_bn = 'mmsoco'
runner_type = 'mmsoco.Runner'  # for mmdet's own tools, which would not know that one
norm = dict(type='BN', requires_grad=True)
whole_backbone = dict(frozen_stages=-1, norm_cfg=norm, norm_eval=False, style='pytorch', init_cfg=None)

# The R-CNN head that is pretrained: 4 convolutions and 1 linear layer.
four_conv_head = dict(type='Shared4Conv1FCBBoxHead', conv_out_channels=256, norm_cfg=norm)
# C4's head, with a norm more after it; import mmpretrain.models.utils.res_layer_extra_norm.
shared_block = dict(type='ResLayerExtraNorm', style='pytorch', norm_cfg=norm, norm_eval=False, init_cfg=None)

# The pretraining's images: RGB, with ImageNet's mean and standard deviation.
images = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True)

# What the two kinds of R-CNN take over and what they change for it.
mask_rcnn_fpn = dict(
    backbone=whole_backbone,
    neck=dict(norm_cfg=norm),
    roi_head=dict(bbox_head=four_conv_head, mask_head=dict(norm_cfg=norm)),
)
rcnn_c4 = dict(data_preprocessor=images, backbone=whole_backbone, roi_head=dict(shared_head=shared_block))

# The paper's supervised baseline; give the path of a file where nothing can be fetched.
imagenet_labels = dict(_delete_=True, type='Pretrained', checkpoint='torchvision://resnet50')
backbone_from_labels = dict(backbone=dict(init_cfg=imagenet_labels))
c4_from_labels = dict(
    backbone=dict(init_cfg=imagenet_labels), roi_head=dict(shared_head=dict(init_cfg=imagenet_labels))
)

# The paper's training scales on COCO.
masks_640_to_800 = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='RandomChoiceResize', scales=[(1333, side) for side in range(640, 801, 32)], keep_ratio=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs'),
]

# The paper's schedules on COCO and LVIS, 16 images a step: drops at 2/3 and 8/9 of the time. For
# 16 are the rates here and mmdet's (its auto_scale_lr.base_batch_size); see --auto-scale-lr.
shuffled_forever = dict(_delete_=True, type='InfiniteSampler', shuffle=True)
sgd = dict(optimizer=dict(lr=0.02, momentum=0.9, weight_decay=2.5e-5), paramwise_cfg=dict(norm_decay_mult=0))
iterations = dict(_delete_=True, type='IterBasedTrainLoop')
warmup = dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=1000)
drops = dict(type='MultiStepLR', by_epoch=False, begin=0, gamma=0.1)
steps_90k = [warmup, dict(**drops, end=90000, milestones=[60000, 80000])]
steps_180k = [warmup, dict(**drops, end=180000, milestones=[120000, 160000])]
steps_360k = [warmup, dict(**drops, end=360000, milestones=[240000, 320000])]

# Seconds that processes wait for the first one, which alone computes an evaluation's metrics: 12 minutes on LVIS,
# more than NCCL's own 10. tools/train.py and test.py give as many to a config that says nothing.
patient = dict(dist_cfg=dict(timeout=3600))

# Hooks of each fine-tuning; how often is a matter of its schedule.
precise_bn = dict(type='mmsoco.PreciseBNHook', num_iters=200)
saving = dict(type='mmsoco.CheckpointHook', every_minutes=30, max_keep_ckpts=2)

# From a pretraining, a config says default_hooks = dict(transfer=dict(type='mmsoco.TransferHook')),
# and the command --cfg-options load_from=work_dirs/NAME/epoch_100.pth
