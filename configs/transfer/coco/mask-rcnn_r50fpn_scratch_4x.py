# The same from random weights (not in the paper).
_base_ = './mask-rcnn_r50fpn_soco_4x.py'

custom_hooks = _base_.custom_hooks[1:]
