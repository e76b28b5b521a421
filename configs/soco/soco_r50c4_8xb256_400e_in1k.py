# SoCo, R50-C4, 400 epochs (paper, table 2: Mask R-CNN C4 1x 40.9 box AP, 35.3 mask AP).
_base_ = './soco_r50c4_8xb256_100e_in1k.py'

train_cfg = dict(max_epochs=400)
