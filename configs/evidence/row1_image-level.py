# Table 4, row 1, in small: the whole image as the instance.
_base_ = './row2_backbone.py'

train_dataloader = dict(dataset=dict(pipeline=dict(multi_view=dict(num_proposals=0))))
