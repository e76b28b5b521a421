# SoCo, R50-FPN, 100 epochs (paper, table 1: Mask R-CNN 1x 42.3 box AP, 37.6 mask AP).
_base_ = [
    '../_base_/soco_r50fpn.py',
    '../_base_/imagenet_3views.py',
    '../_base_/lars_100e.py',
    '../_base_/default_runtime.py',
]
