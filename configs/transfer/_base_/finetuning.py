# What all fine-tunings have in common; the names are new, so that this stands beside
# any of mmdet's configs in a _base_ list.

# Every norm trains and is synchronised, also the new ones (paper, section 4.2). BN
# stands for SyncBN: the Runner converts it where there are several GPUs.
sync_bn = 'torch'
norm = dict(type='BN', requires_grad=True)
whole_backbone = dict(frozen_stages=-1, norm_cfg=norm, norm_eval=False, style='pytorch', init_cfg=None)

# The pretraining's pictures: RGB, with ImageNet's mean and standard deviation.
pictures = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True)

# The paper's supervised baseline; give the path of a file where nothing can be fetched.
imagenet_labels = dict(type='Pretrained', checkpoint='torchvision://resnet50')

# The paper's training scales on COCO and LVIS.
short_side_640_to_800 = dict(
    type='RandomChoiceResize', scales=[(1333, side) for side in range(640, 801, 32)], keep_ratio=True
)

# The pretraining is given by --cfg-options load_from=work_dirs/NAME/epoch_100.pth
custom_hooks = [
    dict(type='mmsoco.TransferHook'),
    dict(type='mmsoco.PreciseBNHook', interval=10000, num_iters=200),
]
