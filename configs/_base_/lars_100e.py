# LARS with base learning rate 1.0 for 256 images, weight decay 1e-5, batch
# 2048 (paper, section 4.1). tools/train.py divides the batch over the processes.
total_batch_size = 2048

optim_wrapper = dict(
    type='FiniteOptimWrapper',  # skips steps whose gradient is not finite
    optimizer=dict(type='LARS', lr=1.0, momentum=0.9, weight_decay=1e-5, trust=0.001, eps=1e-8),
    constructor='PretrainOptimConstructor',
)
train_cfg = dict(type='PretrainLoop', max_epochs=100)
