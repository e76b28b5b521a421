# The same from ImageNet labels (paper, table 10: box AP 41.9, mask AP 37.7).
_base_ = './mask-rcnn_r50fpn_scratch_4x.py'

model = _base_.backbone_from_labels
