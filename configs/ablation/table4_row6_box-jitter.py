# Table 4, row 6: all but the third view (41.7 box AP, 37.5 mask AP).
_base_ = '../soco/soco_r50fpn_8xb256_100e_in1k.py'

train_dataloader = dict(
    dataset=dict(pipeline=dict(multi_view=dict(views=dict(v3=None), pairs=[('v1', 'v2')]))),
)
