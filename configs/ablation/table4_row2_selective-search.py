# Table 4, row 2: the backbone alone; RoIAlign on C5, averaged over the box (40.6
# box AP, 36.8 mask AP).
_base_ = './table4_row3_fpn.py'

model = dict(
    backbone=dict(out_indices=(3,)),
    neck=None,
    roi_head=dict(bbox_roi_extractor=dict(_delete_=True, type='ScaleAwareRoIExtractor', max_sizes=(), output_size=7)),
    projector=dict(in_channels=2048),
)
