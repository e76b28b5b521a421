# SoCo*, R50-FPN, 400 epochs, as the released code trains it.
_base_ = './soco-star_r50fpn_8xb256_400e_in1k.py'

pipeline = _base_.train_dataloader.dataset.pipeline
v1, v2, v3, v4 = pipeline[1].views
# Crops are of the image itself, area and ratio measured there.
v2.source = v4.source = 'image'
v1.jitter.anchor = 'corner'

train_dataloader = dict(dataset=dict(pipeline=pipeline))
model = dict(roi_head=dict(bbox_roi_extractor=dict(integer_levels=True)))
