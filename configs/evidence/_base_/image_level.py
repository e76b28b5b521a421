# Table 4, row 1, beside a pretraining of objects: the whole image as the instance, the backbone alone, two views. The
# names are new.
backbone_alone = dict(
    backbone=dict(out_indices=(3,)),
    neck=None,
    roi_head=dict(
        bbox_roi_extractor=dict(_delete_=True, type='ScaleAwareRoIExtractor', max_sizes=(), output_size=7),
        bbox_head=None,
    ),
)
whole_images = dict(num_proposals=0, views=dict(v1=dict(jitter=None), v3=None), pairs=[('v1', 'v2')])
