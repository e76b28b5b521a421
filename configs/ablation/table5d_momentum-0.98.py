# Table 5d: target momentum from 0.98 (35.0 box AP, 31.7 mask AP).
_base_ = '../soco/soco_r50fpn_8xb256_100e_in1k.py'

default_hooks = dict(target_update=dict(base_momentum=0.98))
