# Table 5c: 8 random boxes an image. In the paper this diverges (NaN), as with 4.
_base_ = './table5c_selective-search-k8.py'

train_dataloader = dict(dataset=dict(proposal_file='data/imagenet/random_proposals.arrow'))
