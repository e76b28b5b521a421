# Table 5d: target momentum from 0.98 (35.0 box AP, 31.7 mask AP).
_base_ = '../soco/soco_r50fpn_8xb256_100e_in1k.py'

custom_hooks = _base_.custom_hooks
custom_hooks[0].base_momentum = 0.98
