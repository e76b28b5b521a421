# SoCo, R50-FPN, 400 epochs (paper, table 1: Mask R-CNN 1x 43.0 box AP, 38.2 mask AP).
_base_ = './soco_r50fpn_8xb256_100e_in1k.py'

train_cfg = dict(max_epochs=400)
