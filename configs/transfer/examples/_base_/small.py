# A detector small enough for a CPU, and how it is trained in some minutes; the names
# are new, so that this stands beside any of mmdet's configs in a _base_ list.
_base_ = '../../_base_/finetuning.py'

# The widths of ../../../own/_base_/cpu.py.
small_backbone = dict(**_base_.whole_backbone, depth=18, base_channels=32, stem_channels=32)
small_neck = dict(in_channels=[32, 64, 128, 256], out_channels=64, norm_cfg=_base_.norm)
small_roi_extractor = dict(out_channels=64)
small_box_head = _base_.four_conv_head
small_box_head.update(in_channels=64, conv_out_channels=64, fc_out_channels=256)
# An image holds few objects: fewer boxes are sampled, for the sake of CPUs.
few_boxes = dict(rpn_proposal=dict(nms_pre=500, max_per_img=100), rcnn=dict(sampler=dict(num=64)))
few_proposals = dict(rpn=dict(nms_pre=500, max_per_img=200))

train_steps = 400
train_loop = dict(_delete_=True, type='IterBasedTrainLoop', max_iters=train_steps, val_interval=train_steps)
# AdamW learns faster than SGD where there is only time for some hundred steps.
adamw = dict(_delete_=True, type='AdamW', lr=1e-3, weight_decay=0.05)
warmup_cosine = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=30),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=30, end=train_steps, T_max=train_steps - 30, eta_min=1e-6),
]
saving = dict(interval=100, max_keep_ckpts=1)
custom_hooks = _base_.custom_hooks[:1]  # for the sake of CPUs, BN is not measured afresh
randomness = dict(seed=0)
