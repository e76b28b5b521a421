import json

import pytest

from mmsoco.errors import UserError
from mmsoco.quickstart.figures import read_scalars
from mmsoco.quickstart.run import _run_logged, plan, results_table


def test_steps_name_files_that_exist(root, tmp_path):
    for step in plan(tmp_path):
        for command in step.commands:
            script, *arguments = command.split()
            assert (root / script).is_file()
            assert all((root / a).is_file() for a in arguments if a.startswith('configs/'))


def test_a_checkpoint_that_a_step_leaves_is_what_its_config_makes(root, tmp_path):
    from mmengine.config import Config

    pretrain, soco = plan(tmp_path)[2:4]
    pretraining = Config.fromfile(root / 'configs/quickstart/soco_r18fpn_tiles.py')
    detector = Config.fromfile(root / 'configs/quickstart/faster-rcnn_r18fpn_tiles_soco.py')
    assert pretrain.result.name == f'epoch_{pretraining.train_cfg.max_epochs}.pth'
    assert detector.load_from.endswith(f'pretrain/{pretrain.result.name}')
    assert f'iter_{detector.train_cfg.max_iters}.pth' in soco.commands[1]
    scratch = Config.fromfile(root / 'configs/quickstart/faster-rcnn_r18fpn_tiles_scratch.py')
    assert scratch.load_from is None
    for key in ('model', 'optim_wrapper', 'param_scheduler', 'train_cfg', 'train_dataloader', 'randomness'):
        assert scratch[key] == detector[key]


def test_failed_command_names_its_log(tmp_path):
    script = tmp_path / 'fails.py'
    script.write_text('print("because"); raise SystemExit(3)')
    with pytest.raises(UserError, match=r'failed with status 3; see .*step\.log'):
        _run_logged(str(script), tmp_path / 'step.log')
    assert (tmp_path / 'step.log').read_text() == 'because\n'


def test_table_of_results(tmp_path):
    for name, ap in (('soco', 0.1234), ('scratch', 0.0)):
        (tmp_path / name).mkdir()
        metrics = {'coco/bbox_mAP': ap, 'coco/bbox_mAP_50': 2 * ap}
        (tmp_path / name / 'metrics.json').write_text(json.dumps(metrics))
    lines = [line.split() for line in results_table(tmp_path).splitlines()]
    assert lines[0][-2:] == ['AP', 'AP50']
    assert lines[1] == ['from', 'the', 'pretraining', '12.3', '24.7']
    assert lines[2] == ['from', 'scratch', '0.0', '0.0']


def test_scalars_of_a_resumed_run_are_one_curve(tmp_path):
    for run, steps in (('20260101_000000', (1, 2, 3)), ('20260101_010000', (3, 4))):
        folder = tmp_path / run / 'vis_data'
        folder.mkdir(parents=True)
        lines = [json.dumps(dict(loss=step + (0.5 if run.endswith('10000') else 0), step=step)) for step in steps]
        (folder / 'scalars.json').write_text('\n'.join(lines))
    assert read_scalars(tmp_path)['loss'] == [(1, 1), (2, 2), (3, 3.5), (4, 4.5)]
