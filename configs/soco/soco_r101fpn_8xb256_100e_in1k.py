# SoCo with a ResNet-101. Not in the paper; the recipe is R50-FPN's.
_base_ = './soco_r50fpn_8xb256_100e_in1k.py'

model = dict(backbone=dict(depth=101))
