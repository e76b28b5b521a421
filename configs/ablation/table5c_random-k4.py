# Table 5c: 4 random boxes an image. In the paper this diverges (NaN); such a run
# ends with a message and its last weights in stopped.pth.
_base_ = '../soco/soco_r50fpn_8xb256_100e_in1k.py'

train_dataloader = dict(dataset=dict(proposal_file='data/imagenet/random_proposals.arrow'))
