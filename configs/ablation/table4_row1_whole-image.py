# Table 4, row 1: the whole image as the instance (38.1 box AP, 34.4 mask AP). A
# view is its own box, and RoIAlign of it, averaged, is global average pooling.
_base_ = './table4_row2_selective-search.py'

train_dataloader = dict(dataset=dict(pipeline=dict(multi_view=dict(num_proposals=0))))
