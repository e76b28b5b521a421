import pytest
import torch

from mmsoco.engine.hooks.progress import LEGEND, ProgressBarHook, figures_in_words
from mmsoco.engine.launch import train


def test_a_pretraining_shows_what_it_learns(recipe, tiny_options, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(ProgressBarHook.__init__, '__defaults__', (1e-9,))
    options = {**tiny_options, 'default_hooks.health.interval': 1}
    train(recipe, str(tmp_path), amp=False, options=options, progress=True)
    shown = capsys.readouterr().err
    lines = shown.splitlines()
    steps = [line for line in lines if '/4 steps, ' in line]
    # No terminal: a line each, to be seen through pipes, and none twice.
    assert '\r' not in shown and [line[0] for line in steps] == ['0', '1', '2', '3', '4']
    assert 'loss ' in steps[-1] and 'own nearest ' in steps[-1] and 'learned ' in steps[-1] and ' images/s' in steps[-1]
    # What these are is said first.
    assert lines.count(LEGEND) == 1 and lines.index(LEGEND) < lines.index(steps[0])


def test_figures_of_a_pretraining_are_averaged_over_pairs():
    outputs = dict(loss_v1_v2=-1.0, target_std=0.1)
    for name, values in dict(
        match_top1=(0.25, 0.35), chance_top1=(0.01, 0.01), chance_image=(0.25, 0.25), learned=(0.5, 0.7)
    ).items():
        outputs |= {f'{name}_v1_v2': values[0], f'{name}_v1_v3': values[1]}
    assert figures_in_words(outputs) == 'own nearest 30.0% (chance 1.0%), learned 0.60'
    outputs['loss'] = torch.tensor(-2.345)
    assert figures_in_words(outputs).endswith(', learned 0.60, loss -2.35')


@pytest.mark.parametrize(('outputs', 'words'), [(dict(loss=torch.tensor(1.234), acc=3.0), 'loss 1.23'), ({}, '')])
def test_others_show_their_loss(outputs, words):
    assert figures_in_words(outputs) == words
