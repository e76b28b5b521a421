# Linear evaluation of the backbone on ImageNet-1k (paper, appendix B, table 11:
# top-1 / top-5 of 53.0 / 77.5 and 54.2 / 79.5 after 100 and 400 epochs of SoCo on
# R50-FPN, 59.7 / 82.8 and 62.6 / 84.6 on R50-C4, 53.9 / 79.2 after 400 of SoCo*).
# 8 GPUs with 32 images each. The pretraining is given by
# --cfg-options load_from=work_dirs/soco_r50fpn_8xb256_100e_in1k/epoch_100.pth
_base_ = [
    'mmpretrain::_base_/models/resnet50.py',
    'mmpretrain::_base_/datasets/imagenet_bs32.py',
    'mmpretrain::_base_/default_runtime.py',
]

# Weights and BN statistics of the backbone stay as they are.
model = dict(backbone=dict(frozen_stages=4, norm_eval=True, init_cfg=None))

optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=30.0, momentum=0.9, weight_decay=0.0))
auto_scale_lr = dict(base_batch_size=256)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=True, begin=0, end=5, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', T_max=95, by_epoch=True, begin=5, end=100, convert_to_iter_based=True),
]
train_cfg = dict(by_epoch=True, max_epochs=100, val_interval=10)
val_cfg = dict()
test_cfg = dict()

default_hooks = dict(checkpoint=dict(type='mmsoco.CheckpointHook', interval=10, max_keep_ckpts=1))
custom_hooks = [dict(type='mmsoco.TransferHook')]
