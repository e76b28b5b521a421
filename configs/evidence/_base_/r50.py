# What the fine-tunings of a ResNet-50 have in common: some hundred steps of AdamW, beside a detector of ../../own for
# one GPU; the names are new.
adamw = dict(
    optimizer=dict(_delete_=True, type='AdamW', lr=5e-4, weight_decay=0.05), paramwise_cfg=dict(norm_decay_mult=0)
)
rate_as_it_is = dict(enable=False, base_batch_size=8)
few_boxes = dict(rpn_proposal=dict(nms_pre=500, max_per_img=200), rcnn=dict(sampler=dict(num=128)))
load = dict(type='LoadImageFromFile')
flip = dict(type='RandomFlip', prob=0.5)
pack = dict(type='PackDetInputs')
pack_unflipped = dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'))
r50_warmup = dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=50)
r50_cosine = dict(type='CosineAnnealingLR', by_epoch=False, begin=50, eta_min=1e-6)
