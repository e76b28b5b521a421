# SoCo with a ResNet-18. Not in the paper; the recipe is R50-FPN's.
_base_ = './soco_r50fpn_8xb256_100e_in1k.py'

model = dict(backbone=dict(depth=18), neck=dict(in_channels=[64, 128, 256, 512]))
