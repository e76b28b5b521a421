# Table 5a: the third view at 192 px (42.2 box AP, 37.8 mask AP).
_base_ = '../soco/soco_r50fpn_8xb256_100e_in1k.py'

train_dataloader = dict(dataset=dict(pipeline=dict(multi_view=dict(views=dict(v3=dict(size=192))))))
