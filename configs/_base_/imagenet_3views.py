# ImageNet with selective-search proposals; three views (paper, section 3.2).
# Files are looked for from where the command runs; --cfg-options
# train_dataloader.dataset.data_root=... and ...proposal_file=... change that.

# BYOL's augmentations without its crop (paper, section 4.1). Steps and views have
# names: a child config changes one by its name, or leaves it out by None.
color = dict(
    flip=dict(type='HorizontalFlip', prob=0.5),
    jitter=dict(type='ColorJitter', prob=0.8, brightness=0.4, contrast=0.4, saturation=0.2, hue=0.1),
    grey=dict(type='Grayscale', prob=0.2),
)
augment_first = dict(**color, blur=dict(type='GaussianBlur', prob=1.0, sigma=(0.1, 2.0)))
augment_others = dict(
    **color,
    blur=dict(type='GaussianBlur', prob=0.1, sigma=(0.1, 2.0)),
    solarize=dict(type='Solarize', prob=0.2, threshold=128),
)

# Where jitter, grey, blur and solarize are done: on the GPU, where there is one, else in
# the loader; photometry='loader' or 'device' in multi_view fixes it.
multi_view = dict(
    type='MultiViewProposalPipeline',
    views=dict(
        v1=dict(
            source='image',
            size=224,
            jitter=dict(type='BoxJitter', prob=0.5, ratio=0.1),
            augment=augment_first,
        ),
        v2=dict(
            source='v1',
            crop=dict(scale=(0.5, 1.0), ratio=(3 / 4, 4 / 3)),
            size=224,
            augment=augment_others,
        ),
        v3=dict(source='v2', size=112, augment=augment_others),
    ),
    pairs=[('v1', 'v2'), ('v1', 'v3')],
    num_proposals=4,
)

train_dataloader = dict(
    batch_size=256,  # of the reference layout, 8 processes
    num_workers=8,
    persistent_workers=True,
    timeout=600,  # seconds without a batch, as of a disk that does not answer
    pin_memory=True,
    drop_last=True,
    sampler=dict(type='EpochSampler'),
    collate_fn=dict(type='mmsoco.one_batch'),
    worker_init_fn=dict(type='mmsoco.one_thread'),
    dataset=dict(
        type='ProposalDataset',
        data_root='data/imagenet/train',
        proposal_file='data/imagenet/proposals.arrow',
        pipeline=dict(load=dict(type='LoadImage'), multi_view=multi_view, pack=dict(type='PackViews')),
    ),
)
