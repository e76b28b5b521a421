# The same from random weights (not in the paper).
_base_ = './retinanet_r50fpn_soco_1x.py'

custom_hooks = _base_.custom_hooks[1:]
