"""SyncBN of two processes on one device, against plain BN of all samples together."""

import pickle

import pytest
import torch
from synced import CASES, in_process, made, results
from torch import multiprocessing


def test_values_are_those_of_all_samples_together(device, tmp_path):
    multiprocessing.start_processes(in_process, (device, tmp_path / 'store', tmp_path), nprocs=2, start_method='spawn')
    both = [pickle.loads((tmp_path / str(rank)).read_bytes()) for rank in range(2)]
    for case, first, second in zip(CASES, *both, strict=True):
        layer, x, g = made(device, *case)
        expected = results(layer, torch.cat(x), torch.cat(g))
        close = 1e-2 if case[1] is torch.float16 else 1e-5
        for name, value in expected.items():
            if name in ('output', 'input'):
                ours = torch.cat([torch.from_numpy(part[name]) for part in (first, second)]).numpy()
            elif name.startswith('gradient'):
                ours = first[name] + second[name]  # DDP adds them up
            else:
                ours = first[name]
            scale = max(float(abs(value).max()), 1)
            assert ours == pytest.approx(value, abs=10 * close * scale, rel=0), (case, name)
