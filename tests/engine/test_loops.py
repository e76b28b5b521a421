"""Real runs of the real recipe, on a model some channels wide."""

import json

import pytest
import torch

from mmsoco.engine.launch import train
from mmsoco.models.momentum import momentum_at


def record(work_dir, rank=0):
    return json.loads((work_dir / f'record_{rank}.json').read_text())


def weights(path):
    return torch.load(path, weights_only=True)


@pytest.fixture
def run(recipe, tiny_options, tmp_path):
    """Train the 400-epoch recipe for two epochs of two steps; returns the work folder."""

    def run(name, accumulate=1, resume=None, **options):
        options = {**tiny_options, **{key.replace('__', '.'): value for key, value in options.items()}}
        train(recipe, str(tmp_path / name), resume, False, accumulate, options)
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


def test_finished_run_resumes_to_nothing(run):
    work = run('done')
    before = weights(work / 'epoch_2.pth')['state_dict']
    run('done', resume='auto')
    after = weights(work / 'epoch_2.pth')['state_dict']
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_accumulation_takes_the_same_steps(run):
    """With BN in eval mode, two micro-batches give the gradient of the whole batch."""
    whole = run('whole', default_hooks__norms__type='EvalNormsHook')
    parts = run('parts', accumulate=2, default_hooks__norms__type='EvalNormsHook')
    a, b = record(whole), record(parts)
    assert [(s['iter'], s['lr'], s['momentum']) for s in a['steps']] == [
        (s['iter'], s['lr'], s['momentum']) for s in b['steps']
    ]
    first, second = weights(whole / 'epoch_2.pth')['state_dict'], weights(parts / 'epoch_2.pth')['state_dict']
    for key in first:
        torch.testing.assert_close(first[key], second[key], rtol=1e-4, atol=1e-6, msg=key)


def test_log_has_every_interval_also_under_accumulation(run):
    """An interval longer than an epoch, and a loader that counts micro-batches."""
    work = run('log', accumulate=2, default_hooks__logger__interval=3)
    (scalars,) = work.glob('*/vis_data/scalars.json')
    entries = [json.loads(line) for line in scalars.read_text().splitlines()]
    assert [entry['step'] for entry in entries] == [3]
    assert {'loss', 'loss_v1_v2', 'loss_v1_v3', 'target_std', 'distinct_boxes', 'lr', 'grad_norm'} <= set(entries[0])
    assert entries[0]['loss'] == pytest.approx(entries[0]['loss_v1_v2'] + entries[0]['loss_v1_v3'], abs=1e-5)


def test_loading_a_pretraining_starts_with_an_equal_target(run):
    work = run('first')
    again = run('second', load_from=str(work / 'epoch_2.pth'))
    assert weights(work / 'epoch_2.pth')['state_dict']['target.backbone.conv1.weight'].any()
    assert record(again)['steps'][0]['target_is_online']


def test_resuming_where_nothing_is_begins_with_what_the_config_loads(run):
    work = run('first')
    load_from = str(work / 'epoch_2.pth')
    loaded = run('loaded', load_from=load_from)
    resumed = run('resumed', resume='auto', load_from=load_from)
    assert record(resumed) == record(loaded)
    assert record(resumed)['steps'][0]['target'] != record(work)['steps'][0]['target']
    assert weights(resumed / 'epoch_2.pth')['meta']['iter'] == 4


def test_mixed_precision_on_a_cpu(recipe, tiny_options, tmp_path):
    runner = train(recipe, str(tmp_path / 'amp'), None, True, 1, tiny_options)
    assert type(runner.optim_wrapper).__name__ == 'CPUAmpOptimWrapper'
    assert all(torch.isfinite(p).all() for p in runner.model.parameters())
    plain = train(recipe, str(tmp_path / 'plain'), None, False, 1, tiny_options)
    a, b = runner.model.backbone.conv1.weight, plain.model.backbone.conv1.weight
    assert not torch.equal(a, b)
    torch.testing.assert_close(a, b, rtol=0.1, atol=1e-3)
