# The same from random weights (paper, table 2: box AP 26.4, mask AP 29.3).
_base_ = './mask-rcnn_r50c4_soco_1x.py'

custom_hooks = _base_.custom_hooks[1:]
