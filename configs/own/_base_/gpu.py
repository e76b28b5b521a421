# One GPU of 12 to 24 GB: the paper's ResNet-50 with FPN and views of 224 px, in mixed
# precision. Run so far: 100-pictures_gpu (docs/recipes.md).
_base_ = './contrastive.py'

total_batch_size = 64
train_dataloader = dict(batch_size=64, num_workers=8)
optim_wrapper = dict(optimizer=dict(lr=5e-4))
default_hooks = dict(probe=dict(interval=250), logger=dict(interval=50), checkpoint=dict(interval=500))
