# Table 5c: 8 proposals of selective search an image (41.6 box AP, 37.4 mask AP).
_base_ = '../soco/soco_r50fpn_8xb256_100e_in1k.py'

train_dataloader = dict(dataset=dict(pipeline=dict(multi_view=dict(num_proposals=8))))
