# The same from ImageNet labels (paper, table 2: box AP 38.2, mask AP 33.3).
_base_ = './mask-rcnn_r50c4_soco_1x.py'

labels = dict(_delete_=True, **_base_.imagenet_labels)
model = dict(backbone=dict(init_cfg=labels), roi_head=dict(shared_head=dict(init_cfg=dict(**labels))))
custom_hooks = _base_.custom_hooks[1:]
