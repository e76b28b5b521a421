# The same from random weights (paper, table 3: AP 33.8, AP50 60.2, AP75 33.1).
_base_ = './faster-rcnn_r50c4_soco_24k.py'

custom_hooks = _base_.custom_hooks[1:]
