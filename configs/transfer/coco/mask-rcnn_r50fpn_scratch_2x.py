# The same from random weights (paper, table 1: box AP 38.4, mask AP 34.7).
_base_ = './mask-rcnn_r50fpn_soco_2x.py'

custom_hooks = _base_.custom_hooks[1:]
