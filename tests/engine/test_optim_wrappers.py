import pytest
import torch
from torch import nn

from mmsoco.engine import FiniteAmpOptimWrapper, FiniteOptimWrapper


def one_weight():
    weight = nn.Parameter(torch.tensor([1.0, 2.0]))
    return weight, torch.optim.SGD([weight], lr=0.1)


def test_steps_with_finite_gradients_and_logs_their_norm():
    weight, optimizer = one_weight()
    wrapper = FiniteOptimWrapper(optimizer=optimizer)
    wrapper.update_params((weight * torch.tensor([3.0, 4.0])).sum())
    torch.testing.assert_close(weight.detach(), torch.tensor([0.7, 1.6]))
    assert wrapper.message_hub.get_scalar('train/grad_norm').current() == pytest.approx(5.0)
    assert wrapper.skipped == 0


@pytest.mark.parametrize('bad', [float('nan'), float('inf')])
def test_skips_what_is_not_finite_and_counts_it(bad):
    weight, optimizer = one_weight()
    wrapper = FiniteOptimWrapper(optimizer=optimizer)
    for count in (1, 2):
        wrapper.update_params((weight * torch.tensor([bad, 1.0])).sum())
        assert wrapper.skipped == count
        assert weight.tolist() == [1.0, 2.0] and weight.grad is None
    wrapper.update_params(weight.sum())
    assert wrapper.skipped == 0 and weight.tolist() != [1.0, 2.0]


def test_loss_scaling_is_undone_before_the_norm_and_lowered_after_a_skip(monkeypatch):
    # mmengine refuses to build the wrapper without a GPU; torch's scaler itself works on a CPU.
    monkeypatch.setattr('mmengine.optim.optimizer.amp_optimizer_wrapper.is_cuda_available', lambda: True)
    weight, optimizer = one_weight()
    wrapper = FiniteAmpOptimWrapper(optimizer=optimizer)
    wrapper.loss_scaler = torch.amp.GradScaler('cpu', init_scale=1024.0)
    wrapper.update_params((weight * torch.tensor([3.0, 4.0])).sum())
    assert wrapper.message_hub.get_scalar('train/grad_norm').current() == pytest.approx(5.0)
    torch.testing.assert_close(weight.detach(), torch.tensor([0.7, 1.6]))
    wrapper.update_params((weight * float('inf')).sum())
    assert wrapper.skipped == 1 and wrapper.loss_scaler.get_scale() == 512.0
    torch.testing.assert_close(weight.detach(), torch.tensor([0.7, 1.6]))
