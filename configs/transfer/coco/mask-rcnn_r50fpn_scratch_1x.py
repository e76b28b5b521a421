# The same from random weights (paper, table 1: box AP 31.0, mask AP 28.5).
_base_ = './mask-rcnn_r50fpn_soco_1x.py'

custom_hooks = _base_.custom_hooks[1:]
