# SoCo, whose bounds of the levels are those of a detector that sees images of twice the views' side.
_base_ = './row7_soco.py'

model = dict(roi_head=dict(bbox_roi_extractor=dict(max_sizes=(56, 112, 224))))
