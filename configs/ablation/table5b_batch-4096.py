# Table 5b: a batch of 4096, with the learning rate that follows from it (41.4 box AP,
# 37.3 mask AP).
_base_ = '../soco/soco_r50fpn_8xb256_100e_in1k.py'

total_batch_size = 4096
