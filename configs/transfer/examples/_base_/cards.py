# Photos of playing cards: COCO format, six classes. CARDS says where they are.
_base_ = ['mmdet::_base_/datasets/coco_detection.py', './small.py']

cards = dict(
    data_root='{{$CARDS:data/cards}}/',
    metainfo=dict(classes=('ace', 'jack', 'king', 'nine', 'queen', 'ten')),
)
boxes = dict(type='LoadAnnotations', with_bbox=True)
train_dataloader = dict(
    **_base_.small_batches,
    dataset=dict(
        **cards,
        ann_file='train.json',
        data_prefix=dict(img='train/'),
        pipeline=[_base_.load, boxes, _base_.resize, _base_.flip, _base_.pack],
    ),
)
val_dataloader = dict(
    num_workers=1,
    dataset=dict(
        **cards,
        ann_file='test.json',
        data_prefix=dict(img='test/'),
        pipeline=[_base_.load, _base_.resize, boxes, _base_.pack_unflipped],
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='mmsoco.CocoMetric', ann_file=cards['data_root'] + 'test.json')
test_evaluator = val_evaluator
