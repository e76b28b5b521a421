# The same from ImageNet labels (paper, table 1: box AP 38.9, mask AP 35.4).
_base_ = './mask-rcnn_r50fpn_scratch_1x.py'

model = _base_.backbone_from_labels
