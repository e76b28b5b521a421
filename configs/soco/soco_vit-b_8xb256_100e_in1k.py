# SoCo with ViTDet's backbone, ViT-B with windows and four global layers (mmpretrain's
# ViTSAM), and its simple feature pyramid. Not in the paper, and not run: learning rate
# and weight decay are MoCo v3's for transformers (Chen et al. 2021), layer decay is ours.
_base_ = './soco_r50fpn_8xb256_100e_in1k.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='mmpretrain.ViTSAM',
        arch='base',
        img_size=224,
        patch_size=16,
        out_channels=0,  # the last block's own
        window_size=14,
        drop_path_rate=0.1,
        init_cfg=None,
    ),
    neck=dict(_delete_=True, type='SimpleFPN', in_channels=768, out_channels=256, norm_cfg=_base_.norm_cfg),
)

optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='AdamW', lr=1.5e-4, betas=(0.9, 0.95), weight_decay=0.1),
    paramwise_cfg=dict(
        layer_decay_rate=0.9,
        custom_keys=dict(pos_embed=dict(decay_mult=0.0), rel_pos=dict(decay_mult=0.0)),
    ),
    clip_grad=dict(max_norm=3.0),
)
