# SoCo, R50-FPN, 100 epochs of an ImageNet subset as large as COCO, drawn by
# data_pipelines/imagenet_subset_list.py (paper, table 9: 36.9 box AP, 33.2 mask AP).
_base_ = './soco_r50fpn_8xb256_100e_in1k.py'

train_dataloader = dict(dataset=dict(proposal_file='data/imagenet/subset_proposals.arrow'))
