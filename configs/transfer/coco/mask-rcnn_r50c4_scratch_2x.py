# The same from random weights (paper, table 2: box AP 35.6, mask AP 31.4).
_base_ = './mask-rcnn_r50c4_soco_2x.py'

custom_hooks = _base_.custom_hooks[1:]
