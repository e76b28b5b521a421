# Table 5b: a batch of 1024, with the learning rate that follows from it (41.9 box AP,
# 37.6 mask AP).
_base_ = '../soco/soco_r50fpn_8xb256_100e_in1k.py'

total_batch_size = 1024
