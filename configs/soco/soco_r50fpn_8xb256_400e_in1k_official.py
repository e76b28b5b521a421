# SoCo, R50-FPN, 400 epochs, as the released code trains it.
_base_ = './soco_r50fpn_8xb256_400e_in1k.py'

pipeline = _base_.train_dataloader.dataset.pipeline
v1, v2, v3 = pipeline[1].views
# Both crops are of the image itself, area and ratio measured there; V3 is a
# crop of its own, with its own boxes.
v2.source = v3.source = 'image'
v3.crop = v2.crop
v1.jitter.anchor = 'corner'

train_dataloader = dict(dataset=dict(pipeline=pipeline))
model = dict(roi_head=dict(bbox_roi_extractor=dict(integer_levels=True)))
