"""Promise 16: the processes of a run end together, one line says why, and nobody is killed who writes."""

import pytest
import torch
from running import start_training


def end_of(config, folder, options, *arguments, **environment):
    """Exit status of a run of two processes, and what it printed on stderr."""
    run = start_training(config, folder, options, 2, *arguments, **environment)
    status = run.process.wait(150)
    return status, run.errors.read_text().strip().splitlines()


@pytest.mark.slow
def test_a_diverged_run_keeps_its_weights(recipe, tiny_options, tmp_path):
    options = tiny_options | {
        'default_hooks.health.max_skips': 2,
        'default_hooks.poison.type': 'PoisonHook',
        'default_hooks.slow.type': 'SlowSaveHook',
    }
    status, lines = end_of(recipe, tmp_path, options)
    assert status == 2 and len(lines) == 1 and lines[0].startswith('error: gradients were not finite in 2 steps'), lines
    assert torch.load(tmp_path / 'run/stopped.pth', weights_only=True)['meta']['iter'] == 3
    assert not list((tmp_path / 'run').glob('.*'))


@pytest.mark.slow
@pytest.mark.parametrize('ranks', ['[0]', '[1]', '[0,1]'])
def test_an_error_of_some_is_said_once(recipe, tiny_options, tmp_path, ranks):
    options = tiny_options | {'default_hooks.refuse.type': 'RefuseHook', 'default_hooks.refuse.ranks': ranks}
    status, lines = end_of(recipe, tmp_path, options)
    of = 'process 1: ' if ranks == '[1]' else ''
    assert (status, lines) == (2, [f'error: {of}this is refused'])
