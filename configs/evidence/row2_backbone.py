# Table 4, row 2, in small: the backbone alone, RoIAlign on C5.
_base_ = './row3_no-head.py'

model = dict(
    backbone=dict(out_indices=(3,)),
    neck=None,
    roi_head=dict(bbox_roi_extractor=dict(_delete_=True, type='ScaleAwareRoIExtractor', max_sizes=(), output_size=7)),
    projector=dict(in_channels=128),
)
