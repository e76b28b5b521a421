# Table 4, row 4, in small: each box pooled on every level, and compared level with level.
_base_ = './row5_no-jitter.py'

model = dict(roi_head=dict(bbox_roi_extractor=dict(_delete_=True, type='AllLevelsRoIExtractor', output_size=7)))
