# Table 4, row 3: backbone and FPN; pooled features are averaged over the box (40.2
# box AP, 36.2 mask AP).
_base_ = './table4_row4_head.py'

model = dict(roi_head=dict(bbox_head=None), projector=dict(in_channels=256))
