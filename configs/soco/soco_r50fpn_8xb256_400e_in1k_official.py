# SoCo, R50-FPN, 400 epochs, as the official code trains it.
_base_ = './soco_r50fpn_8xb256_400e_in1k.py'

# Both crops are of the image itself, area and ratio measured there; V3 is a
# crop of its own, with its own boxes.
crop = dict(scale=(0.5, 1.0), ratio=(3 / 4, 4 / 3))
views = dict(v1=dict(jitter=dict(anchor='corner')), v2=dict(source='image'), v3=dict(source='image', crop=crop))
train_dataloader = dict(dataset=dict(pipeline=dict(multi_view=dict(views=views))))
model = dict(roi_head=dict(bbox_roi_extractor=dict(integer_levels=True)))
