import pytest
import torch

from mmsoco.engine.hooks.progress import ProgressBarHook, figures_in_words
from mmsoco.engine.launch import train


def test_a_pretraining_shows_what_it_learns(recipe, tiny_options, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(ProgressBarHook.__init__, '__defaults__', (1e-9,))
    options = {**tiny_options, 'default_hooks.health.interval': 1}
    train(recipe, str(tmp_path), amp=False, options=options, progress=True)
    shown = capsys.readouterr().err
    assert '4/4 [' in shown and 'own nearest ' in shown and 'learned ' in shown
    assert 'loss ' in shown and ' images/s' in shown
    # No terminal: a line each, to be seen through pipes.
    assert '\r' not in shown and sum('/4 [' in line for line in shown.splitlines()) >= 4


def test_figures_of_a_pretraining_are_averaged_over_pairs():
    outputs = dict(loss_v1_v2=-1.0, target_std=0.1)
    for name, values in dict(
        match_top1=(0.25, 0.35), chance_top1=(0.01, 0.01), chance_image=(0.25, 0.25), learned=(0.5, 0.7)
    ).items():
        outputs |= {f'{name}_v1_v2': values[0], f'{name}_v1_v3': values[1]}
    assert figures_in_words(outputs) == 'own nearest 30.0% (chance 1.0%), learned 0.60'
    outputs['loss'] = torch.tensor(-2.345)
    assert figures_in_words(outputs).startswith('loss -2.3')


@pytest.mark.parametrize(('outputs', 'words'), [(dict(loss=torch.tensor(1.234), acc=3.0), 'loss 1.23'), ({}, '')])
def test_others_show_their_loss(outputs, words):
    assert figures_in_words(outputs) == words
