"""Real runs of the real recipe, on a model some channels wide."""

import itertools
import json
from types import SimpleNamespace

import pytest
import torch

from mmsoco.engine.launch import train
from mmsoco.engine.loops import PretrainLoop, try_out, waits_for_gradients
from mmsoco.errors import UserError
from mmsoco.models.momentum import momentum_at
from mmsoco.registry import MODELS


def record(work_dir, rank=0):
    return json.loads((work_dir / f'record_{rank}.json').read_text())


def weights(path):
    return torch.load(path, weights_only=True)


@pytest.fixture
def run(recipe, tiny_options, tmp_path):
    """Train the 400-epoch recipe for two epochs of two steps; returns the work folder."""

    def run(name, accumulate=1, resume=None, **options):
        options = {**tiny_options, **{key.replace('__', '.'): value for key, value in options.items()}}
        train(recipe, str(tmp_path / name), resume=resume, amp=False, accumulate=accumulate, options=options)
        return tmp_path / name

    return run


def test_steps_epochs_and_schedules(run):
    work = run('plain')
    done = record(work)
    assert [step['iter'] for step in done['steps']] == [0, 1, 2, 3] and done['iter'] == 4
    assert done['steps'][0]['target_is_online'] and not done['steps'][2]['target_is_online']
    for step, entry in enumerate(done['steps']):
        assert entry['momentum'] == pytest.approx(momentum_at(step, 4, 0.99), abs=1e-12)
    # Warm-up over the first epoch to 1.0 x 4 / 256, then the cosine.
    peak = 4 / 256
    expected = [0.01 * peak, 0.505 * peak, peak, 1e-6 + (peak - 1e-6) / 2]
    assert [entry['lr'] for entry in done['steps']] == pytest.approx(expected)
    checkpoint = weights(work / 'epoch_2.pth')
    assert checkpoint['meta']['epoch'] == 2 and checkpoint['meta']['iter'] == 4


def test_resume_in_the_middle_of_an_epoch_equals_an_uninterrupted_run(run):
    options = dict(default_hooks__checkpoint__by_epoch=False, default_hooks__checkpoint__interval=1)
    whole = run('whole', default_hooks__checkpoint__max_keep_ckpts=-1, **options)
    again = run('again', resume=str(whole / 'iter_3.pth'), **options)
    a, b = weights(whole / 'iter_4.pth'), weights(again / 'iter_4.pth')
    assert [step['iter'] for step in record(again)['steps']] == [3]
    assert record(again)['steps'][0] == record(whole)['steps'][3]
    for key, value in a['state_dict'].items():
        assert torch.equal(value, b['state_dict'][key]), key
    for index, state in a['optimizer']['state'].items():
        assert torch.equal(state['momentum_buffer'], b['optimizer']['state'][index]['momentum_buffer'])
    assert torch.equal(a['random_state']['cpu'], b['random_state']['cpu'])
    # The data set is the one that the checkpoint names.
    assert 'metainfo' not in next(again.glob('*/*.log')).read_text()


def test_finished_run_resumes_to_nothing(run):
    work = run('done')
    before = weights(work / 'epoch_2.pth')['state_dict']
    run('done', resume='auto')
    after = weights(work / 'epoch_2.pth')['state_dict']
    assert all(torch.equal(before[key], after[key]) for key in before)


@pytest.fixture
def run_steps(run):
    """The same for three steps, the last in the middle of the second epoch, with a checkpoint after two."""

    def run_steps(name, **options):
        return run(
            name,
            train_cfg=dict(_delete_=True, type='PretrainLoop', max_steps=3),
            default_hooks__learning_rate__warmup_share=1 / 3,
            default_hooks__checkpoint__by_epoch=False,
            default_hooks__checkpoint__interval=2,
            **options,
        )

    return run_steps


def test_steps_may_end_in_the_middle_of_an_epoch(run_steps):
    work = run_steps('steps')
    done = record(work)
    assert [step['iter'] for step in done['steps']] == [0, 1, 2] and done['iter'] == 3
    # Schedules end where the steps do.
    assert done['steps'][2]['momentum'] == pytest.approx(momentum_at(2, 3, 0.99), abs=1e-12)
    peak = 4 / 256
    expected = [0.01 * peak, peak, 1e-6 + (peak - 1e-6) / 2]
    assert [entry['lr'] for entry in done['steps']] == pytest.approx(expected)
    assert (work / 'iter_3.pth').exists()


@pytest.mark.slow
def test_a_run_counted_in_steps_resumes(run_steps):
    whole = run_steps('whole')
    again = run_steps('again', resume=str(whole / 'iter_2.pth'))
    a, b = (weights(work / 'iter_3.pth')['state_dict'] for work in (whole, again))
    assert [step['iter'] for step in record(again)['steps']] == [2]
    assert all(torch.equal(a[key], b[key]) for key in a)


@pytest.mark.parametrize('options', [dict(max_steps=3, max_epochs=2), dict()])
def test_epochs_or_steps(run, options):
    with pytest.raises(UserError, match='either max_epochs or max_steps'):
        run('both', train_cfg=dict(_delete_=True, type='PretrainLoop', **options))


def test_a_queue_is_resumed(run_steps):
    options = dict(model__predictor__type='InfoNCEHead', model__predictor__queue=64)
    whole = run_steps('whole', **options)
    again = run_steps('again', resume=str(whole / 'iter_2.pth'), **options)
    a, b = (weights(work / 'iter_3.pth')['state_dict'] for work in (whole, again))
    assert (a['predictor.past_pictures'] >= 0).all()
    assert all(torch.equal(a[key], b[key]) for key in a)


@pytest.mark.parametrize('accumulate', [2, pytest.param(4, marks=pytest.mark.slow)])
def test_accumulation_takes_the_same_steps(run, accumulate):
    """With BN in eval mode, micro-batches give the gradient of the whole batch; rate and momentum count steps."""
    whole = run('whole', default_hooks__norms__type='EvalNormsHook')
    parts = run('parts', accumulate=accumulate, default_hooks__norms__type='EvalNormsHook')
    a, b = record(whole), record(parts)
    assert [(s['iter'], s['lr'], s['momentum']) for s in a['steps']] == [
        (s['iter'], s['lr'], s['momentum']) for s in b['steps']
    ]
    first, second = weights(whole / 'epoch_2.pth')['state_dict'], weights(parts / 'epoch_2.pth')['state_dict']
    for key in first:
        torch.testing.assert_close(first[key], second[key], rtol=1e-4, atol=1e-6, msg=key)


@pytest.mark.slow
def test_target_is_the_moving_average_through_accumulation_and_a_resume(run):
    """One update an optimizer step, computed here from the checkpoints of the steps before."""
    options = dict(
        default_hooks__checkpoint__by_epoch=False,
        default_hooks__checkpoint__interval=1,
        default_hooks__checkpoint__max_keep_ckpts=-1,
        train_cfg__max_epochs=5,
    )
    first = run('first', accumulate=2, **options)
    again = run('again', accumulate=2, resume=str(first / 'iter_4.pth'), **options)
    files = [first / f'iter_{step}.pth' for step in range(1, 5)] + [again / f'iter_{step}.pth' for step in range(5, 11)]
    states = [weights(file)['state_dict'] for file in files]
    names = [name for name in states[0] if name.startswith('target.') and name.endswith(('weight', 'bias'))]
    moved = 0
    for step, (before, after) in enumerate(itertools.pairwise(states), start=1):
        m = momentum_at(step, 10, 0.99)
        for name in names:
            online = before[name.removeprefix('target.')].double()
            expected = m * before[name].double() + (1 - m) * online
            error = (after[name].double() - expected).norm() / expected.norm().clamp(min=1e-12)
            assert error < 1e-6, f'{name} at step {step}'
            moved += not torch.equal(after[name], before[name])
    assert moved > len(names)


def test_log_has_every_interval_also_under_accumulation(run):
    """An interval longer than an epoch, and a loader that counts micro-batches."""
    work = run('log', accumulate=2, default_hooks__logger__interval=3)
    (scalars,) = work.glob('*/vis_data/scalars.json')
    entries = [json.loads(line) for line in scalars.read_text().splitlines()]
    assert [entry['step'] for entry in entries] == [3]
    assert {'loss', 'loss_v1_v2', 'loss_v1_v3', 'target_std', 'distinct_boxes', 'lr', 'grad_norm'} <= set(entries[0])
    assert entries[0]['loss'] == pytest.approx(entries[0]['loss_v1_v2'] + entries[0]['loss_v1_v3'], abs=1e-5)


@pytest.mark.slow
def test_loading_a_pretraining_starts_with_an_equal_target(run):
    work = run('first')
    again = run('second', load_from=str(work / 'epoch_2.pth'))
    assert weights(work / 'epoch_2.pth')['state_dict']['target.backbone.conv1.weight'].any()
    assert record(again)['steps'][0]['target_is_online']


@pytest.mark.slow
def test_resuming_where_nothing_is_begins_with_what_the_config_loads(run):
    work = run('first')
    load_from = str(work / 'epoch_2.pth')
    loaded = run('loaded', load_from=load_from)
    resumed = run('resumed', resume='auto', load_from=load_from)
    assert record(resumed) == record(loaded)
    assert record(resumed)['steps'][0]['target'] != record(work)['steps'][0]['target']
    assert weights(resumed / 'epoch_2.pth')['meta']['iter'] == 4


@pytest.mark.slow
def test_mixed_precision_on_a_cpu(recipe, tiny_options, tmp_path):
    runner = train(recipe, str(tmp_path / 'amp'), amp=True, options=tiny_options)
    assert type(runner.optim_wrapper).__name__ == 'BFloat16OptimWrapper'
    assert all(torch.isfinite(p).all() for p in runner.model.parameters())
    plain = train(recipe, str(tmp_path / 'plain'), amp=False, options=tiny_options)
    a, b = runner.model.backbone.conv1.weight, plain.model.backbone.conv1.weight
    assert not torch.equal(a, b)
    torch.testing.assert_close(a, b, rtol=0.1, atol=1e-3)


@pytest.fixture
def idle_model(tiny_model_cfg):
    """With a layer that nothing runs through."""
    model = MODELS.build(tiny_model_cfg)
    model.idle = torch.nn.Linear(2, 2)
    return model


def test_parameters_without_a_gradient(idle_model, batch):
    before = {name: value.clone() for name, value in idle_model.state_dict().items()}
    with pytest.raises(UserError, match=r'2 parameters of the model get no gradient, first idle.weight: processes'):
        try_out(idle_model, batch, waits=True)
    try_out(idle_model, batch)  # one process only says so
    idle_model.idle.requires_grad_(False)
    try_out(idle_model, batch, waits=True)
    assert idle_model.training and all(p.grad is None for p in idle_model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in idle_model.state_dict().items())


def test_who_waits_for_gradients(monkeypatch):
    assert not waits_for_gradients(SimpleNamespace())
    monkeypatch.setattr('mmsoco.engine.loops.get_world_size', lambda: 2)
    assert waits_for_gradients(SimpleNamespace())
    assert not waits_for_gradients(SimpleNamespace(find_unused_parameters=True))


def test_slips_of_a_method_are_told(idle_model, batch):
    del batch['inputs']['v3']
    with pytest.raises(UserError, match='do not fit together, or not the data: KeyError'):
        try_out(idle_model, batch)


@pytest.mark.parametrize('length', [dict(max_epochs=0), dict(max_epochs='x'), dict(max_steps=-1)])
def test_lengths_that_are_none(length):
    with pytest.raises(UserError, match=r'train_cfg.max_\w+ .* is not a number of 1 or more'):
        PretrainLoop(None, None, **length)


def test_a_backbone_for_other_channels_is_named(tiny_model_cfg, batch):
    tiny_model_cfg['data_preprocessor'] = dict(type='mmsoco.SoCoDataPreprocessor', mean=[9.0] * 4, std=[5.0] * 4)
    batch['inputs'] = {name: torch.cat([view, view[..., :1]], dim=-1) for name, view in batch['inputs'].items()}
    model = MODELS.build(tiny_model_cfg)
    words = 'backbone.conv1 takes images of 3 channels, and these have 4; set model.backbone.in_channels=4'
    with pytest.raises(UserError, match=words):
        try_out(model, batch)
    assert not any(module._forward_pre_hooks for module in model.modules())
    tiny_model_cfg['backbone']['in_channels'] = 4
    try_out(MODELS.build(tiny_model_cfg), batch)


def test_a_misfit_behind_the_first_convolution_is_none_of_the_images(tiny_model_cfg, batch):
    tiny_model_cfg['neck']['in_channels'] = [8, 16, 32, 65]
    with pytest.raises(UserError, match=r'expected input.* to have 65 channels, .*; compare the channels and maps'):
        try_out(MODELS.build(tiny_model_cfg), batch)
