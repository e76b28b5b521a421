# SoCo on the training pictures of nuclei, without their labels. NUCLEI says where they
# are; their proposals are made by the commands in docs/transfer.md.
_base_ = '../../quickstart/soco_r18fpn_tiles.py'

train_dataloader = dict(
    dataset=dict(data_root='{{$NUCLEI:data/nuclei}}/train', proposal_file='work_dirs/nuclei/proposals.arrow')
)
train_cfg = dict(max_epochs=20)
