# A detector small enough for a CPU, and how it is trained in some minutes; the names
# are new, so that this stands beside any of mmdet's configs in a _base_ list.
norm = dict(type='BN', requires_grad=True)

# The widths of ../../quickstart/soco_r18fpn_tiles.py.
small_backbone = dict(
    depth=18,
    base_channels=32,
    stem_channels=32,
    frozen_stages=-1,
    norm_cfg=norm,
    norm_eval=False,
    init_cfg=None,
)
small_neck = dict(in_channels=[32, 64, 128, 256], out_channels=64, norm_cfg=norm)
small_roi_extractor = dict(out_channels=64)
small_box_head = dict(
    type='Shared4Conv1FCBBoxHead', in_channels=64, conv_out_channels=64, fc_out_channels=256, norm_cfg=norm
)
# A picture holds few objects: fewer boxes are sampled, for the sake of CPUs.
few_boxes = dict(rpn_proposal=dict(nms_pre=500, max_per_img=100), rcnn=dict(sampler=dict(num=64)))
few_proposals = dict(rpn=dict(nms_pre=500, max_per_img=200))

train_steps = 300
train_loop = dict(_delete_=True, type='IterBasedTrainLoop', max_iters=train_steps, val_interval=train_steps)
# AdamW learns faster than SGD where there is only time for some hundred steps.
adamw = dict(_delete_=True, type='AdamW', lr=1e-3, weight_decay=0.05)
warmup_cosine = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=30),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=30, end=train_steps, T_max=train_steps - 30, eta_min=1e-6),
]
saving = dict(type='mmsoco.CheckpointHook', by_epoch=False, interval=100, max_keep_ckpts=1)
custom_hooks = [dict(type='mmsoco.TransferHook')]
randomness = dict(seed=0)
