# SoCo on the training images of nuclei, without their labels. NUCLEI says where they
# are; their proposals are made by the commands in docs/transfer.md.
_base_ = '../../own/100-pictures_cpu.py'

train_dataloader = dict(
    dataset=dict(data_root='{{$NUCLEI:data/nuclei}}/train', proposal_file='work_dirs/nuclei/proposals.arrow')
)
