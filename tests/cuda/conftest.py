"""Tests of what a GPU does. Their bodies run on a CPU, too, as slow tests, so that they are known to be right."""

import os

import pytest
import torch

GPUS = torch.cuda.device_count() if torch.cuda.is_available() else 0


@pytest.fixture(params=[pytest.param('cuda', marks=pytest.mark.cuda), pytest.param('cpu', marks=pytest.mark.slow)])
def device(request):
    """Where a test computes."""
    return request.param


@pytest.fixture
def environment(device):
    """What lets the processes of a training see the GPUs, or none."""
    return {'CUDA_VISIBLE_DEVICES': os.environ.get('CUDA_VISIBLE_DEVICES', '0,1') if device == 'cuda' else ''}


def pytest_runtest_setup(item):
    if item.get_closest_marker('cuda') is None:
        return
    if not GPUS:
        pytest.skip('there is no GPU that torch can use')
    processes = getattr(item, 'callspec', None) and item.callspec.params.get('processes', 1)
    if processes and processes > GPUS:
        pytest.skip('there is one GPU only')
