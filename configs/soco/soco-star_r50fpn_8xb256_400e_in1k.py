# SoCo*, R50-FPN, 400 epochs (paper, table 1: Mask R-CNN 1x 43.2 box AP, 38.4 mask AP).
_base_ = './soco_r50fpn_8xb256_400e_in1k.py'

# A fourth view: another crop of V1, at 192 px (section 4.3).
v4 = dict(source='v1', crop=dict(scale=(0.5, 1.0), ratio=(3 / 4, 4 / 3)), size=192, augment=_base_.augment_others)
multi_view = dict(views=dict(v4=v4), pairs=[('v1', 'v2'), ('v1', 'v3'), ('v1', 'v4')])
train_dataloader = dict(dataset=dict(pipeline=dict(multi_view=multi_view)))
