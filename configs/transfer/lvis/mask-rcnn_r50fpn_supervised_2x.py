# The same from ImageNet labels (paper, table 6: box AP 23.4, mask AP 22.3).
_base_ = './mask-rcnn_r50fpn_soco_2x.py'

model = dict(backbone=dict(init_cfg=dict(_delete_=True, **_base_.imagenet_labels)))
custom_hooks = _base_.custom_hooks[1:]
