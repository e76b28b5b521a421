# Table 5d: target momentum from 0.993 (41.8 box AP, 37.6 mask AP).
_base_ = '../soco/soco_r50fpn_8xb256_100e_in1k.py'

default_hooks = dict(target_update=dict(base_momentum=0.993))
