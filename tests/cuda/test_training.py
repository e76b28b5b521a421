"""Trainings by the command-line tools: precision, accumulation, several processes, resuming."""

import json
import math
import shutil

import pytest
import torch
from running import counted_in_steps, start_training

from mmsoco.checkpoints.extract import extract

STEPS = 20


@pytest.fixture
def pretrain(recipe, tiny_options, environment, tmp_path):
    """Train the tiny recipe; the work folder, and what each process recorded."""

    def run(name, processes, *arguments):
        options = tiny_options | counted_in_steps(STEPS, kept=4) | {'total_batch_size': 8}
        folder = tmp_path / name
        folder.mkdir()
        training = start_training(recipe, folder, options, processes, *arguments, **environment)
        status = training.process.wait(600)
        assert status == 0, training.errors.read_text()[-3000:]
        records = [json.loads((training.work_dir / f'record_{i}.json').read_text()) for i in range(processes)]
        return training.work_dir, records

    return run


def precision_flags(device, amp):
    """``--amp`` has one precision on a CPU."""
    return ['--no-amp'] if amp == 'no' else ['--amp'] + [amp] * (device == 'cuda')


@pytest.mark.parametrize('processes', [1, 2])
@pytest.mark.parametrize('amp', ['fp16', 'bf16'])
def test_twenty_steps(pretrain, device, processes, amp):
    """In mixed precision, from two batches each, on one device or two."""
    if device == 'cpu' and amp == 'fp16':
        pytest.skip('a CPU computes in bf16 only')
    _, records = pretrain('run', processes, *precision_flags(device, amp), '--accumulate', '2')
    for record in records:
        assert record['iter'] == STEPS and record['device'].startswith(device)
        assert len(record['losses']) == STEPS and all(map(math.isfinite, record['losses']))
        assert all(-8 <= loss <= 8 for loss in record['losses'])
    # All processes have the same weights in the end, and had the same target at every step.
    assert len({record['online'] for record in records}) == 1
    assert len({record['target'] for record in records}) == 1
    assert len({tuple(step['target'] for step in record['steps']) for record in records}) == 1


def test_loss_and_resuming(pretrain, device, recipe, tiny_options, tmp_path):
    """In full precision the losses are those of the CPU; from a checkpoint they go on as they did; the file is a CPU's.

    On a GPU neither holds to the bit: RoIAlign's gradient adds up in any order.
    """
    folder, (whole,) = pretrain('run', 1, '--no-amp')
    options = tiny_options | counted_in_steps(STEPS, kept=4) | {'total_batch_size': 8}
    on_cpu = start_training(recipe, tmp_path, options, 1, '--no-amp', CUDA_VISIBLE_DEVICES='')
    assert on_cpu.process.wait(600) == 0, on_cpu.errors.read_text()[-3000:]
    expected = json.loads((on_cpu.work_dir / 'record_0.json').read_text())['losses']
    assert whole['losses'][0] == pytest.approx(expected[0], rel=2e-2, abs=2e-2)  # TF32 has 10 bits
    assert max(map(abs, expected)) > 0.01

    shutil.copy(folder / 'iter_10.pth', tmp_path / 'iter_10.pth')
    _, (rest,) = pretrain('resumed', 1, '--no-amp', '--resume', tmp_path / 'iter_10.pth')
    assert rest['iter'] == STEPS and len(rest['losses']) == STEPS - 10
    if device == 'cpu':
        assert rest['losses'] == whole['losses'][10:] and rest['online'] == whole['online']
    else:
        assert rest['losses'][0] == pytest.approx(whole['losses'][10], rel=1e-3, abs=1e-3)
        assert rest['losses'] == pytest.approx(whole['losses'][10:], rel=0.1, abs=0.1)

    checkpoint = torch.load(folder / 'iter_10.pth', map_location='cpu', weights_only=True)
    assert {tensor.device.type for tensor in checkpoint['state_dict'].values()} == {'cpu'}
    extract(folder / 'iter_20.pth', tmp_path / 'detector.pth')
    extracted = torch.load(tmp_path / 'detector.pth', map_location='cpu', weights_only=True)
    assert any(name.startswith('backbone.') for name in extracted.get('state_dict', extracted))
