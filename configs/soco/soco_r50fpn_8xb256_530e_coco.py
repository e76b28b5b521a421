# SoCo, R50-FPN, 530 epochs of COCO, as many steps as 100 of ImageNet (paper,
# table 9: 40.6 box AP, 36.4 mask AP).
_base_ = './soco_r50fpn_8xb256_100e_coco.py'

train_cfg = dict(max_epochs=530)
