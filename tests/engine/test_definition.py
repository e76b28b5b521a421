import json
import shutil

import pytest
import torch
from mmengine.config import Config

from mmsoco.checkpoints.files import read_meta
from mmsoco.engine.definition import KEY, contents, define, of_checkpoint, require_same_run
from mmsoco.engine.launch import train
from mmsoco.errors import UserError

MULTI_VIEW = 'train_dataloader.dataset.pipeline.multi_view'
DETECTOR = dict(
    train_dataloader=dict(
        batch_size=2,
        num_workers=2,
        sampler=dict(type='DefaultSampler', shuffle=True),
        dataset=dict(type='CocoDataset', data_root='a', ann_file='b.json', pipeline=[dict(type='LoadImageFromFile')]),
    ),
    optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.02)),
    param_scheduler=[dict(type='LinearLR', end=1000), dict(type='MultiStepLR', milestones=(8, 11))],
    train_cfg=dict(type='EpochBasedTrainLoop', max_epochs=12, val_interval=1),
)


def differing(changes, cfg=DETECTOR, pretraining=False, processes=(2, 2)):
    """Keys in which a config differs from a changed one."""
    changed = Config(cfg)
    changed.merge_from_dict(changes)
    settings = [define(c, pretraining, n) for c, n in zip((Config(cfg), changed), processes, strict=True)]
    return {key for key in settings[0].keys() | settings[1].keys() if settings[0].get(key) != settings[1].get(key)}


@pytest.mark.parametrize(
    ('change', 'key'),
    [
        ({'total_batch_size': 1024}, 'total_batch_size'),
        ({'train_cfg.max_epochs': 100}, 'train_cfg.max_epochs'),
        ({'randomness.seed': 1}, 'randomness.seed'),
        ({f'{MULTI_VIEW}.views.v3.size': 96}, f'{MULTI_VIEW}.views.v3.size'),
        ({f'{MULTI_VIEW}.pairs': [('v1', 'v2')]}, f'{MULTI_VIEW}.pairs'),
        ({f'{MULTI_VIEW}.num_proposals': 8}, f'{MULTI_VIEW}.num_proposals'),
        ({'optim_wrapper.optimizer.lr': 2.0}, 'optim_wrapper.optimizer.lr'),
        ({'default_hooks.learning_rate.warmup_epochs': 5}, 'WarmupCosineLRHook.warmup_epochs'),
        ({'default_hooks.target_update.base_momentum': 0.98}, 'TargetUpdateHook.base_momentum'),
    ],
)
def test_what_defines_a_pretraining(recipe, change, key):
    assert differing(change, Config.fromfile(recipe).to_dict(), pretraining=True) == {key}


def test_what_may_change(recipe):
    changes = {
        'train_dataloader.num_workers': 3,
        'train_dataloader.batch_size': 128,
        'train_dataloader.sampler.accumulate': 2,
        'train_dataloader.dataset.data_root': '/elsewhere',
        'train_dataloader.dataset.proposal_file': '/elsewhere/p.arrow',
        'train_dataloader.dataset.max_bad': 0.1,
        'work_dir': 'other',
        'default_hooks.logger.interval': 10,
        'default_hooks.checkpoint.interval': 10,
        'default_hooks.matched_boxes': None,
        'optim_wrapper.type': 'mmsoco.FiniteAmpOptimWrapper',
        'optim_wrapper.accumulative_counts': 2,
        'optim_wrapper.optimizer.type': 'mmsoco.LARS',
        f'{MULTI_VIEW}.pairs': [['v1', 'v2'], ['v1', 'v3']],
    }
    assert differing(changes, Config.fromfile(recipe).to_dict(), pretraining=True, processes=(8, 16)) == set()


def test_what_defines_a_fine_tuning():
    assert differing({}, processes=(8, 4)) == {'images a step'}
    assert differing({'train_dataloader.batch_size': 4}, processes=(8, 4)) == set()
    assert differing({'param_scheduler.1.milestones': (9, 11)}) == {'param_scheduler.1.milestones'}
    assert differing({'train_cfg.val_interval': 2, 'train_dataloader.dataset.data_root': 'c'}) == set()
    assert differing({'optim_wrapper.accumulative_counts': 4}) == {'optim_wrapper.accumulative_counts'}


def test_annotations_are_known_by_what_they_say(tmp_path):
    for name, words in (('a', 1), ('b', 1), ('c', 2)):
        (tmp_path / name).write_text(json.dumps(words))
    cfg = Config(dict(train_dataloader=dict(dataset=dict(type='mmdet.CocoDataset', data_root=str(tmp_path)))))
    digests = []
    for name in 'abc':
        cfg.train_dataloader.dataset.ann_file = name
        digests.append(contents(cfg))
    assert digests[0] == digests[1] != digests[2] and len(digests[0]['content of ann_file']) == 1
    both = [dict(type='CocoDataset', ann_file=str(tmp_path / name)) for name in 'ac']
    cfg.train_dataloader.dataset = dict(type='RepeatDataset', dataset=dict(type='ConcatDataset', datasets=both))
    assert contents(cfg)['content of ann_file'] == [one['content of ann_file'][0] for one in (digests[0], digests[2])]


def test_an_old_checkpoint_is_compared_by_its_config_which_is_not_run(tmp_path):
    text = Config(DETECTOR).pretty_text + f'evil = open("{tmp_path}/ran", "w")\nimport os\n'
    now = define(DETECTOR, False, 2) | {'content of ann_file': ['x']}
    (note,) = require_same_run('old.pth', {'cfg': text}, now, False, anyway=False)
    assert note == 'not compared, as old.pth does not tell it: content of ann_file, images a step'
    now['optim_wrapper.optimizer.lr'] = 0.04
    with pytest.raises(UserError, match=r'old.pth is of a run with optim_wrapper.optimizer.lr 0.02, not 0.04: its '):
        require_same_run('old.pth', {'cfg': text}, now, False, anyway=False)
    assert not (tmp_path / 'ran').exists()


@pytest.mark.parametrize('meta', [{}, {'cfg': None}, {'cfg': 'a = ('}, {'cfg': 'x' + '(' * 5000}])
def test_a_checkpoint_that_tells_nothing(meta):
    now = define(DETECTOR, False, 2)
    (note,) = require_same_run('c.pth', meta, now, False, anyway=False)
    assert note == 'not compared, as c.pth does not tell it: how its run was set up'


def test_both_values_are_named_and_it_can_be_resumed_anyway(recipe, tiny_options, tmp_path, capsys):
    train(recipe, str(tmp_path / 'run'), amp=False, options=tiny_options | {'train_cfg.max_epochs': 1})
    meta = read_meta(tmp_path / 'run/epoch_1.pth')
    assert meta[KEY]['total_batch_size'] == 4 and meta[KEY]['images'] == 8
    capsys.readouterr()
    again = dict(amp=False, resume='auto')
    files = {path.name for path in (tmp_path / 'run').glob('*')}
    with pytest.raises(UserError, match=r'epoch_1.pth is of a run with train_cfg.max_epochs 1, not 2: .*--resume-any'):
        train(recipe, str(tmp_path / 'run'), options=tiny_options, **again)
    assert {path.name for path in (tmp_path / 'run').glob('*')} == files
    # The same proposals elsewhere, and other workers, are no other run.
    moved = str(shutil.copy(tiny_options['train_dataloader.dataset.proposal_file'], tmp_path / 'moved.arrow'))
    options = tiny_options | {'train_dataloader.dataset.proposal_file': moved, 'default_hooks.logger.interval': 1}
    runner = train(recipe, str(tmp_path / 'run'), options=options, resume_anyway=True, **again)
    assert runner.iter == 4
    log = capsys.readouterr().out
    assert 'Resumed anyway: ' in log and log.count('is of a run with') == 1
    assert torch.load(tmp_path / 'run/epoch_2.pth', weights_only=True)['meta'][KEY]['train_cfg.max_epochs'] == 2
    with pytest.raises(UserError, match='--resume-anyway is for runs that go on'):
        train(recipe, str(tmp_path / 'run'), options=options, resume_anyway=True)


def test_an_old_pretraining_is_compared_by_its_data_sets_own_words(recipe):
    cfg = Config.fromfile(recipe)
    past, unknown = of_checkpoint({'cfg': cfg.pretty_text, 'dataset_meta': {'checksum': 'abc', 'count': 3}}, True)
    assert past == define(cfg, True) | {'content of proposal_file': 'abc'} and 'images' in unknown
