# ImageNet with selective-search proposals; three views (paper, section 3.2).
# Files are looked for from where the command runs; --cfg-options
# train_dataloader.dataset.data_root=... and ...proposal_file=... change that.
pairs = [('v1', 'v2'), ('v1', 'v3')]

# BYOL's augmentations without its crop (paper, section 4.1).
augment_first = [
    dict(type='HorizontalFlip', prob=0.5),
    dict(type='ColorJitter', prob=0.8, brightness=0.4, contrast=0.4, saturation=0.2, hue=0.1),
    dict(type='Grayscale', prob=0.2),
    dict(type='GaussianBlur', prob=1.0, sigma=(0.1, 2.0)),
]
augment_others = [
    *augment_first[:3],
    dict(type='GaussianBlur', prob=0.1, sigma=(0.1, 2.0)),
    dict(type='Solarize', prob=0.2, threshold=128),
]

views = [
    dict(
        name='v1',
        source='image',
        size=224,
        jitter=dict(type='BoxJitter', prob=0.5, ratio=0.1),
        augment=augment_first,
    ),
    dict(
        name='v2',
        source='v1',
        crop=dict(scale=(0.5, 1.0), ratio=(3 / 4, 4 / 3)),
        size=224,
        augment=augment_others,
    ),
    dict(name='v3', source='v2', size=112, augment=augment_others),
]

train_dataloader = dict(
    batch_size=256,  # of the reference layout, 8 processes
    num_workers=8,
    persistent_workers=True,
    pin_memory=True,
    drop_last=True,
    sampler=dict(type='EpochSampler'),
    collate_fn=dict(type='default_collate'),
    worker_init_fn=dict(type='mmsoco.one_thread'),
    dataset=dict(
        type='ProposalDataset',
        data_root='data/imagenet/train',
        proposal_file='data/imagenet/proposals.arrow',
        pipeline=[
            dict(type='LoadImage'),
            dict(type='MultiViewProposalPipeline', views=views, pairs=pairs, num_proposals=4),
            dict(type='PackViews'),
        ],
    ),
)
