"""Stopping and going on with mmengine's own loops, by which detectors are trained."""

import multiprocessing
import os
import subprocess

import pytest
import torch
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from torch.utils.data import Dataset

from mmsoco.engine.interruption import Interrupted
from mmsoco.engine.launch import train
from mmsoco.registry import DATASETS, HOOKS, METRICS, MODELS

CONFIG = """
default_scope = 'mmsoco'
model = dict(type='Line')
data = dict(
    batch_size=2,
    num_workers=1,
    dataset=dict(type='Numbers'),
    sampler=dict(type='DefaultSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
)
train_dataloader = data
val_dataloader = data
val_cfg = dict()
val_evaluator = dict(type='Count')
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.01, momentum=0.9))
param_scheduler = dict(type='CosineAnnealingLR', T_max=20, by_epoch=False)
"""
LOOPS = {
    'epochs': 'train_cfg = dict(by_epoch=True, max_epochs=4, val_interval=1)\n',
    'steps': """
train_cfg = dict(by_epoch=False, max_iters=20, val_interval=5)
train_dataloader = dict(**data)
train_dataloader['sampler'] = dict(type='InfiniteSampler', shuffle=True)
default_hooks = dict(checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=5))
""",
}


@MODELS.register_module()
class Line(BaseModel):
    """A line through points."""

    def __init__(self, data_preprocessor=None):
        super().__init__(data_preprocessor)
        self.line = torch.nn.Linear(1, 1)

    def forward(self, x, y, mode='loss'):
        error = ((self.line(x) - y) ** 2).mean()
        return {'loss': error} if mode == 'loss' else [error]


@DATASETS.register_module()
class Numbers(Dataset):
    """Ten points."""

    def __len__(self):
        return 10

    def __getitem__(self, index):
        return {'x': torch.tensor([float(index)]) / 10, 'y': torch.tensor([float(index % 3)])}


@METRICS.register_module()
class Count(BaseMetric):
    """How many batches there were."""

    def process(self, data_batch, data_samples):
        self.results.append(1)

    def compute_metrics(self, results):
        return {'count': len(results)}


@HOOKS.register_module()
class SignalAllHook(Hook):
    """Sends this process and its loaders' workers a signal, in a training step or in a validation."""

    def __init__(self, step, validating):
        self.step = step
        self.validating = validating
        # Of other tests.
        self.others = {child.pid for child in multiprocessing.active_children()}

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if not self.validating and runner.iter + 1 == self.step:
            self.send()

    def before_val_iter(self, runner, batch_idx, data_batch=None):
        if self.validating and runner.iter == self.step:
            self.send()

    def send(self):
        workers = {child.pid for child in multiprocessing.active_children()} - self.others
        assert workers
        # By somebody else, as Slurm would: workers end when their parent says so.
        subprocess.run(['kill', '-TERM', *map(str, (*workers, os.getpid()))])


def end(folder):
    (path,) = (path for path in folder.glob('*.pth') if path.name in ('epoch_4.pth', 'iter_20.pth'))
    checkpoint = torch.load(path, weights_only=True)
    return checkpoint['state_dict'], checkpoint['optimizer'], checkpoint['param_schedulers'], checkpoint['meta']['iter']


@pytest.mark.slow
@pytest.mark.parametrize(('step', 'validating'), [(5, False), (7, False), (10, True)])
@pytest.mark.parametrize('loop', LOOPS)
def test_a_stopped_run_goes_on_where_it_was(tmp_path, loop, step, validating):
    config = tmp_path / 'line.py'
    config.write_text(CONFIG + LOOPS[loop])
    options = {'randomness.seed': 0}
    train(config, str(tmp_path / 'calm'), options=options)
    stop = {'custom_hooks': [dict(type='SignalAllHook', step=step, validating=validating)]}
    with pytest.raises(Interrupted, match=f'by SIGTERM after step {step}; .* is saved'):
        train(config, str(tmp_path / 'stopped'), options=options | stop)
    train(config, str(tmp_path / 'stopped'), options=options, resume='auto')
    expected, found = end(tmp_path / 'calm'), end(tmp_path / 'stopped')
    assert expected[0] == found[0] and expected[3] == found[3] == 20
