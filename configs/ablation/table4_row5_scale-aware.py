# Table 4, row 5: backbone, FPN and head, each box on its level; boxes as they are
# (41.6 box AP, 37.3 mask AP).
_base_ = './table4_row6_box-jitter.py'

train_dataloader = dict(dataset=dict(pipeline=dict(multi_view=dict(views=dict(v1=dict(jitter=None))))))
