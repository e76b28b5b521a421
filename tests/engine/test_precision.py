"""What is asked for, and what the log says of what runs."""

import math
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.registry import OPTIM_WRAPPERS
from torch import nn

import mmsoco.engine.precision as precision
from mmsoco.engine import AutocastOptimWrapper, BFloat16OptimWrapper, FiniteAmpOptimWrapper
from mmsoco.engine.precision import describe_evaluation, describe_precision, set_amp, set_tf32
from mmsoco.errors import UserError


@pytest.fixture
def cfg(recipe):
    return Config.fromfile(recipe)


@pytest.fixture
def cuda(monkeypatch):
    """As a machine with CUDA answers; returns how to say whether its card has bfloat16."""
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 1)
    monkeypatch.setattr(torch.cuda, 'get_device_name', lambda: 'Tesla V100')

    def has_bfloat16(yes):
        # torch emulates it elsewhere, some ten times slower.
        monkeypatch.setattr(torch.cuda, 'get_device_capability', lambda *_: (8, 0) if yes else (7, 0))

    has_bfloat16(True)
    return has_bfloat16


def chosen(cfg, amp):
    set_amp(cfg, amp)
    wrapper = cfg.optim_wrapper
    return wrapper.type, {key: wrapper[key] for key in ('dtype', 'loss_scale') if key in wrapper}


@pytest.mark.parametrize(
    ('amp', 'kind', 'more'),
    [
        (None, 'mmsoco.FiniteAmpOptimWrapper', {}),
        (True, 'mmsoco.FiniteAmpOptimWrapper', {}),
        ('fp16', 'mmsoco.FiniteAmpOptimWrapper', {'dtype': 'float16'}),
        ('bf16', 'mmsoco.BFloat16OptimWrapper', {}),
        (False, 'mmsoco.FiniteOptimWrapper', {}),
    ],
)
def test_pretraining_with_cuda(cfg, cuda, amp, kind, more):
    assert chosen(cfg, amp) == (kind, more)


@pytest.mark.parametrize(
    ('amp', 'kind'),
    [
        (None, 'OptimWrapper'),
        (True, 'AmpOptimWrapper'),
        ('fp16', 'AmpOptimWrapper'),
        ('bf16', 'mmsoco.AutocastOptimWrapper'),
        (False, 'OptimWrapper'),
    ],
)
def test_fine_tuning_with_cuda(root, cuda, amp, kind):
    cfg = Config.fromfile(root / 'configs/transfer/coco/mask-rcnn_r50fpn_soco_1x.py')
    assert chosen(cfg, amp)[0] == kind


@pytest.mark.parametrize('kind', ['mmsoco.BFloat16OptimWrapper', 'CPUAmpOptimWrapper'])
def test_fine_tuning_by_a_config_of_pretrainings(root, kind):
    cfg = Config.fromfile(root / 'configs/transfer/coco/mask-rcnn_r50fpn_soco_1x.py')
    cfg.optim_wrapper.type = kind
    assert chosen(cfg, None)[0] == 'mmsoco.AutocastOptimWrapper'


def test_fine_tuning_in_bfloat16_shows_that_it_diverges(model, monkeypatch):
    """In mmengine's loops nobody reads how many steps were skipped: the step is taken, and its norm is logged."""
    logged = {}
    wrapper = wrap(model, AutocastOptimWrapper, clip_grad=dict(max_norm=1.0))
    monkeypatch.setattr(wrapper.message_hub, 'update_scalar', lambda name, value: logged.update({name: float(value)}))
    with wrapper.optim_context(model):
        wrapper.update_params(model(torch.full((3, 4), torch.nan)).float().sum())
    assert math.isnan(logged['train/grad_norm']) and model.weight.isnan().any()


@pytest.mark.skipif(torch.cuda.is_available(), reason='about machines without CUDA')
def test_on_a_cpu(cfg):
    assert chosen(cfg, None)[0] == 'FiniteOptimWrapper'
    for amp in (True, 'bf16'):
        assert chosen(cfg, amp) == ('mmsoco.BFloat16OptimWrapper', {})
    with pytest.raises(UserError, match='--amp fp16 needs CUDA'):
        set_amp(cfg, 'fp16')


@pytest.mark.skipif(torch.cuda.is_available(), reason='about machines without CUDA')
@pytest.mark.parametrize('kind', ['AmpOptimWrapper', 'mmsoco.FiniteAmpOptimWrapper'])
def test_a_config_in_mixed_precision_on_a_cpu(cfg, kind):
    cfg.optim_wrapper.update(type=kind, loss_scale=512.0)
    with pytest.raises(UserError, match=r'AmpOptimWrapper, which needs CUDA; --amp computes .*, --no-amp'):
        set_amp(cfg, None)
    assert chosen(cfg, True) == ('mmsoco.BFloat16OptimWrapper', {})


def test_cards_without_bfloat16_are_refused(cfg, cuda):
    cuda(False)
    with pytest.raises(UserError, match=r'--amp bf16: Tesla V100 has no bfloat16, .*; use --amp fp16'):
        set_amp(cfg, 'bf16')


def test_what_the_config_says_stays(cfg, cuda):
    of_config = {'dtype': 'bfloat16', 'loss_scale': 512.0}
    cfg.optim_wrapper.update(type='AmpOptimWrapper', **of_config)
    assert chosen(cfg, None) == ('mmsoco.FiniteAmpOptimWrapper', of_config)
    assert chosen(cfg, 'fp16') == ('mmsoco.FiniteAmpOptimWrapper', {'dtype': 'float16', 'loss_scale': 512.0})
    assert chosen(cfg, 'bf16') == ('mmsoco.BFloat16OptimWrapper', {})
    # The name of earlier versions, too.
    for kind in ('mmsoco.BFloat16OptimWrapper', 'mmsoco.CPUAmpOptimWrapper'):
        cfg.optim_wrapper.type = kind
        assert chosen(cfg, None)[0] == kind


def test_the_former_name_is_the_same_class():
    assert OPTIM_WRAPPERS.get('mmsoco.CPUAmpOptimWrapper') is BFloat16OptimWrapper


@pytest.fixture
def model():
    return nn.Linear(4, 2)


def wrap(model, kind=OptimWrapper, **options):
    return kind(optimizer=torch.optim.SGD(model.parameters(), lr=0.1), **options)


def test_bfloat16_computes_where_the_model_is_and_keeps_its_weights(model):
    wrapper = wrap(model, BFloat16OptimWrapper)
    seen = []
    model.register_forward_hook(lambda module, args, output: seen.append(output.dtype))
    with wrapper.optim_context(model):
        loss = model(torch.ones(3, 4)).float().sum()
    wrapper.update_params(loss)
    assert seen == [torch.bfloat16] and model.weight.dtype == torch.float32
    assert not hasattr(wrapper, 'loss_scaler')


def test_the_log_says_what_was_built(model, monkeypatch):
    assert describe_precision(model, wrap(model)) == 'float32'
    half = wrap(model, BFloat16OptimWrapper)
    words = 'bfloat16 by autocast, without loss scaling, weights in float32'
    assert describe_precision(model, half) == words
    both = OptimWrapperDict(a=half, b=wrap(model))
    assert describe_precision(model, both) == f'{words} and float32'
    # Of mmengine's with CUDA; its autocast takes the CPU's bfloat16 here, with the scaler that was asked for.
    monkeypatch.setattr('mmengine.optim.optimizer.amp_optimizer_wrapper.is_cuda_available', lambda: True)
    scaled = wrap(model, FiniteAmpOptimWrapper, dtype='bfloat16')
    for enabled, word in ((True, 'with'), (False, 'without')):
        scaled.loss_scaler = torch.amp.GradScaler('cpu', enabled=enabled)
        assert describe_precision(model, scaled) == f'bfloat16 by autocast, {word} loss scaling, weights in float32'
    assert describe_precision(model.half(), wrap(model)) == 'float16'


def test_evaluation(model):
    assert describe_evaluation(model, fp16=False) == 'float32'
    assert describe_evaluation(model, fp16=True) == 'bfloat16 by autocast'  # mmengine's, on a CPU


@pytest.fixture
def card(monkeypatch):
    """A card; torch's switches are put back. Returns how to say its capability."""
    matmul, conv = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    monkeypatch.setattr(precision, '_device', lambda model: SimpleNamespace(type='cuda'))
    monkeypatch.setattr(precision, '_of_wrapper', lambda model, wrapper: 'float32')
    monkeypatch.delenv('NVIDIA_TF32_OVERRIDE', raising=False)

    def capability(*value):
        monkeypatch.setattr(torch.cuda, 'get_device_capability', lambda device: value)

    capability(8, 0)
    yield capability
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = matmul, conv


BOTH = 'float32; of float32, TF32 in convolutions and matrix products'
CONVOLUTIONS = 'float32; of float32, TF32 in convolutions'
NEITHER = 'float32; of float32, no TF32'


def test_tf32_is_said_and_set(model, card):
    say = lambda: describe_precision(model, wrap(model))
    set_tf32(None)  # torch's own
    assert say() == CONVOLUTIONS
    set_tf32(True)
    assert say() == BOTH
    set_tf32(False)
    assert say() == NEITHER
    with pytest.raises(UserError, match=r'env_cfg.tf32'):
        set_tf32('yes')
    card(7, 0)
    assert say() == 'float32'  # has none


@pytest.mark.parametrize(('override', 'words'), [('0', NEITHER), ('1', BOTH)])
def test_what_overrides_torch_is_said(model, card, monkeypatch, override, words):
    monkeypatch.setenv('NVIDIA_TF32_OVERRIDE', override)
    assert describe_precision(model, wrap(model)) == f'{words} (NVIDIA_TF32_OVERRIDE={override})'


@pytest.mark.skipif(not hasattr(torch.backends, 'fp32_precision'), reason='about torch 2.9 and later')
def test_switches_of_newer_torch_are_read(model, card):
    """Reading the former ones fails where these are set."""
    matmul, conv = torch.backends.cuda.matmul, torch.backends.cudnn.conv
    before = matmul.fp32_precision, conv.fp32_precision
    try:
        matmul.fp32_precision, conv.fp32_precision = 'tf32', 'ieee'
        assert describe_precision(model, wrap(model)) == 'float32; of float32, TF32 in matrix products'
    finally:
        matmul.fp32_precision, conv.fp32_precision = before


def test_a_training_says_it(recipe, tiny_options, tmp_path):
    from mmsoco.engine.launch import train

    one_step = {'train_cfg.max_epochs': None, 'train_cfg.max_steps': 1}
    train(recipe, str(tmp_path), amp='bf16', options=tiny_options | one_step)
    (log,) = tmp_path.glob('*/*.log')
    assert 'precision: bfloat16 by autocast, without loss scaling, weights in float32\n' in log.read_text()
