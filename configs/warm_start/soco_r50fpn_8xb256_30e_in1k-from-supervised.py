# SoCo, R50-FPN, from a backbone with ImageNet's labels: fewer epochs, the backbone at a tenth of the
# rate of what is new. Not in the paper, and not run.
_base_ = '../soco/soco_r50fpn_8xb256_100e_in1k.py'

load_from = 'torchvision://resnet50'  # fetched; or a file: --init resnet50.pth
optim_wrapper = dict(paramwise_cfg=dict(loaded_lr=0.1))
train_cfg = dict(max_epochs=30)
default_hooks = dict(learning_rate=dict(warmup_epochs=3))
