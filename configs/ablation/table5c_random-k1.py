# Table 5c: 1 random box an image (41.4 box AP, 36.9 mask AP). The boxes come from
# data_pipelines/random_proposals.py and pass the same filter.
_base_ = './table5c_selective-search-k1.py'

train_dataloader = dict(dataset=dict(proposal_file='data/imagenet/random_proposals.arrow'))
