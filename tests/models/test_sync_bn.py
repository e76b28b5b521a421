"""In two gloo processes, against plain BN of all samples in one."""

from collections import Counter

import numpy as np
import pytest
import torch
from torch import distributed, nn
from two_processes import in_two_processes
from waiting import no_waiting

from mmsoco.models.sync_bn import SyncBatchNorm, _local_statistics, remembering, synchronise

# Name -> shape behind the batch, samples of each process, precision, whether channels come last, options of the layer.
CASES = {
    'maps': ((6, 5, 7), (3, 3), torch.float32, False, {}),
    'channels_last': ((6, 5, 7), (3, 3), torch.float32, True, {}),
    'rows': ((6,), (4, 4), torch.float32, False, {}),
    'double': ((6, 3, 3), (2, 2), torch.float64, False, {}),
    'unequal counts': ((6, 5, 7), (1, 5), torch.float32, True, {}),
    'none in the first': ((6, 5, 7), (0, 4), torch.float32, True, {}),
    'none in the second': ((6, 5, 7), (4, 0), torch.float32, False, {}),
    'half the precision': ((6, 5, 7), (3, 3), torch.bfloat16, True, {}),
    'cumulative average': ((6, 5, 7), (3, 3), torch.float32, False, dict(momentum=None)),
    'not affine': ((6, 5, 7), (3, 3), torch.float32, False, dict(affine=False)),
    'no running statistics': ((6, 5, 7), (3, 3), torch.float32, False, dict(track_running_stats=False)),
}


def made(shape, counts, dtype, last, options):
    """The layer, the samples of two steps, and what their outputs are multiplied with."""
    generator = torch.Generator().manual_seed(0)
    layer = (nn.BatchNorm2d if len(shape) > 1 else nn.BatchNorm1d)(shape[0], **options)
    layer.to(torch.promote_types(dtype, torch.float32))
    for parameter in layer.parameters():
        nn.init.normal_(parameter, generator=generator)
    tensors = [torch.randn(sum(counts), *shape, generator=generator, dtype=torch.float64) * 3 + 5 for _ in range(4)]
    tensors = [tensor.to(dtype) for tensor in tensors]
    if last:
        tensors = [tensor.contiguous(memory_format=torch.channels_last) for tensor in tensors]
    return layer, [(x.split(counts), g.split(counts)) for x, g in (tensors[:2], tensors[2:])]


def results(layer, steps):
    """Output and gradients of the last step, and the layer's statistics."""
    for x, g in steps:
        x = x.detach().clone(memory_format=torch.preserve_format).requires_grad_()
        layer.zero_grad()
        y = layer(x)
        # Not laid out as the input, as RoIAlign gives it.
        y.backward(g.contiguous())
    found = dict(output=y, input=x.grad, layout=y.is_contiguous(memory_format=torch.channels_last))
    found |= {f'gradient of {name}': parameter.grad for name, parameter in layer.named_parameters()}
    return found | dict(layer.named_buffers())


def as_arrays(found):
    return {
        name: value.detach().double().numpy() if isinstance(value, torch.Tensor) else value
        for name, value in found.items()
    }


def of_both(rank):
    """Each case's results in this process."""
    found = {}
    for name, case in CASES.items():
        layer, steps = made(*case)
        found[name] = as_arrays(results(synchronise(layer), [(x[rank], g[rank]) for x, g in steps]))
    return found


@pytest.fixture(scope='module')
def synced(tmp_path_factory):
    return in_two_processes(of_both, tmp_path_factory.mktemp('two'))


@pytest.mark.parametrize('case', CASES)
def test_values_are_those_of_all_samples_together(synced, case):
    layer, steps = made(*CASES[case])
    expected = as_arrays(results(layer, [(torch.cat(x), torch.cat(g)) for x, g in steps]))
    first, second = (of_rank[case] for of_rank in synced)
    # bfloat16 has 8 bits: what is rounded to it may differ by one of them, what is added up in float32 not.
    close = 1e-2 if case == 'half the precision' else 1e-6
    for name, value in expected.items():
        if name == 'layout':
            # A map without samples has any layout.
            assert case.startswith('none') or first[name] == second[name] == CASES[case][3]
            continue
        if name in ('output', 'input'):
            ours = np.concatenate([first[name], second[name]])
        elif name.startswith('gradient'):
            ours = first[name] + second[name]  # DDP adds them up
        else:
            ours = first[name]
            assert (first[name] == second[name]).all(), name
        scale = max(np.abs(value).max(), 1)
        # Gradients of parameters are sums of a hundred and more terms of 15 and more.
        terms = 30 if name.startswith('gradient') else 3
        assert np.abs(ours - value).max() <= close * scale * terms, name


def test_layers_become_synchronised_in_place():
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Sequential(nn.BatchNorm1d(4)))
    model[1].eval()
    names, kept = list(model.state_dict()), model[1].weight
    assert (
        synchronise(model) is model and isinstance(model[1], SyncBatchNorm) and isinstance(model[1], nn.SyncBatchNorm)
    )
    assert list(model.state_dict()) == names and model[1].weight is kept
    assert not model[1].training and model[2][0].training


@pytest.mark.parametrize('training', [True, False])
def test_alone_it_is_plain_bn(training):
    layer, ((x, _), _) = made(*CASES['channels_last'])
    expected = layer.train(training)(torch.cat(x))
    layer.reset_running_stats()
    assert torch.equal(synchronise(layer)(torch.cat(x)), expected)
    with pytest.raises(ValueError, match='more than 1 value per channel'):
        layer.train()(torch.ones(1, 6, 1, 1))


def counted(rank):
    """Messages of a step's forward and backward, without statistics and in eval mode; none waits for the device."""
    messages = Counter()
    for name in ('all_gather', 'all_reduce', 'all_gather_into_tensor', 'broadcast'):
        original = getattr(distributed, name)

        def count(*args, original=original, name=name, **kwargs):
            messages[name] += 1
            return original(*args, **kwargs)

        setattr(distributed, name, count)
    layer, ((x, g), _) = made(*CASES['maps'])
    with no_waiting():
        results(synchronise(layer), [(x[rank], g[rank])])
        with torch.no_grad():
            layer(x[rank])
        layer.eval()(x[rank])
    return dict(messages)


def test_a_message_a_layer_and_direction_and_no_waiting(tmp_path):
    assert in_two_processes(counted, tmp_path) == [{'all_gather': 2, 'all_reduce': 1}] * 2


def recomputed(rank):
    """A forward, and the same again from its statistics."""
    layer, ((x, _), _) = made(*CASES['maps'])
    synchronise(layer)
    memory = {}
    with remembering([layer], memory, replay=False):
        first = layer(x[rank])
    messages = []
    distributed.all_gather = lambda *args, **kwargs: messages.append(args)
    with remembering([layer], memory, replay=True):
        second = layer(x[rank])
    return torch.equal(first, second), messages


def test_statistics_are_taken_again_without_a_message(tmp_path):
    assert in_two_processes(recomputed, tmp_path) == [(True, [])] * 2


@pytest.mark.parametrize('counts', [(0, 4), (4, 0), (0, 0, 3, 0, 5)])
def test_processes_without_samples_weigh_nothing_in_the_kernel_for_cuda(counts):
    """batch_norm_gather_stats_with_counts cannot run here: its loop, from torch's source, in float32."""
    eps, rng = np.float32(1e-5), np.random.default_rng(0)
    samples = [torch.from_numpy(rng.normal(5, 3, (count, 1)).astype(np.float32)) for count in counts]
    mean, var, n = np.float32(0), np.float32(0), 0
    for m, invstd, count in (_local_statistics(x, float(eps)).numpy() for x in samples):
        v = ((1 / invstd) ** 2 - eps) * count
        factor = np.float32(1) / (n + count)
        var += v + (mean - m) ** 2 * n * count * factor
        mean = n * factor * mean + count * factor * m
        n = int(n + count)  # as the kernel's
    everything = torch.cat(samples).double()
    assert mean == pytest.approx(everything.mean().item(), rel=1e-6)
    assert var / n == pytest.approx(everything.var(correction=0).item(), rel=1e-5)
    assert np.int32(n) == sum(counts)
