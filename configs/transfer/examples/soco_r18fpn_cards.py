# SoCo on the training pictures of cards, without their labels. CARDS says where they
# are; their proposals are made by the commands in docs/transfer.md.
_base_ = '../../quickstart/soco_r18fpn_tiles.py'

train_dataloader = dict(
    dataset=dict(data_root='{{$CARDS:data/cards}}/train', proposal_file='work_dirs/cards/proposals.arrow')
)
train_cfg = dict(max_epochs=20)
