"""The benchmark of a card, on a CPU: it watches a training that the project starts."""

import argparse
import json
import subprocess
import sys
from types import SimpleNamespace

import cv2
import pytest
import torch
from measuring import MeasureHook, collective_seconds
from mmengine.config import Config
from running import ROOT
from scripts import load_script
from torch.autograd import DeviceType

from mmsoco.engine.launch import train
from mmsoco.proposals.store import ProposalStore


@pytest.fixture
def gpu():
    return load_script('tools/benchmarks/gpu.py')


PARTS = {
    'waiting for data',
    'preprocessing',
    'forward, online',
    'forward, target',
    'backward',
    'optimizer',
    'target update',
    'rest',
    'step',
}


def test_a_training_is_watched(recipe, tiny_options, tmp_path):
    hook = MeasureHook(warmup=1, steps=3, profiled=1)
    options = tiny_options | {
        'custom_imports.imports': ['measuring'],
        'train_cfg': dict(_delete_=True, type='PretrainLoop', max_steps=hook.total),
        'default_hooks.measure': dict(type='MeasureHook', warmup=1, steps=3, profiled=1),
    }
    del options['default_hooks.record.type']
    runner = train(recipe, str(tmp_path / 'run'), amp=False, options=options)
    assert runner.iter == 5
    hook = next(hook for hook in runner.hooks if isinstance(hook, MeasureHook))
    assert set(hook.parts) == PARTS
    medians = {name: part['median'] for name, part in hook.parts.items()}
    assert all(value > 0 for value in medians.values())
    # Four images a step; the steps are all that passed meanwhile.
    by_steps = 4 / medians['step']
    assert 0.3 * by_steps < hook.images_per_second < 3 * by_steps
    assert (hook.allocated, hook.collectives) == (None, None)


def test_peaks_that_a_line_of_the_log_begins_anew(monkeypatch):
    hook = MeasureHook()
    for name in ('allocated', 'reserved'):
        peaks = iter([9, 5, 7, 6])
        monkeypatch.setattr(torch.cuda, f'max_memory_{name}', lambda peaks=peaks: next(peaks))
    hook._note_memory()
    assert (hook.allocated, hook.reserved) == (None, None)  # warming up
    hook._measures = True
    for _ in range(4):
        hook._note_memory()
    assert (hook.allocated, hook.reserved) == (9, 9)


def event(name, microseconds, device=DeviceType.CPU):
    time_range = SimpleNamespace(elapsed_us=lambda: microseconds)
    return SimpleNamespace(name=name, device_type=device, time_range=time_range)


def test_collectives():
    kernel = 'ncclDevKernel_AllReduce_Sum_f32_RING_LL(ncclDevKernelArgsStorage<4096ul>)'
    on_gpu = [
        event('aten::conv2d', 5e6),
        event('ncclKernel_AllGather_RING_LL_Sum_int8_t', 2e6, DeviceType.CUDA),
        event(kernel, 1e6, DeviceType.CUDA),
        event('nccl:all_reduce', 1e6, DeviceType.CUDA),  # the same, as annotated
        event('nccl:all_reduce', 3e6),
    ]
    assert collective_seconds(on_gpu) == 3
    assert collective_seconds([event('gloo:all_reduce', 4e6), event('aten::add', 1e6)]) == 4
    assert collective_seconds([]) == 0


def test_images_are_made(gpu, tmp_path, monkeypatch):
    monkeypatch.setattr(gpu, 'DIFFERENT', 2)
    store = ProposalStore.open(gpu.make_images(tmp_path, 5))
    assert [row.file_name for row in store] == ['0.jpg', '1.jpg', '2.jpg', '3.jpg', '4.jpg']
    images = [cv2.imread(str(tmp_path / 'images' / row.file_name)) for row in store]
    assert images[0].shape == (375, 500, 3) and images[0].std() > 20
    assert (images[0] == images[4]).all() and (images[0] != images[1]).any()
    # The loader's workers of another process find the same.
    monkeypatch.setenv('LOCAL_RANK', '1')
    assert gpu.make_images(tmp_path, 5) == tmp_path / 'proposals.arrow'


def test_folder_goes(gpu, monkeypatch, tmp_path):
    monkeypatch.setattr(gpu.tempfile, 'gettempdir', lambda: str(tmp_path))
    monkeypatch.setenv('MASTER_PORT', '1234')
    monkeypatch.setenv('LOCAL_RANK', '0')
    with gpu.shared_folder() as folder:
        (folder / 'x').write_text('')
        monkeypatch.setenv('LOCAL_RANK', '1')
        with gpu.shared_folder() as again:
            assert again == folder
        assert (folder / 'x').exists()
    assert not list(tmp_path.iterdir())


def test_options(gpu, root):
    args = argparse.Namespace(quick=False, steps=20, workers=3, amp='bf16', photometry='loader')
    cfg = Config(dict(default_hooks=dict(learning_rate=dict(warmup_share=0.1), probe=dict(type='ProbeHook'))))
    options = gpu.options_of(args, cfg, root / 'p.arrow', 'images', 64)
    assert options['total_batch_size'] == 64 and options['train_cfg']['max_steps'] == 5 + 20 + 3
    assert options['default_hooks.probe'] is None and options['train_dataloader.num_workers'] == 3
    assert 'default_hooks.learning_rate.warmup_epochs' not in options
    assert options['train_dataloader.dataset.pipeline.multi_view.photometry'] == 'loader'


FIGURES = dict(
    machine=dict(device='NVIDIA A100', capability='8.0', driver='580.82'),
    run=dict(config='soco', batch=128, amp='fp16', quick=False),
    images_per_second=1000.0,
    seconds={
        'rest': dict(median=0.01, lowest=0.01, highest=0.02),
        'backward': dict(median=0.06, lowest=0.05, highest=0.07),
        'step': dict(median=0.128, lowest=0.12, highest=0.13),
    },
    collectives=0.004,
    memory=dict(allocated=20e9, reserved=22.5e9, per_image=156.25e6),
    gmac_per_image=68.8,
    flops_per_device=137.6e12,
    matmul_rate=250e12,
    share=0.5504,
)


def test_what_is_printed(gpu, capsys):
    gpu.print_figures(FIGURES)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == 'device NVIDIA A100, capability 8.0, driver 580.82'
    table = lines.index('| backward | 60.0 (50.0 to 70.0) | 46.9 % |')
    assert lines[table + 1] == '| rest | 10.0 (10.0 to 20.0) | 7.8 % |'
    assert lines[-5:] == [
        'collectives, in part beside the above: 4.0 ms a step',
        'memory at most: 20.00 GB allocated, 22.50 GB reserved',
        'allocated, divided by the batch: 156 MB',
        '1000.0 images/s at 68.8 GMAC each',
        '138 TFLOP/s a device, 55 % of the 250 of its matrix products',
    ]


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        ([], 'torch sees no CUDA device here; to try the benchmark itself: --device cpu --quick'),
        (['--device', 'cpu', '--amp', 'fp16'], '--amp fp16 is for CUDA; on a CPU use --amp bf16'),
        (['--device', 'cpu', '--quick', '--config', 'x.py'], '--quick has a model of its own; leave --config out'),
    ],
)
def test_refused(gpu, monkeypatch, capsys, arguments, words):
    monkeypatch.setattr(sys, 'argv', ['gpu.py', *arguments])
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    with pytest.raises(SystemExit) as end:
        gpu.main()
    assert end.value.code == 2 and capsys.readouterr().err == f'error: {words}\n'


@pytest.mark.slow
@pytest.mark.parametrize('processes', [1, 2])
def test_quick(processes, tmp_path):
    launcher = [ROOT / 'tools/torchrun.sh', '2'] if processes == 2 else [sys.executable]
    command = [*launcher, ROOT / 'tools/benchmarks/gpu.py', '--device', 'cpu', '--quick', '--json']
    environment = {
        'PATH': '/usr/bin:/bin',
        'TMPDIR': str(tmp_path),
        'PYTHON': sys.executable,
        'PYTHONPATH': str(ROOT),
        'PYTHONWARNINGS': 'ignore',
        'OMP_NUM_THREADS': '1',
    }
    done = subprocess.run(list(map(str, command)), env=environment, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-3000:]
    figures = json.loads(done.stdout)
    assert figures['machine']['device'] == 'CPU (no GPU was measured)'
    assert figures['machine']['processes'] == processes and set(figures['seconds']) == PARTS
    assert figures['images_per_second'] > 0 and 0 < figures['share'] < 1.5 and figures['memory'] is None
    if processes == 1:
        assert figures['collectives'] is None
    else:
        assert 0 < figures['collectives'] < 10 * figures['seconds']['step']['highest']
    assert not list(tmp_path.glob('mmsoco-gpu*'))
