"""What two processes do to one device's tensors by SyncBN, and one by plain BN."""

import pickle
from pathlib import Path

import torch
from torch import distributed, nn

from mmsoco.models.sync_bn import synchronise

CASES = [
    (counts, dtype, last, affine)
    for counts in [(3, 3), (1, 5), (0, 4), (4, 0)]
    for dtype in (torch.float32, torch.float16)
    for last in (False, True)
    for affine in (True, False)
]
CHANNELS = 6


def made(device, counts, dtype, last, affine):
    """A layer in float32, the samples of each process, and what their outputs are multiplied with."""
    generator = torch.Generator().manual_seed(0)
    layer = nn.BatchNorm2d(CHANNELS, affine=affine)
    for parameter in layer.parameters():
        nn.init.normal_(parameter, generator=generator)
    tensors = [torch.randn(sum(counts), CHANNELS, 5, 7, generator=generator) for _ in range(2)]
    tensors[0] = tensors[0] * 3 + 5
    layout = torch.channels_last if last else torch.contiguous_format
    x, g = (tensor.to(device, dtype).contiguous(memory_format=layout) for tensor in tensors)
    return layer.to(device), x.split(counts), g.split(counts)


def results(layer, x, g):
    """Output, gradients and statistics, in float32 on the CPU."""
    x = x.detach().clone(memory_format=torch.preserve_format).requires_grad_()
    y = layer(x)
    y.backward(g.contiguous())  # not laid out as the input, as RoIAlign gives it
    found = dict(output=y, input=x.grad)
    found |= {f'gradient of {name}': p.grad for name, p in layer.named_parameters()}
    found |= dict(layer.named_buffers())
    return {name: value.detach().float().cpu().numpy() for name, value in found.items()}


def in_process(rank, device, store, folder):
    distributed.init_process_group('gloo', init_method=f'file://{store}', rank=rank, world_size=2)
    torch.set_num_threads(1)
    found = []
    for case in CASES:
        layer, x, g = made(device, *case)
        found.append(results(synchronise(layer), x[rank], g[rank]))
    Path(folder, str(rank)).write_bytes(pickle.dumps(found))
    distributed.destroy_process_group()
