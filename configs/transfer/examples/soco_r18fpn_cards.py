# SoCo on the training images of cards, without their labels. CARDS says where they
# are; their proposals are made by the commands in docs/transfer.md.
_base_ = '../../own/100-pictures_cpu.py'

train_dataloader = dict(
    dataset=dict(data_root='{{$CARDS:data/cards}}/train', proposal_file='work_dirs/cards/proposals.arrow')
)
