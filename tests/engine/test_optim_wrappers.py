import copy

import pytest
import torch
from torch import nn

from mmsoco.engine import LARS, FiniteAmpOptimWrapper, FiniteOptimWrapper
from mmsoco.engine.optim_wrappers import undone_unless


def one_weight():
    weight = nn.Parameter(torch.tensor([1.0, 2.0]))
    return weight, torch.optim.SGD([weight], lr=0.1)


def test_steps_with_finite_gradients_and_logs_their_norm():
    weight, optimizer = one_weight()
    wrapper = FiniteOptimWrapper(optimizer=optimizer)
    wrapper.update_params((weight * torch.tensor([3.0, 4.0])).sum())
    torch.testing.assert_close(weight.detach(), torch.tensor([0.7, 1.6]))
    assert wrapper.norm == pytest.approx(5.0)
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
    assert wrapper.norm == pytest.approx(5.0)
    torch.testing.assert_close(weight.detach(), torch.tensor([0.7, 1.6]))
    wrapper.update_params((weight * float('inf')).sum())
    assert wrapper.skipped == 1 and wrapper.loss_scaler.get_scale() == 512.0
    torch.testing.assert_close(weight.detach(), torch.tensor([0.7, 1.6]))


@pytest.mark.parametrize('parts', [1, 2])
def test_norms_measure_nothing_in_a_step_that_is_left_out(parts):
    """Nor in its other parts; of a later one they measure as if it had not been."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    other = copy.deepcopy(net)
    wrappers = [
        FiniteOptimWrapper(optimizer=torch.optim.SGD(m.parameters(), lr=0.0), accumulative_counts=parts)
        for m in (net, other)
    ]
    good, bad = torch.randn(4, 3), torch.tensor([[1.0, float('inf'), 0.0]] * 4)

    def take(number, batches):
        model = (net, other)[number]
        for batch in batches:
            with wrappers[number].optim_context(model):
                loss = model(batch).square().sum()
            wrappers[number].update_params(loss)

    before = copy.deepcopy(net.state_dict())
    take(0, [good] * (parts - 1) + [bad])
    assert wrappers[0].skipped == 1
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    take(0, [good] * parts)
    take(1, [good] * parts)
    assert int(net[1].num_batches_tracked) == parts
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in net.state_dict().items())


def adamw_after_a_step():
    weight = nn.Parameter(torch.tensor([1.0, 2.0]))
    optimizer = torch.optim.AdamW([weight], lr=0.1)
    FiniteOptimWrapper(optimizer=optimizer).update_params(weight.sum())
    return weight, optimizer


def test_a_gpus_checkpoint_goes_on_on_a_cpu():
    """Its groups say that steps are counted on the GPU; torch refuses that of parameters on a CPU."""
    (weight, optimizer), (other, resumed) = adamw_after_a_step(), adamw_after_a_step()
    saved = copy.deepcopy(optimizer.state_dict())
    for group in saved['param_groups']:
        group['capturable'] = True
    resumed.load_state_dict(saved)
    FiniteOptimWrapper(optimizer=optimizer).update_params(weight.sum())
    FiniteOptimWrapper(optimizer=resumed).update_params(other.sum())
    assert torch.equal(weight, other) and resumed.state[other]['step'] == 2
    assert resumed.param_groups[0]['capturable'] is False


OPTIMIZERS = {
    'LARS': lambda params: LARS(params, lr=0.1, weight_decay=0.1),
    'SGD': lambda params: torch.optim.SGD(params, lr=0.1, momentum=0.9, weight_decay=0.1),
    'AdamW': lambda params: torch.optim.AdamW(params, lr=0.1, weight_decay=0.1, amsgrad=True),
    'counting by itself': lambda params: Counting(params, {}),
}


class Counting(torch.optim.Optimizer):
    """It counts its steps as Python does, and moves by them."""

    @torch.no_grad()
    def step(self):
        for p in self.param_groups[0]['params']:
            if p.grad is not None:
                self.state[p]['count'] = self.state[p].get('count', 0) + 1
                p.sub_(p.grad * self.state[p]['count'])


@pytest.mark.parametrize('name', OPTIMIZERS)
@pytest.mark.parametrize('skipped_at', [0, 2])
def test_a_skipped_step_leaves_no_trace(name, skipped_at):
    """Weights, momentum, decay and counts are, bit by bit, those of a run without it."""
    ends = []
    for poisoned in (False, True):
        generator = torch.Generator().manual_seed(0)
        params = [nn.Parameter(torch.randn(shape, generator=generator)) for shape in [(3, 4), (4,), (2,)]]
        wrapper = FiniteOptimWrapper(optimizer=OPTIMIZERS[name](params))
        for step in range(4):
            factors = [torch.randn(p.shape, generator=generator) for p in params[:2]]
            if poisoned and step == skipped_at:
                wrapper.update_params((params[0] * float('nan')).sum() + params[1].sum())
                assert wrapper.skipped == 1
            wrapper.update_params(sum((p * f).sum() for p, f in zip(params, factors, strict=False)))
        assert wrapper.skipped == 0
        ends.append((params, [dict(wrapper.optimizer.state.get(p, {})) for p in params]))
    (params, states), (others, other_states) = ends
    assert all(torch.equal(p, q) for p, q in zip(params, others, strict=True))
    assert not torch.equal(params[0], torch.randn(3, 4, generator=torch.Generator().manual_seed(0)))
    assert params[2] not in wrapper.optimizer.state
    for state, other in zip(states, other_states, strict=True):
        assert state.keys() == other.keys()
        assert all(torch.equal(torch.as_tensor(value), torch.as_tensor(other[key])) for key, value in state.items())


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float64, torch.complex64])
def test_bits_of_any_type_come_back(dtype):
    weight = nn.Parameter(
        torch.randn(3, 4, 2, 2, dtype=torch.float64).to(dtype).contiguous(memory_format=torch.channels_last)
    )
    weight.data[0, 0, 0, 0] = -0.0
    weight.grad = torch.ones_like(weight)
    optimizer = torch.optim.SGD([weight], lr=0.1)
    before = weight.detach().clone()
    for keep in (False, True):
        with undone_unless(torch.tensor(keep), optimizer), torch.no_grad():
            weight.fill_(float('nan') if not keep else 3.0)
        if not keep:
            same = torch.view_as_real(weight) if dtype.is_complex else weight
            expected = torch.view_as_real(before) if dtype.is_complex else before
            assert torch.equal(same, expected) and torch.equal(same.signbit(), expected.signbit())
    assert (weight == 3).all()


def test_clipping():
    weight, optimizer = one_weight()
    wrapper = FiniteOptimWrapper(optimizer=optimizer, clip_grad=dict(max_norm=1.0))
    wrapper.update_params((weight * torch.tensor([3.0, 4.0])).sum())
    torch.testing.assert_close(weight.detach(), torch.tensor([0.94, 1.92]))
    assert wrapper.norm == pytest.approx(5.0)
