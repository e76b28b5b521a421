# Table 4, row 5: backbone, FPN and head, each box on its level; boxes as they are
# (41.6 box AP, 37.3 mask AP).
_base_ = './table4_row6_box-jitter.py'

pipeline = _base_.train_dataloader.dataset.pipeline
pipeline[1].views[0].jitter = None

train_dataloader = dict(dataset=dict(pipeline=pipeline))
