# The same from ImageNet labels (paper, table 2: box AP 40.0, mask AP 34.7).
_base_ = './mask-rcnn_r50c4_soco_2x.py'

labels = dict(_delete_=True, **_base_.imagenet_labels)
model = dict(backbone=dict(init_cfg=labels), roi_head=dict(shared_head=dict(init_cfg=dict(**labels))))
custom_hooks = _base_.custom_hooks[1:]
