"""The benchmark of a step: what is in its figures, and what it prints."""

import json
import sys

import pytest
import torch
from mmengine.config import Config
from scripts import load_script


@pytest.fixture
def step(monkeypatch):
    return load_script('tools/benchmarks/step.py')


@pytest.fixture
def cfg(tiny_model_cfg, root):
    """The paper's recipe with the tiny model and views of 64 px."""
    cfg = Config.fromfile(root / 'configs/soco/soco_r50fpn_8xb256_100e_in1k.py')
    cfg.model = tiny_model_cfg
    for view in cfg.train_dataloader.dataset.pipeline.multi_view.views.values():
        view.size = view.size * 2 // 7
    return cfg


@pytest.mark.parametrize('precision', [pytest.param('fp32', marks=pytest.mark.slow), 'bf16'])
def test_figures(step, cfg, precision):
    with step.threads(1) as now:
        figures = step.measure(cfg, 2, precision, 'cpu', rounds=2, now=now, side=32)
    for way in ('released', 'ours'):
        seconds = figures['seconds'][way]
        parts = [seconds[part]['median'] for part in step.PARTS]
        assert all(part > 0 for part in parts[:-1]) and parts[-1] < 0.01
        assert sum(parts) == pytest.approx(seconds['step']['median'], rel=0.5)
        rate = 2 * figures['macs'][way] * 2 / seconds['step']['median']
        assert figures['share'][way] == pytest.approx(rate / figures['rate']['median'], rel=1e-6)
    ratio = figures['ratio']
    assert ratio['lowest'] <= ratio['median'] <= ratio['highest']
    # Twice the first view, and four levels for each box.
    assert 1.4 < figures['macs']['released'] / figures['macs']['ours'] < 4
    json.dumps(figures)


def test_ways_begin_alike(step, cfg):
    cfg.model.backbone.norm_eval = False
    model = step.build_model(cfg, 'cpu')
    again = step.build_model(cfg, 'cpu')
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))
    batch = step.random_batch(step.Sketch(cfg), 3, 'cpu')
    assert {name: tuple(view.shape) for name, view in batch['inputs'].items()} == {
        'v1': (3, 3, 64, 64),
        'v2': (3, 3, 64, 64),
        'v3': (3, 3, 32, 32),
    }
    for name, sets in batch['boxes'].items():
        size = batch['inputs'][name].shape[-1]
        rows = sets['boxes']
        assert rows.shape == (3, 4, 4) and rows.min() >= 0 and rows.max() <= size + 1e-3
        assert ((rows[..., 2:] - rows[..., :2]) > 0).all()


def test_reference_is_contiguous(step, cfg):
    model = step.build_model(cfg, 'cpu')
    weight = 'backbone.layer1.0.conv1.weight'
    assert not model.get_parameter(weight).is_contiguous()
    batch = step.random_batch(step.Sketch(cfg), 2, 'cpu')
    step.released_step(cfg, model, batch, step.nullcontext, step.Clock('cpu'))
    assert model.get_parameter(weight).is_contiguous()
    assert model.get_parameter(f'target.{weight}').is_contiguous()


def test_a_device_that_is_not_there(step, monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', ['step.py', '--device', 'cuda'])
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    with pytest.raises(SystemExit) as end:
        step.main()
    assert end.value.code == 2
    assert capsys.readouterr().err == ('error: torch sees no CUDA device here; --device cpu measures the processor\n')


@pytest.mark.slow
def test_quick(step, monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', ['step.py', '--quick', '--precision', 'bf16', '--json'])
    with pytest.raises(SystemExit) as end:
        step.main()
    assert not end.value.code
    out = capsys.readouterr().out
    figures = json.loads(out[out.index('{\n') :])
    assert figures['run'] == 'R18-FPN, batch 2, bf16, 1 CPU thread(s), 2 rounds, --quick: says nothing of speed'
    step.print_figures(figures, figures['run'])
    printed = capsys.readouterr().out
    for part in (*step.PARTS, 'step'):
        assert f'| {part} |' in printed
    assert f'{figures["ratio"]["median"]:.3g} (' in printed and 'times as fast' in printed
