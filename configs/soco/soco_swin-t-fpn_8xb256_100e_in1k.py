# SoCo with mmdet's Swin-T and an FPN. Not in the paper, and not run: learning rate and
# weight decay are MoCo v3's for transformers (Chen et al. 2021), layer decay is ours.
_base_ = './soco_r50fpn_8xb256_100e_in1k.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='mmdet.SwinTransformer',
        embed_dims=96,
        depths=[2, 2, 6, 2],
        num_heads=[3, 6, 12, 24],
        window_size=7,
        drop_path_rate=0.1,
        out_indices=(0, 1, 2, 3),
        init_cfg=None,
    ),
    neck=dict(in_channels=[96, 192, 384, 768]),
)

optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='AdamW', lr=1.5e-4, weight_decay=0.1),
    paramwise_cfg=dict(
        layer_decay_rate=0.9,
        custom_keys=dict(relative_position_bias_table=dict(decay_mult=0.0)),
    ),
    clip_grad=dict(max_norm=3.0),  # DINO's (Caron et al. 2021)
)
