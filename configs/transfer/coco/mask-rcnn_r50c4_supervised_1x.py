# The same from ImageNet labels (paper, table 2: box AP 38.2, mask AP 33.3).
_base_ = './mask-rcnn_r50c4_scratch_1x.py'

model = _base_.c4_from_labels
