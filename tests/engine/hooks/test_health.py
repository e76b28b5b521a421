import json
import re
from types import SimpleNamespace

import pytest
import torch

from mmsoco.engine.figures import SKIPPED
from mmsoco.engine.hooks.health import HealthHook, TrainingDiverged
from mmsoco.engine.launch import train


def log_of(work_dir):
    return next(work_dir.glob('*/*.log')).read_text()


def test_boxes_on_each_level_are_reported(recipe, tiny_options, tmp_path):
    train(recipe, str(tmp_path), amp=False, options={**tiny_options, 'default_hooks.health.interval': 2})
    # Views of 64 px hold no box over 64: with the paper's sizes all lie on the first two levels.
    lines = [line for line in log_of(tmp_path).splitlines() if 'Boxes on each level' in line]
    assert len(lines) == 2 and lines[0].count('/ 0% / 0%') == 3
    scalars = [json.loads(line) for line in next(tmp_path.glob('*/vis_data/scalars.json')).read_text().splitlines()]
    (first, *_) = [entry for entry in scalars if 'boxes/v1_level0' in entry]
    assert sum(first[f'boxes/v1_level{level}'] for level in range(4)) == pytest.approx(1.0)


def test_a_run_that_diverges_skips_saves_and_ends(recipe, tiny_options, tmp_path):
    options = {**tiny_options, 'default_hooks.health.max_skips': 2, 'default_hooks.poison.type': 'PoisonHook'}
    with pytest.raises(TrainingDiverged, match=r'2 steps in a row, up to step 3; .*stopped.pth; try a lower'):
        train(recipe, str(tmp_path), amp=False, options=options)
    log = log_of(tmp_path)
    assert 'Step 2 skipped: its gradient is not finite (1 in a row)' in log
    stopped = torch.load(tmp_path / 'stopped.pth', weights_only=True)
    assert stopped['meta']['iter'] == 3
    parameters = [v for k, v in stopped['state_dict'].items() if k.endswith(('weight', 'bias'))]
    assert all(torch.isfinite(value).all() for value in parameters)


@pytest.mark.slow
def test_collapse_is_told(recipe, tiny_options, tmp_path):
    options = {**tiny_options, 'default_hooks.health.collapse_steps': 2, 'default_hooks.collapse.type': 'CollapseHook'}
    train(recipe, str(tmp_path / 'collapsed'), amp=False, options=options)
    log = log_of(tmp_path / 'collapsed')
    assert log.count('Collapse: for 2 steps') == 1 and log.count('Collapse: for 4 steps') == 1
    options.pop('default_hooks.collapse.type')
    train(recipe, str(tmp_path / 'healthy'), amp=False, options=options)
    assert 'Collapse' not in log_of(tmp_path / 'healthy')


def test_a_run_that_predicts_the_mean_is_called_so(recipe, tiny_options, tmp_path):
    train(recipe, str(tmp_path), amp=False, options={**tiny_options, 'default_hooks.health.interval': 1})
    lines = log_of(tmp_path).splitlines()
    said = [line for line in lines if 'predicts the mean target: nothing is learned so far' in line]
    # Not in the two steps of warm-up.
    assert len(said) == 2 and 'mmsoco::own' in said[0]
    reports = [line for line in lines if 'Learning, mean of 1 steps: v1-v2 own' in line]
    assert len(reports) == 4 and '(chance 6.25%)' in reports[0]


def test_a_run_that_learns_is_not(learned):
    log = log_of(learned)
    (last,) = [line for line in log.splitlines() if 'Learning, mean of 20 steps' in line][-1:]
    assert float(re.search(r'v1-v2 .* own nearest ([\d.]+)%', last)[1]) > 5 * 3.12
    last_warning = max((i for i, line in enumerate(log.splitlines()) if 'is learned so far' in line), default=0)
    assert last_warning < log.splitlines().index(last)


@pytest.fixture
def figures():
    """What a run of 30 steps with warm-up over 10 says, by a pair's figures; chance is 1 %."""
    said = []
    logger = SimpleNamespace(info=said.append, warning=said.append)

    def report(match_cos, match_top1, learned, match_image=0.7):
        hook = HealthHook()
        hook._warmup_steps, hook._steps = 10, 20
        values = dict(match_cos=match_cos, other_cos=0.4, match_top1=match_top1, chance_top1=0.01, learned=learned)
        values |= dict(match_image=match_image, chance_image=0.25)
        figures = {f'{name}_v1_v2': value for name, value in values.items()}
        hook._report_learning(SimpleNamespace(logger=logger, iter=29), figures)
        return said[1:]

    return report


def test_clusters_are_called_so(figures):
    (said,) = figures(0.74, 0.02, 0.3)
    assert said.startswith('The network tells clusters of boxes apart, not boxes')


def test_a_loss_that_looks_as_good_is_not_enough(figures):
    (said,) = figures(0.6, 0.012, 0.02)
    assert said.startswith('The network predicts the mean target')


def test_telling_images_apart_is_not_enough(figures):
    (said,) = figures(0.95, 0.25, 0.9, match_image=0.26)
    assert said.startswith('The network tells images apart, not the boxes of an image')
    # With a box an image there is nothing to tell apart in it.
    hook = HealthHook()
    assert hook._verdict(match_top1=0.25, chance_top1=0.01, match_image=1.0, chance_image=1.0, learned=0.9) is None


def test_a_method_that_gives_other_figures():
    """Its pairs are passed over; nothing stops the run."""
    said = []
    logger = SimpleNamespace(info=said.append, warning=said.append)
    hook = HealthHook()
    hook._warmup_steps, hook._steps = 0, 1
    for figures in ({'match_cos_v1_v2': 0.5}, {'learned_v1_v2': 0.5}):
        hook._report_learning(SimpleNamespace(logger=logger, iter=29), figures)
    assert said == []


@pytest.mark.parametrize('scaled', [True, False])
def test_a_lone_skip_is_expected_of_loss_scaling(scaled):
    said = []
    logger = SimpleNamespace(
        info=lambda words: said.append(('info', words)), warning=lambda w: said.append(('warn', w))
    )
    wrapper = SimpleNamespace(**({'loss_scaler': torch.amp.GradScaler('cpu')} if scaled else {}))
    runner = SimpleNamespace(logger=logger, iter=9, optim_wrapper=wrapper, model=SimpleNamespace(embedding_width=4))
    HealthHook().after_figures(runner, [{SKIPPED: value} for value in (0.0, 1.0, 0.0, 1.0, 2.0)])
    words = 'skipped: its gradient is not finite'
    lone = 'info' if scaled else 'warn'
    assert said == [
        (lone, f'Step 7 {words} (1 in a row)'),
        (lone, f'Step 9 {words} (1 in a row)'),
        ('warn', f'Step 10 {words} (2 in a row)'),
    ]


def test_few_hits_are_enough_where_each_counts(figures):
    assert figures(0.3, 0.2, 0.2) == []


def test_skips_that_have_ended_end_no_run(tmp_path):
    said, saved = [], []
    runner = SimpleNamespace(
        logger=SimpleNamespace(warning=said.append),
        iter=9,
        optim_wrapper=None,
        model=SimpleNamespace(embedding_width=4),
        work_dir=str(tmp_path),
        save_checkpoint=lambda *args, **kwargs: saved.append(args),
    )
    hook = HealthHook(max_skips=2)
    hook.after_figures(runner, [{SKIPPED: value} for value in (1.0, 2.0, 3.0, 0.0)])
    assert len(said) == 3 and not saved
    with pytest.raises(TrainingDiverged, match='in 3 steps in a row, up to step 10; '):
        hook.after_figures(runner, [{SKIPPED: value} for value in (1.0, 2.0, 3.0)])
    assert len(saved) == 1
