# The same from ImageNet labels (paper, table 1: box AP 41.3, mask AP 37.3).
_base_ = './mask-rcnn_r50fpn_scratch_2x.py'

model = _base_.backbone_from_labels
