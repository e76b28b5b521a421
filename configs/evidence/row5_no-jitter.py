# Table 4, row 5, in small: boxes as they are.
_base_ = './row6_two-views.py'

train_dataloader = dict(dataset=dict(pipeline=dict(multi_view=dict(views=dict(v1=dict(jitter=None))))))
