# The same from ImageNet labels (paper, table 7: box AP 36.6).
_base_ = './fcos_r50fpn_scratch_1x.py'

model = _base_.backbone_from_labels
