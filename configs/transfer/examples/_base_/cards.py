# Photos of playing cards: COCO format, six classes. CARDS says where they are.
cards = dict(
    data_root='{{$CARDS:data/cards}}/',
    metainfo=dict(classes=('ace', 'jack', 'king', 'nine', 'queen', 'ten')),
)
cards_train = dict(
    batch_size=4,
    num_workers=1,
    sampler=dict(_delete_=True, type='InfiniteSampler', shuffle=True),
    batch_sampler=None,
    dataset=dict(
        **cards,
        ann_file='train.json',
        data_prefix=dict(img='train/'),
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations', with_bbox=True),
            dict(type='Resize', scale=(256, 256), keep_ratio=True),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PackDetInputs'),
        ],
    ),
)
cards_test = dict(
    num_workers=1,
    dataset=dict(
        **cards,
        ann_file='test.json',
        data_prefix=dict(img='test/'),
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='Resize', scale=(256, 256), keep_ratio=True),
            dict(type='LoadAnnotations', with_bbox=True),
            dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
        ],
    ),
)
cards_metric = dict(type='mmsoco.CocoMetric', ann_file=cards['data_root'] + 'test.json')
