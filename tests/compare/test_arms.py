"""Configs of arms and runs: fair, and of the user's own data."""

import json

import pytest
from mmengine.config import Config
from mmengine.model import PretrainedInit

from mmsoco.compare.arms import config_of_arm, config_of_run, digest_of_file, drop_pretrained, fingerprint
from mmsoco.compare.checking import build_dataset, loaded_share, steps_of
from mmsoco.compare.comparing import Prepared
from mmsoco.compare.fractions import order_of_images
from mmsoco.compare.labels import labelled
from mmsoco.compare.plan import Comparison, Init, Run
from mmsoco.errors import UserError
from mmsoco.options import Options


def comparison(config, pretrained, out, **settings):
    return Comparison(str(config), (Init('scratch'), Init('soco', str(pretrained))), out, **settings)


def test_scratch_loads_nothing_and_no_arm_by_the_config_itself(in_epochs, pretrained, tmp_path):
    whole = comparison(in_epochs, pretrained, tmp_path, fit=True)
    assert Config.fromfile(in_epochs).model.backbone.init_cfg.checkpoint == 'torchvision://resnet50'
    for init in whole.inits:
        cfg, notes = config_of_arm(whole, init)
        assert 'in no arm the config itself loads torchvision://resnet50' in notes
        assert 'torchvision' not in str(cfg.model)
        assert (cfg.get('load_from') is None) == (init.file is None)
        assert ('TransferHook' in str(cfg.default_hooks)) == (init.file is not None)


def test_pretrained_parts_in_lists_and_by_the_old_name():
    model = dict(pretrained='torchvision://resnet18', heads=[dict(init_cfg=[dict(type='Pretrained', checkpoint='a')])])
    model['neck'] = dict(init_cfg=dict(type='Xavier'))
    assert sorted(drop_pretrained(model)) == ['a', 'torchvision://resnet18']
    expected = dict(pretrained=None, heads=[dict(init_cfg=None)], neck=dict(init_cfg=dict(type='Xavier')))
    assert model == expected


def test_pretrained_parts_however_they_are_written():
    xavier = dict(type='Xavier')
    model = dict(
        backbone=dict(type='TIMMBackbone', model_name='resnet18', pretrained=True),
        neck=dict(init_cfg=(xavier, dict(type=PretrainedInit, checkpoint='a'))),
        heads=(dict(init_cfg=dict(type='PretrainedInit', checkpoint='b')),),
    )
    assert drop_pretrained(model) == ['the weights of resnet18', 'a', 'b']
    assert model['backbone']['pretrained'] is False
    assert model['neck'] == dict(init_cfg=[xavier]) and model['heads'] == (dict(init_cfg=None),)


def test_options_of_one_arm(in_iterations, pretrained, tmp_path):
    leave = Options(
        {'default_hooks.transfer.leave': ['neck.']}, typed={'default_hooks.transfer.leave': "['neck.','roi_head.']"}
    )
    both = Options({'train_dataloader.batch_size': 2}, typed={'train_dataloader.batch_size': '2'})
    whole = comparison(in_iterations, pretrained, tmp_path, options=both, only={'soco': leave}, fit=True)
    scratch, soco = (config_of_arm(whole, init)[0] for init in whole.inits)
    assert scratch.train_dataloader.batch_size == soco.train_dataloader.batch_size == 2
    assert soco.default_hooks.transfer.leave == ['neck.', 'roi_head.'] and 'transfer' not in scratch.default_hooks


def test_runs_differ_in_what_they_are_named_by_alone(in_epochs, pretrained, tmp_path):
    whole = comparison(in_epochs, pretrained, tmp_path, fractions=(0.25, 1.0), schedules=(1.0, 3.0), seeds=2, fit=True)
    arm = config_of_arm(whole, whole.inits[0])[0]
    before = arm.to_dict()
    configs = {run: config_of_run(whole, arm, run, 12) for run in whole.runs() if run.init == 'scratch'}
    assert arm.to_dict() == before
    for run, cfg in configs.items():
        assert cfg.randomness.seed == run.seed and cfg.train_cfg.max_epochs == 2 * run.schedule
        (dataset,) = labelled(cfg.train_dataloader.dataset)
        named = str(tmp_path / f'labels/seed{run.seed}_0.25.json') if run.fraction < 1 else 'train.json'
        assert dataset.ann_file == named
        # As many steps on a quarter of the images.
        assert steps_of(cfg, 12) == 6 * run.schedule
    marks = {fingerprint(whole, arm, cfg) for cfg in configs.values()}
    assert len(marks) == len(configs)
    elsewhere = comparison(
        in_epochs, pretrained, tmp_path / 'moved', fractions=(0.25, 1.0), schedules=(1.0, 3.0), fit=True
    )
    assert {fingerprint(elsewhere, arm, config_of_run(elsewhere, arm, run, 12)) for run in configs} == marks


def test_a_mark_is_of_what_files_hold_not_of_their_names(in_iterations, pretrained, data, tmp_path):
    for name in ('train.json', 'val.json'):
        (tmp_path / name).write_text((data / name).read_text())
    labels = {'train_dataloader.dataset.ann_file': str(tmp_path / 'train.json')}
    labels['val_evaluator.ann_file'] = str(tmp_path / 'val.json')
    run = Run('soco', 0.5, 1.0, 0)

    def mark(weights):
        digest_of_file.cache_clear()  # of another process
        whole = comparison(in_iterations, weights, tmp_path / 'out', options=Options(labels), fit=True)
        arm = config_of_arm(whole, whole.inits[1])[0]
        return fingerprint(whole, arm, config_of_run(whole, arm, run, 12))

    before = mark(pretrained)
    (tmp_path / 'copy.pth').write_bytes(pretrained.read_bytes())
    assert mark(tmp_path / 'copy.pth') == before
    marks = {before}
    for name in ('train.json', 'val.json', 'copy.pth'):
        with (tmp_path / name).open('ab') as file:
            file.write(b' ')
        marks.add(mark(tmp_path / 'copy.pth'))
    assert len(marks) == 4


def test_an_epoch_of_a_part_is_as_long_as_one_of_all(in_epochs, pretrained, tmp_path):
    whole = comparison(in_epochs, pretrained, tmp_path, fractions=(0.25, 0.5), seeds=1, fit=True)
    prepared = Prepared(whole, lambda line: None)
    prepared.write_labels()
    cfg = prepared.config(Run('scratch', 0.25, 1.0, 0))
    dataset = build_dataset(cfg, 'train_dataloader')
    assert len(dataset) == prepared.length == 12
    shown = [dataset.get_data_info(i)['img_path'] for i in range(12)]
    assert len(set(shown)) == 3 and shown[:3] * 4 == shown
    assert dataset[3]['inputs'].shape == (3, 64, 64) and dataset.get_cat_ids(3) == [0, 1]
    assert prepared.facts['labels']['25 %, seed 0'] == {'images': 3, 'boxes': 6, 'classes': {'square': 3, 'bar': 3}}


def test_a_part_without_an_image_is_refused_before_the_first_run(in_iterations, pretrained, data, tmp_path):
    labels = json.loads((data / 'train.json').read_text())
    # One image is large enough, and is drawn last.
    last = order_of_images(labels, 0)[-1]
    next(image for image in labels['images'] if image['id'] == last).update(width=128, height=128)
    (tmp_path / 'small.json').write_text(json.dumps(labels))
    options = {'train_dataloader.dataset.ann_file': str(tmp_path / 'small.json')}
    options['train_dataloader.dataset.filter_cfg'] = dict(filter_empty_gt=True, min_size=100)
    whole = comparison(
        in_iterations, pretrained, tmp_path / 'out', fractions=(0.1,), seeds=1, options=Options(options), fit=True
    )
    with pytest.raises(UserError, match='10 % of the labels, seed 0: no image is left to train on'):
        Prepared(whole, lambda line: None)
    assert not (tmp_path / 'out').exists()


def test_a_wrapper_keeps_its_labels_inside(in_epochs, pretrained, tmp_path):
    cfg = Config.fromfile(in_epochs)
    cfg.train_dataloader.dataset = dict(
        type='ConcatDataset', datasets=[dict(type='RepeatDataset', times=2, dataset=cfg.train_dataloader.dataset)] * 2
    )
    cfg.dump(tmp_path / 'wrapped.py')
    whole = comparison(tmp_path / 'wrapped.py', pretrained, tmp_path, fractions=(0.25,), seeds=1, fit=True)
    prepared = Prepared(whole, lambda line: None)
    prepared.write_labels()
    cfg = prepared.config(Run('soco', 0.25, 1.0, 0))
    files = [str(tmp_path / f'labels/seed0_0.25{part}.json') for part in ('', '_part1')]
    assert [one.ann_file for one in labelled(cfg.train_dataloader.dataset)] == files
    assert len(build_dataset(cfg, 'train_dataloader')) == 48


def test_mmdets_own_detector_is_made_to_fit(in_epochs, pretrained, tmp_path):
    plain = comparison(in_epochs, pretrained, tmp_path)
    with pytest.raises(UserError, match='from scratch would stay random; --fit lets all of it train'):
        loaded_share(config_of_arm(plain, plain.inits[0])[0], plain.inits[0])
    learns = Options({'model.backbone.frozen_stages': -1, 'model.backbone.norm_eval': False})
    plain = comparison(in_epochs, pretrained, tmp_path, options=learns)
    with pytest.raises(
        UserError, match=r'--init soco: .*FPN has no norm.*; or let --fit give the detector of every arm'
    ):
        loaded_share(config_of_arm(plain, plain.inits[1])[0], plain.inits[1])
    fitted = comparison(in_epochs, pretrained, tmp_path, fit=True)
    models = []
    for init in fitted.inits:
        cfg, notes = config_of_arm(fitted, init)
        models.append(cfg.model.to_dict())
        assert 'in every arm: FPN: BN' in notes
        share, _ = loaded_share(cfg, init)
        assert (share > 0.5) if init.file else share == 0
    assert models[0] == models[1]
    backbone, head = models[0]['backbone'], models[0]['roi_head']['bbox_head']
    assert (backbone['frozen_stages'], backbone['norm_eval'], backbone['init_cfg']) == (-1, False, None)
    assert (head['type'], head['conv_out_channels']) == ('Shared4Conv1FCBBoxHead', 8)


@pytest.mark.parametrize(
    'backbone',
    [
        dict(type='MobileNetV2', out_indices=(1, 2, 4, 6), frozen_stages=1, norm_eval=True),
        dict(type='Res2Net', depth=50, scales=2, base_width=4, norm_cfg=dict(type='BN', requires_grad=False)),
    ],
)
def test_no_backbone_keeps_random_weights(in_epochs, pretrained, tmp_path, backbone):
    cfg = Config.fromfile(in_epochs)
    cfg.model.backbone = dict(backbone)
    cfg.model.neck.in_channels = [24, 32, 96, 320] if backbone['type'] == 'MobileNetV2' else [256, 512, 1024, 2048]
    cfg.optim_wrapper.paramwise_cfg = dict(custom_keys={'backbone': dict(lr_mult=0.1)})
    cfg.dump(tmp_path / 'other.py')
    for fit in (False, True):
        whole = comparison(tmp_path / 'other.py', pretrained, tmp_path, fit=fit)
        arm, notes = config_of_arm(whole, whole.inits[0])
        assert any('backbone learns at 0.1 of the rate' in note for note in notes)
        if fit:
            assert loaded_share(arm, whole.inits[0], fit) == (0.0, 'random weights')
        else:
            with pytest.raises(UserError, match=r'freezes .* \(backbone\..*from scratch would stay random'):
                loaded_share(arm, whole.inits[0], fit)


def test_what_concerns_all_runs_is_said_first(in_epochs, pretrained, tmp_path, recipe):
    with pytest.raises(UserError, match='is a pretraining; give the config of a detector'):
        config_of_arm(comparison(recipe, pretrained, tmp_path), Init('scratch'))
    with pytest.raises(UserError, match=r'gone\.py does not exist'):
        config_of_arm(comparison('gone.py', pretrained, tmp_path), Init('scratch'))
    cfg = Config.fromfile(in_epochs)
    cfg.train_dataloader.dataset.ann_file = str(tmp_path / 'labels.txt')
    (tmp_path / 'labels.txt').write_text('no JSON')
    cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=4)
    cfg.dump(tmp_path / 'other.py')
    whole = comparison(tmp_path / 'other.py', pretrained, tmp_path / 'out', fractions=(0.5, 1.0), fit=True)
    with pytest.raises(UserError, match='parts are drawn from COCO JSON alone, --fractions'):
        Prepared(whole, lambda line: None)
    assert not (tmp_path / 'out').exists()
