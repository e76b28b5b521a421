# Table 5a: the third view at 128 px (42.1 box AP, 37.7 mask AP).
_base_ = '../soco/soco_r50fpn_8xb256_100e_in1k.py'

train_dataloader = dict(dataset=dict(pipeline=dict(multi_view=dict(views=dict(v3=dict(size=128))))))
