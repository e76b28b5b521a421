import json
import shlex

from scripts import load_script

from mmsoco.pace import Pace
from mmsoco.steps import Step

quickstart = load_script('tools/quickstart.py')


def test_steps_name_files_that_exist(root, tmp_path):
    for step in quickstart.plan(tmp_path):
        for command in step.commands:
            script, *arguments = command.split()
            assert (root / script).is_file()
            assert all((root / a).is_file() for a in arguments if a.startswith('configs/'))


def test_the_device_is_handed_on_to_what_trains(tmp_path):
    plain, on = (quickstart.plan(tmp_path, device=device) for device in (None, 'cpu'))
    for former, step in zip(plain, on, strict=True):
        for before, command in zip(former.commands, step.commands, strict=True):
            trains = command.startswith(('tools/train.py', 'tools/test.py'))
            assert ('--device cpu' in command) is trains and command.replace(' --device cpu', '') == before


def test_a_checkpoint_that_a_step_leaves_is_what_its_config_makes(root, tmp_path):
    from mmengine.config import Config

    pretrain, soco = quickstart.plan(tmp_path)[2:4]
    pretraining = Config.fromfile(root / 'configs/quickstart/soco_r18fpn_digits.py')
    detector = Config.fromfile(root / 'configs/quickstart/faster-rcnn_r18fpn_digits_soco.py')
    assert pretrain.result.name == f'iter_{pretraining.train_cfg.max_steps}.pth'
    assert detector.load_from.endswith(f'pretrain/{pretrain.result.name}')
    assert f'iter_{detector.train_cfg.max_iters}.pth' in soco.commands[1]
    scratch = Config.fromfile(root / 'configs/quickstart/faster-rcnn_r18fpn_digits_scratch.py')
    assert scratch.load_from is None
    for key in ('model', 'optim_wrapper', 'param_scheduler', 'train_cfg', 'train_dataloader', 'randomness'):
        assert scratch[key] == detector[key]


def test_table_of_results(tmp_path):
    for name, ap in (('soco', 0.1234), ('scratch', 0.0)):
        (tmp_path / name).mkdir()
        metrics = {'coco/bbox_mAP': ap, 'coco/bbox_mAP_50': 2 * ap}
        (tmp_path / name / 'metrics.json').write_text(json.dumps(metrics))
    lines = [line.split() for line in quickstart.results_table(tmp_path).splitlines()]
    assert lines[0][-2:] == ['AP', 'AP50']
    assert lines[1] == ['from', 'the', 'pretraining', '12.3', '24.7']
    assert lines[2] == ['from', 'scratch', '0.0', '0.0']
    assert lines[-1][:2] == ['One', 'seed;']


def test_table_of_several_seeds(tmp_path):
    for name, ap in (('soco_3x', 0.1), ('soco_3x_seed1', 0.3), ('scratch_3x', 0.1), ('scratch_3x_seed1', 0.1)):
        (tmp_path / name).mkdir()
        (tmp_path / name / 'metrics.json').write_text(json.dumps({'coco/bbox_mAP': ap, 'coco/bbox_mAP_50': 2 * ap}))
    lines = quickstart.results_table(tmp_path, seeds=2, times=3).splitlines()
    assert lines[1].split() == ['from', 'the', 'pretraining', '20.0', '+-', '14.1', '40.0', '+-', '28.3']
    assert lines[2].split() == ['from', 'scratch', '10.0', '+-', '0.0', '20.0', '+-', '0.0']
    assert not lines[-1].startswith('One seed')


def test_table_of_what_is_learned(tmp_path):
    (tmp_path / 'pretrain').mkdir()
    row = dict(top1=0.2, own_image=0.6, chance_top1=0.001, chance_own_image=0.05)
    random = dict(top1=0.01, own_image=0.1)
    curve = [
        {'step': 100, 'figures': {'embedding': dict.fromkeys(row, 0)}},
        {'step': 200, 'figures': {'embedding': row}},
    ]
    (tmp_path / 'pretrain/probe.json').write_text(json.dumps({'random': {'embedding': random}, 'curve': curve}))
    lines = quickstart.learning_table(tmp_path).splitlines()
    assert lines[1].split() == ['own', 'box', 'nearest', 'of', 'all', 'boxes', '20.00', '1.00', '0.10']
    assert lines[2].split() == ['own', 'box', 'nearest', 'of', 'its', "sheet's", '60.00', '10.00', '5.00']


def test_more_seeds_and_a_longer_schedule_change_the_fine_tunings_alone(root, tmp_path):
    from mmengine.config import Config

    few, many = quickstart.plan(tmp_path), quickstart.plan(tmp_path, seeds=3, times=2)
    assert many[:3] == few[:3] and len(many) == 3 + 2 * 3
    assert [step.result.parent.name for step in many[3:5]] == ['soco_2x', 'scratch_2x']
    train = shlex.split(many[7].commands[0])
    assert many[7].result.parent.name == 'soco_2x_seed2'
    cfg = Config.fromfile(root / train[1])
    once = cfg.train_cfg.max_iters
    cfg.merge_from_dict(dict(option.split('=') for option in train[train.index('--cfg-options') + 1 :]))
    assert int(cfg.train_cfg.max_iters) == int(cfg.train_cfg.val_interval) == 2 * once
    assert int(cfg.param_scheduler[1].end) == 2 * once
    assert int(cfg.param_scheduler[1].begin) + int(cfg.param_scheduler[1].T_max) == 2 * once
    assert cfg.randomness.seed == '2' and f'iter_{2 * once}.pth' in many[7].commands[1]


def test_steps_are_done_once_and_the_figures_are_shown(tmp_path, monkeypatch):
    """The real loop, with steps that take no time."""
    folder = tmp_path / 'work'
    script = tmp_path / 'step.py'
    script.write_text('import pathlib, sys; pathlib.Path(sys.argv[1]).mkdir(); print("done")')
    names = [quickstart.variant_name(variant, seed, 2) for seed in range(2) for variant in quickstart.VARIANTS]

    def plan(where, seeds, times):
        assert (where, seeds, times) == (folder, 2, 2)
        return [Step(name, 'no time', (f'{script} {folder / name}',), folder / name) for name in names]

    monkeypatch.setattr(quickstart, 'plan', plan)
    monkeypatch.setattr(quickstart, 'learning_table', lambda where: 'learned')
    monkeypatch.setattr(quickstart, 'results_table', lambda where, seeds, times: f'{seeds} seeds, {times} times')
    drawing = tmp_path / 'draw.py'
    drawing.write_text('import sys; print(f"{sys.argv[1]}/{sys.argv[sys.argv.index(\'--soco\') + 1]}.png  an image")')
    monkeypatch.setattr(quickstart, 'DRAWING', str(drawing))
    measured = []

    def measure(config, **options):
        measured.append((config.rpartition('_')[2], options))
        return Pace(start=10, step=1)

    monkeypatch.setattr(quickstart, 'measure_pace', measure)
    said = []
    quickstart.run(folder, 2, 2, said.append)
    assert [name for name, _ in measured] == ['digits.py', 'scratch.py']
    # The third counts as the pretraining: 10 + 300 s; the fourth trains 400 steps, and starts twice; figures take 30 s.
    assert 'Steps 3 to 5 take about 13 minutes on this machine.' in said
    assert any(line.startswith('[4/5]') and line.endswith('(about 7 minutes)') for line in said)
    assert sum(line.startswith('    python') for line in said) == 4
    assert 'learned' in said and '2 seeds, 2 times' in said and said[-1].endswith('soco_2x.png  an image')
    again = []
    quickstart.run(folder, 2, 2, again.append)
    assert sum(line.endswith('done already') for line in again) == 4
    assert [line for line in again if line.endswith('an image')] == [f'    {folder}/soco_2x.png  an image']
    assert next(line for line in again if line.startswith('Time of each step: ')).count(' s') >= 4
