from itertools import islice

import torch
from mmengine.model import BaseModel
from torch import nn

from mmsoco.engine.hooks.precise_bn import endless, measure_bn


class Model(BaseModel):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(3, momentum=0.1)
        self.frozen = nn.BatchNorm2d(3)

    def forward(self, inputs, mode):
        assert mode == 'loss' and not torch.is_grad_enabled()
        return dict(loss=self.frozen(self.norm(inputs)).mean())


def test_stream_goes_on_after_the_end_of_the_loader():
    assert list(islice(endless([1, 2, 3]), 7)) == [1, 2, 3, 1, 2, 3, 1]


def test_statistics_become_those_of_all_batches_together():
    torch.manual_seed(0)
    model = Model()
    model.frozen.eval()
    # Batches with different means: averaging variances alone would be wrong.
    batches = [dict(inputs=torch.randn(4, 3, 8, 8) + shift) for shift in range(5)]
    measure_bn(model, batches)
    everything = torch.cat([b['inputs'] for b in batches]).transpose(0, 1).flatten(1)
    torch.testing.assert_close(model.norm.running_mean, everything.mean(dim=1))
    torch.testing.assert_close(model.norm.running_var, everything.var(dim=1, correction=0), rtol=5e-3, atol=0)
    assert model.norm.momentum == 0.1
    assert not model.frozen.running_mean.any()
