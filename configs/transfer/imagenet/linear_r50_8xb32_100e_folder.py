# The same on images of your own, in a folder for each class. Say where they are by
# --cfg-options train_dataloader.dataset.data_root=..., likewise val_dataloader and
# test_dataloader, and how many classes by model.head.num_classes=... With fewer than
# five classes there is no top-5: val_evaluator.topk=1 test_evaluator.topk=1. Where an
# epoch has some steps only, a rate of 1 instead of 30 does better.
_base_ = './linear_r50_8xb32_100e_in1k.py'

train_dataloader = dict(
    dataset=dict(_delete_=True, type='CustomDataset', data_root='data/pictures/train', pipeline=_base_.train_pipeline)
)
val_dataloader = dict(
    dataset=dict(_delete_=True, type='CustomDataset', data_root='data/pictures/val', pipeline=_base_.test_pipeline)
)
test_dataloader = val_dataloader
