# Table 4, row 6, in small: all but the third view.
_base_ = './row7_soco.py'

train_dataloader = dict(
    dataset=dict(pipeline=dict(multi_view=dict(views=dict(v3=None), pairs=[('v1', 'v2')]))),
)
