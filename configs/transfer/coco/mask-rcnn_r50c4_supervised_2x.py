# The same from ImageNet labels (paper, table 2: box AP 40.0, mask AP 34.7).
_base_ = './mask-rcnn_r50c4_scratch_2x.py'

model = _base_.c4_from_labels
