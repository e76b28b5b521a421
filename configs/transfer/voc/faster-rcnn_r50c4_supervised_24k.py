# The same from ImageNet labels (paper, table 3: AP 53.5, AP50 81.3, AP75 58.8).
_base_ = './faster-rcnn_r50c4_scratch_24k.py'

model = _base_.c4_from_labels
