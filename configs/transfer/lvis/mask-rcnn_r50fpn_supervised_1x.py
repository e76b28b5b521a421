# The same from ImageNet labels (paper, table 6: box AP 20.4, mask AP 19.4).
_base_ = './_base_/mask-rcnn_r50fpn_1x.py'

model = _base_.backbone_from_labels
