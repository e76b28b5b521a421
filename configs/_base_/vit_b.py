# ViTDet's backbone for pretraining and detector alike: ViT-B with windows and four global
# layers (mmpretrain's ViTSAM). Its positions are those of views of 224 px; for other images
# they are interpolated.
vit_b = dict(
    _delete_=True,
    type='mmpretrain.ViTSAM',
    arch='base',
    img_size=224,
    patch_size=16,
    out_channels=0,  # the last block's own
    window_size=14,
    drop_path_rate=0.1,
    init_cfg=None,
)
vit_b_decay = dict(pos_embed=dict(decay_mult=0.0), rel_pos=dict(decay_mult=0.0))
