# SoCo with ViTDet's backbone and its simple feature pyramid. Not in the paper, and not run:
# learning rate and weight decay are MoCo v3's for transformers (Chen et al. 2021), layer
# decay is ours.
_base_ = ['./soco_r50fpn_8xb256_100e_in1k.py', '../_base_/vit_b.py']

model = dict(
    backbone=_base_.vit_b,
    neck=dict(_delete_=True, type='SimpleFPN', in_channels=768, out_channels=256, norm_cfg=_base_.norm_cfg),
)

optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='AdamW', lr=1.5e-4, weight_decay=0.1),
    paramwise_cfg=dict(layer_decay_rate=0.9, custom_keys=_base_.vit_b_decay),
    clip_grad=dict(max_norm=3.0),  # DINO's (Caron et al. 2021)
)
