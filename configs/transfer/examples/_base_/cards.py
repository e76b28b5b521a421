# Photos of playing cards: COCO format, six classes. CARDS says where they are.
cards = dict(
    data_root='{{$CARDS:data/cards}}/',
    metainfo=dict(classes=('ace', 'jack', 'king', 'nine', 'queen', 'ten')),
)
cards_train = dict(dataset=dict(**cards, ann_file='train.json', data_prefix=dict(img='train/')))
cards_test = dict(dataset=dict(**cards, ann_file='test.json', data_prefix=dict(img='test/')))
cards_metric = dict(ann_file=cards['data_root'] + 'test.json')
