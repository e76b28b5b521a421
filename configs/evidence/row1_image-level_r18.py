# Table 4, row 1, with a ResNet-18 at half its width: the whole image as the instance, the backbone alone, two views.
_base_ = './row7_soco_r18.py'

model = dict(
    backbone=dict(out_indices=(3,)),
    neck=None,
    roi_head=dict(
        bbox_roi_extractor=dict(_delete_=True, type='ScaleAwareRoIExtractor', max_sizes=(), output_size=7),
        bbox_head=None,
    ),
    projector=dict(in_channels=256),
)
views = dict(v1=dict(jitter=None), v3=None)
train_dataloader = dict(
    dataset=dict(pipeline=dict(multi_view=dict(num_proposals=0, views=views, pairs=[('v1', 'v2')]))),
)
