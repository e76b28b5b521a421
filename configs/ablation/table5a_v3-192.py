# Table 5a: the third view at 192 px (42.2 box AP, 37.8 mask AP).
_base_ = '../soco/soco_r50fpn_8xb256_100e_in1k.py'

pipeline = _base_.train_dataloader.dataset.pipeline
pipeline[1].views[2].size = 192

train_dataloader = dict(dataset=dict(pipeline=pipeline))
