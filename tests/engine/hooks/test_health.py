import json

import pytest
import torch

from mmsoco.engine.hooks.health import TrainingDiverged
from mmsoco.engine.launch import train


def log_of(work_dir):
    return next(work_dir.glob('*/*.log')).read_text()


def test_boxes_on_each_level_are_reported(recipe, tiny_options, tmp_path):
    train(recipe, str(tmp_path), None, False, 1, {**tiny_options, 'custom_hooks.3.interval': 2})
    # Views of 64 px hold no box over 64: with the paper's sizes all lie on the first two levels.
    lines = [line for line in log_of(tmp_path).splitlines() if 'Boxes on each level' in line]
    assert len(lines) == 2 and lines[0].count('/ 0% / 0%') == 3
    scalars = [json.loads(line) for line in next(tmp_path.glob('*/vis_data/scalars.json')).read_text().splitlines()]
    (first, *_) = [entry for entry in scalars if 'boxes/v1_level0' in entry]
    assert sum(first[f'boxes/v1_level{level}'] for level in range(4)) == pytest.approx(1.0)


def test_a_run_that_diverges_skips_saves_and_ends(recipe, tiny_options, tmp_path):
    options = {**tiny_options, 'custom_hooks.3.max_skips': 2, 'default_hooks.poison.type': 'PoisonHook'}
    with pytest.raises(TrainingDiverged, match=r'2 steps in a row, up to step 3; .*stopped.pth; try a lower'):
        train(recipe, str(tmp_path), None, False, 1, options)
    log = log_of(tmp_path)
    assert 'Step 2 skipped: its gradient is not finite (1 in a row)' in log
    stopped = torch.load(tmp_path / 'stopped.pth', weights_only=True)
    assert stopped['meta']['iter'] == 3
    parameters = [v for k, v in stopped['state_dict'].items() if k.endswith(('weight', 'bias'))]
    assert all(torch.isfinite(value).all() for value in parameters)


def test_collapse_is_told(recipe, tiny_options, tmp_path):
    options = {**tiny_options, 'custom_hooks.3.collapse_steps': 2, 'default_hooks.collapse.type': 'CollapseHook'}
    train(recipe, str(tmp_path / 'collapsed'), None, False, 1, options)
    log = log_of(tmp_path / 'collapsed')
    assert log.count('Collapse: for 2 steps') == 1 and log.count('Collapse: for 4 steps') == 1
    options.pop('default_hooks.collapse.type')
    train(recipe, str(tmp_path / 'healthy'), None, False, 1, options)
    assert 'Collapse' not in log_of(tmp_path / 'healthy')
