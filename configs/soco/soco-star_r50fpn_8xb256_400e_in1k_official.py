# SoCo*, R50-FPN, 400 epochs, as the official code trains it.
_base_ = './soco-star_r50fpn_8xb256_400e_in1k.py'

# Crops are of the image itself, area and ratio measured there.
views = dict(v1=dict(jitter=dict(anchor='corner')), v2=dict(source='image'), v4=dict(source='image'))
train_dataloader = dict(dataset=dict(pipeline=dict(multi_view=dict(views=views))))
model = dict(roi_head=dict(bbox_roi_extractor=dict(integer_levels=True)))
