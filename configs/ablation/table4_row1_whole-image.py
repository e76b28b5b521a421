# Table 4, row 1: the whole image as the instance (38.1 box AP, 34.4 mask AP). A
# view is its own box, and RoIAlign of it, averaged, is global average pooling.
_base_ = './table4_row2_selective-search.py'

pipeline = _base_.train_dataloader.dataset.pipeline
pipeline[1].num_proposals = 0

train_dataloader = dict(dataset=dict(pipeline=pipeline))
