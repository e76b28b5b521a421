# Table 4, row 3, in small: backbone and FPN, features averaged over the box.
_base_ = './row4_all-levels.py'

model = dict(roi_head=dict(bbox_head=None), projector=dict(in_channels=32))
