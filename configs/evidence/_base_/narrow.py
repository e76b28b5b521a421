# SoCo on two CPU cores in some minutes: the recipe of ../../own, with a ResNet-18 at a quarter of its width.
_base_ = '../../own/_base_/cpu.py'

model = dict(
    backbone=dict(base_channels=16, stem_channels=16),
    neck=dict(in_channels=[16, 32, 64, 128], out_channels=32),
    roi_head=dict(bbox_head=dict(in_channels=32, conv_out_channels=32)),
)
train_cfg = dict(max_steps=600)
default_hooks = dict(probe=dict(interval=200), checkpoint=dict(interval=200, max_keep_ckpts=1))
