# Table 4, row 4: backbone, FPN and head, without scale-aware assignment (41.2 box
# AP, 37.0 mask AP). Each box is pooled on every level and compared level with
# level: our reading, the paper does not say.
_base_ = './table4_row5_scale-aware.py'

model = dict(roi_head=dict(bbox_roi_extractor=dict(_delete_=True, type='AllLevelsRoIExtractor', output_size=7)))
