# SoCo with mmpretrain's ConvNeXt-T, as mmdet's detectors have it but for less
# stochastic depth (0.4 there). Not in the paper; the recipe is R50-FPN's.
_base_ = './soco_r50fpn_8xb256_100e_in1k.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='mmpretrain.ConvNeXt',
        arch='tiny',
        out_indices=(0, 1, 2, 3),
        drop_path_rate=0.1,
        layer_scale_init_value=1.0,
        gap_before_final_norm=False,
    ),
    neck=dict(in_channels=[96, 192, 384, 768]),
)
