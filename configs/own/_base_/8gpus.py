# Eight GPUs, 64 images each. Not run: nobody has measured these recipes yet.
_base_ = './gpu.py'

total_batch_size = 512
optim_wrapper = dict(optimizer=dict(lr=1e-3))
