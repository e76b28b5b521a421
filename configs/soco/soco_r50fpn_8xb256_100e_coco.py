# SoCo, R50-FPN, 100 epochs of COCO train2017 and unlabeled2017, listed by
# data_pipelines/coco_list.py (paper, table 9: 37.3 box AP, 33.5 mask AP).
_base_ = './soco_r50fpn_8xb256_100e_in1k.py'

train_dataloader = dict(dataset=dict(data_root='data/coco', proposal_file='data/coco/proposals.arrow'))
