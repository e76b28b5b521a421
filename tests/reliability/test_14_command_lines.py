"""Promise 14: a wrong command line ends in one line that says what to do, status 2, and leaves nothing behind."""

import errno
import json
import shlex
import sys
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope
from scripts import load_script
from shrinking import shrink

ROOT = Path(__file__).parents[2]
PIPELINE = 'train_dataloader.dataset.pipeline.multi_view'

#: Broken configs: name -> content.
CONFIGS = {
    'syntax.py': 'model = dict(\n',
    'name.py': 'model = dict(depth=depht)\n',
    'division.py': 'lr = 1 / 0\n',
    'no_base.py': "_base_ = './gone.py'\n",
    'cycle_a.py': "_base_ = './cycle_b.py'\n",
    'cycle_b.py': "_base_ = './cycle_a.py'\n",
    'no_package.py': "_base_ = 'mmseg::fcn/fcn.py'\n",
    'latin1.py': 'x = "é"\n'.encode('latin-1'),
    'empty.py': '',
    'config.txt': 'model = dict()\n',
    'broken.json': '{"model": \n',
    'list.json': '[1, 2]\n',
    'broken.yaml': 'model: [1,\n',
    'script.py': 'import sys\nsys.exit(3)\n',
    'imports.py': 'import no_such_package\n',
    'custom.py': "custom_imports = dict(imports=['no_such_package'])\n",
    'twice.py': f"_base_ = ['{ROOT}/configs/_base_/lars_100e.py', './other.py']\n",
    'other.py': 'optim_wrapper = dict()\n',
    'nothing.py': 'a = 1\n',
    'old.py': "model = dict(type='FasterRCNN')\ndata = dict()\noptimizer = dict(type='SGD', lr=0.1)\n",
    'mmseg.py': (
        "default_scope = 'mmseg'\nmodel = dict(type='EncoderDecoder')\ntrain_dataloader = dict()\n"
        'train_cfg = dict()\noptim_wrapper = dict()\n'
    ),
    'model.py': 'model = 3\ntrain_dataloader = dict()\ntrain_cfg = dict()\noptim_wrapper = dict()\n',
}

#: A detector on the images of ``coco.json``, which trains two steps.
DETECTOR = """
_base_ = '{root}/configs/quickstart/faster-rcnn_r18fpn_digits_scratch.py'
images = dict(data_root='{world}/', ann_file='coco.json', data_prefix=dict(img='coco/'), metainfo=dict(classes=('a',)))
train_dataloader = dict(batch_size=2, num_workers=0, persistent_workers=False, dataset=images)
val_dataloader = dict(num_workers=0, persistent_workers=False, dataset=images)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file='{world}/coco.json')
test_evaluator = val_evaluator
model = dict(
    backbone=dict(base_channels=8, stem_channels=8),
    neck=dict(in_channels=[8, 16, 32, 64], out_channels=8),
    rpn_head=dict(in_channels=8, feat_channels=8),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=8),
        bbox_head=dict(in_channels=8, conv_out_channels=8, fc_out_channels=8, num_classes=1),
    ),
)
train_cfg = dict(max_iters=2, val_interval=2)
auto_scale_lr = dict(base_batch_size=None)
"""


@pytest.fixture(scope='module')
def world(images, proposal_file, tmp_path_factory):
    """A folder of all that the command lines name, and the placeholders for their places."""
    from mmengine.config import Config

    from mmsoco.registry import MODELS

    world = tmp_path_factory.mktemp('world')
    for name, content in CONFIGS.items():
        (world / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    (world / 'folder.py').mkdir()
    (world / 'file').write_text('here')
    (world / 'coco').mkdir()
    (world / 'empty').mkdir()
    boxes = []
    for i in range(2):
        cv2.imwrite(str(world / f'coco/{i}.jpg'), np.random.default_rng(i).integers(0, 255, (128, 128, 3), np.uint8))
        boxes.append(dict(id=i, image_id=i, category_id=1, bbox=[10, 10, 50, 50], area=2500, iscrowd=0))
    listed = [dict(id=i, file_name=f'{i}.jpg', width=128, height=128) for i in range(2)]
    truth = dict(images=listed, annotations=boxes, categories=[dict(id=1, name='a')])
    (world / 'coco.json').write_text(json.dumps(truth))
    (world / 'detector.py').write_text(DETECTOR.format(root=ROOT, world=world))
    (world / 'untested.py').write_text(
        "_base_ = './detector.py'\ntest_dataloader = None\ntest_evaluator = None\ntest_cfg = None\n"
    )
    (world / 'typo.py').write_text("_base_ = './detector.py'\noptim_wraper = dict(optimizer=dict(lr=0.5))\n")
    (world / 'hook.py').write_text("_base_ = './detector.py'\ndefault_hooks = dict(checkpoint=dict(max_keep_ckpt=1))\n")
    recipe = ROOT / 'configs/soco/soco_r50fpn_8xb256_400e_in1k.py'
    tiny = {key: value for key, value in shrink(recipe, images, proposal_file).items() if 'record' not in key}
    tiny.pop('custom_imports.imports')
    tiny['train_cfg.max_epochs'] = 1
    cfg = Config.fromfile(recipe)
    cfg.merge_from_dict(tiny)
    with MODELS.switch_scope_and_registry('mmsoco') as registry:
        model = registry.build(cfg.model)
    torch.save({'state_dict': model.state_dict(), 'meta': {}}, world / 'pretraining.pth')
    torch.save({'state_dict': {'conv1.weight': torch.zeros(1)}, 'meta': {}}, world / 'other.pth')
    cfg.dump(world / 'pretraining.py')
    options = ' '.join(f'{key}={str(value).replace(" ", "")}' for key, value in tiny.items())
    return dict(
        w=world,
        root=ROOT,
        images=images,
        proposals=proposal_file,
        recipe=recipe,
        tiny=f'tools/train.py {recipe} --work-dir {{out}} --cfg-options {options}',
        detector=f'tools/train.py {world}/detector.py --work-dir {{out}} --cfg-options model.backbone.depth=18',
        test=f'tools/test.py {world}/detector.py',
    )


@pytest.fixture(autouse=True)
def unformatted(monkeypatch):
    """Yapf would take seconds for each config that a run logs."""
    monkeypatch.setattr('yapf.yapflib.yapf_api.FormatCode', lambda text, **style: (text, False))


#: Command line -> words of its line. What stands in braces are the world's places.
COMMAND_LINES = {
    # Configs that are none.
    **{
        f'tools/train.py {{w}}/{name} --work-dir {{out}}': words
        for name, words in {
            'gone.py': 'does not exist',
            'folder.py': 'is a folder',
            'syntax.py': 'syntax.py cannot be read: line 1',
            'name.py': 'name.py cannot be read: line 1: NameError',
            'division.py': 'ZeroDivisionError',
            'no_base.py': 'gone.py',
            'cycle_a.py': '_base_',
            'no_package.py': 'mmseg',
            'latin1.py': 'UTF-8',
            'empty.py': 'has no model',
            'config.txt': '.py',
            'broken.json': 'broken.json cannot be read',
            'list.json': 'list.json cannot be read',
            'broken.yaml': 'broken.yaml cannot be read',
            'script.py': 'script.py cannot be read',
            'imports.py': 'no_such_package',
            'custom.py': 'no_such_package',
            'twice.py': 'Duplicate key',
            'nothing.py': 'has no model',
            'old.py': 'has no train_dataloader',
            'mmseg.py': 'EncoderDecoder',
            'model.py': 'has no model',
            'typo.py': 'optim_wraper; did you mean optim_wrapper',
            'hook.py': 'max_keep_ckpt; did you mean max_keep_ckpts',
        }.items()
    },
    # Options that cannot be read or applied.
    '{tiny} train_cfg.max_epochs': 'has no =',
    '{tiny} model.pairs=[(v1,v2)': 'bracket',
    '{tiny} =3': 'name',
    '{tiny} model..x=3': 'model..x',
    '{tiny} model.=3': 'model.',
    '{tiny} model.0.depth=3': 'model.type is',
    '{tiny} default_hooks.checkpoint.interval.x=3': 'interval is 1, and has no x',
    '{tiny} load_from.x=3': 'load_from',
    '{detector} param_scheduler.end=3': 'param_scheduler is a list',
    '{detector} param_scheduler.7.end=3': 'param_scheduler',
    '{detector} train_dataloader.dataset.pipeline.Resize=3': 'is a list',
    # Keys that nothing reads.
    '{tiny} total_batchsize=8': 'did you mean total_batch_size',
    '{tiny} optim_wraper.optimizer.lr=8': 'did you mean optim_wrapper',
    '{tiny} norm_cfg.type=GN': 'norm_cfg was used while the file was read',
    '{detector} data_root=x': 'data_root was used while the file was read',
    '{tiny} foo=8': 'nothing reads foo',
    '{tiny} optim_wrapper.optimizers.lr=8': 'did you mean optimizer',
    '{tiny} model.backbone.dept=18': 'did you mean depth',
    '{tiny} default_hooks.health.intervals=8': 'did you mean interval',
    '{tiny} default_hooks.checkpoint.max_keep_ckpt=1': 'did you mean max_keep_ckpts',
    '{tiny} default_hooks.heallth=None': 'did you mean health',
    '{tiny} default_hooks.proobe.interval=3': 'default_hooks has no proobe',
    '{tiny} ' + PIPELINE + '.views.v1.sizes=64': 'did you mean size',
    '{detector} model.test_cfg.rcnn.score_thrr=0.1': 'did you mean score_thr',
    '{detector} model.test_cfg.rcn.score_thr=0.1': 'did you mean rcnn',
    '{detector} train_cfg.max_iter=1': 'did you mean max_iters',
    '{tiny} train_dataloader.batch_size=0': 'total_batch_size',
    # Values that do not go.
    '{tiny} total_batch_size=0': 'total_batch_size 0',
    '{tiny} total_batch_size=-4': 'total_batch_size -4',
    '{tiny} total_batch_size=many': 'total_batch_size',
    '{tiny} total_batch_size=4.5': 'total_batch_size',
    '{tiny} total_batch_size=64': '8 images are less than one batch of 64',
    '{tiny} train_dataloader.num_workers=-1': 'num_workers',
    '{tiny} train_dataloader.num_workers=x': "num_workers was a number, 8, and now is 'x'",
    '{tiny} train_cfg.max_epochs=0': 'max_epochs',
    '{tiny} train_cfg.max_epochs=-1': 'max_epochs',
    '{tiny} train_cfg.max_epochs=x': 'max_epochs',
    '{tiny} train_cfg=None': 'has no train_cfg',
    '{tiny} model=None': 'has no model',
    '{tiny} model.type=SoCoAlgoritm': 'model.type: there is no SoCoAlgoritm; did you mean SoCoAlgorithm',
    '{tiny} model.backbone.type=mmdet.ResNett': 'there is no mmdet.ResNett; did you mean ResNe',
    '{tiny} model.backbone.depth=19': '19',
    '{tiny} model.backbone.depth=x': 'depth',
    '{tiny} model.neck.in_channels=8': 'in_channels',
    '{tiny} model.neck.in_channels=[8,16,32,65]': 'fit together',
    '{tiny} default_hooks.health.type=HealtHook': 'did you mean HealthHook',
    '{tiny} default_hooks.logger.interval=x': 'interval',
    '{tiny} default_hooks.checkpoint.interval=x': 'interval',
    '{tiny} default_hooks.checkpoint.interval=0': 'interval',
    '{tiny} ' + PIPELINE + '.views.v1.augment.flip.type=Flop': 'there is no Flop',
    '{tiny} ' + PIPELINE + '.views.v1.size=x': 'size',
    '{tiny} optim_wrapper.optimizer.lr=high': 'lr',
    '{tiny} optim_wrapper.optimizer.type=LARSS': 'did you mean LARS',
    '{tiny} optim_wrapper=None': 'has no optim_wrapper',
    '{tiny} randomness.seed=x': 'seed',
    '{tiny} train_dataloader.dataset.proposal_file={w}/gone.arrow': 'gone.arrow does not exist',
    '{tiny} train_dataloader.dataset.data_root={w}/gone': 'gone',
    '{tiny} load_from={w}/gone.pth': 'gone.pth does not exist',
    '{detector} train_dataloader.dataset.ann_file=gone.json': 'gone.json',
    '{detector} train_dataloader.dataset.data_prefix.img=gone': 'gone',
    '{detector} val_evaluator.ann_file={w}/gone.json': 'gone.json',
    '{detector} train_dataloader.batch_size=0': 'batch_size',
    '{detector} train_dataloader.batch_size=x': 'batch_size',
    '{detector} train_dataloader.drop_last=True train_dataloader.batch_size=8 '
    'train_dataloader.sampler.type=DefaultSampler': 'no batch',
    '{detector} train_cfg.max_iters=0': 'max_iters',
    '{detector} model.roi_head.bbox_head.num_classes=x': 'bbox_head.py',
    '{detector} model.roi_head.bbox_head.in_channels=9': '',
    '{detector} custom_imports.imports=[no_such_module]': 'no_such_module',
    # Arguments.
    '{tiny} --work-dir {w}/file': 'file is no folder',
    '{tiny} --work-dir {w}/file/below': 'file is no folder',
    "{tiny} --work-dir ''": 'work-dir',
    '{tiny} --work-dir /proc/here': '/proc',
    '{tiny} --accumulate 0': 'accumulate',
    '{tiny} --accumulate -1': 'accumulate',
    '{tiny} --accumulate x': 'accumulate',
    '{tiny} --accumulate 3': 'does not divide',
    '{detector} --accumulate 2': '--accumulate is for pretraining',
    '{detector} auto_scale_lr.base_batch_size=16': 'add --auto-scale-lr to the command',
    '{detector} auto_scale_lr.base_batch_size=x --auto-scale-lr': 'base_batch_size',
    '{detector} --auto-scale-lr': 'auto_scale_lr.base_batch_size=16',
    '{tiny} --auto-scale-lr': '--auto-scale-lr is for fine-tuning',
    '{tiny} --amp=fp8': 'fp8 is none of fp16, bf16',
    '{tiny} --amp fp16': '--amp fp16 needs CUDA',
    '{tiny} env_cfg.tf32=maybe': 'env_cfg.tf32',
    '{tiny} --device gpu': 'device',
    '{tiny} --device cuda': '--device cuda: there is none',
    '{tiny} --launcher pytorch': 'mmsoco train --processes',
    '{tiny} --launcher slurm': 'slurm',
    '{tiny} --launcher mpi': 'mpi',
    '{tiny} --launcher foo': 'launcher',
    '{tiny} --resume {w}/gone.pth': 'gone.pth does not exist',
    '{tiny} --resume {w}/file': 'file is no checkpoint',
    '{tiny} --resume {w}/other.pth': 'other.pth',
    'tools/train.py': 'config',
    # Testing.
    'tools/test.py {recipe} {w}/pretraining.pth': 'mmsoco probe',
    'tools/test.py {w}/untested.py {w}/pretraining.pth': 'has no test_dataloader, test_evaluator, test_cfg',
    'tools/test.py {w}/syntax.py {w}/pretraining.pth': 'syntax.py cannot be read',
    '{test} {w}/gone.pth': 'gone.pth does not exist',
    '{test} {w}/file': 'is no checkpoint',
    '{test} {w}/pretraining.pth --work-dir {out}': 'pretraining.pth is not of this model',
    '{test} {w}/other.pth --work-dir {out}': 'other.pth is not of this model',
    '{test} {w}/pretraining.pth --out {w}/pretraining.pth': 'pretraining.pth is',
    '{test} {w}/pretraining.pth --out {w}/detector.py': 'detector.py is',
    '{test} {w}/pretraining.pth --out {w}/coco.json': 'coco.json is',
    '{test} {w}/pretraining.pth --out {w}/empty': 'is a folder',
    '{test} {w}/pretraining.pth --work-dir {w}/file': 'file is no folder',
    '{test} {w}/pretraining.pth --work-dir {out} --cfg-options test_evaluator.ann_file={w}/gone.json': 'gone.json',
    '{test} {w}/pretraining.pth --work-dir {out} --cfg-options test_dataloder.num_workers=0': 'test_dataloader',
    # The probe.
    'tools/probe.py {w}/pretraining.pth': 'configs beside',
    'tools/probe.py {w}/gone.pth --config {w}/pretraining.py': 'gone.pth does not exist',
    'tools/probe.py {w}/pretraining.pth --config {w}/nothing.py': 'has no model',
    'tools/probe.py {w}/pretraining.pth --config {w}/name.py': 'name.py cannot be read',
    'tools/probe.py {w}/pretraining.pth --config {w}/pretraining.py --device cuda:99': 'cuda:99',
    'tools/probe.py {w}/pretraining.pth --config {w}/pretraining.py --device tpu9': 'tpu9',
    'tools/probe.py {w}/pretraining.pth --config {w}/pretraining.py --size 33': '--size 33',
    'tools/probe.py {w}/pretraining.pth --config {w}/pretraining.py --proposals {w}/gone.arrow': 'gone.arrow',
    'tools/probe.py {w}/pretraining.pth --config {w}/pretraining.py --json {w}/pretraining.pth': 'pretraining.pth is',
    'tools/probe.py {w}/pretraining.pth --config {w}/detector.py --json {w}/detector.py': 'detector.py is',
    'tools/probe.py {w}/pretraining.pth --config {w}/pretraining.py --proposals {w}/file --json {w}/file': 'file is',
    'tools/probe.py {w}/other.pth --config {w}/detector.py --proposals {proposals}': 'does not hold the backbone',
    # Files of weights.
    'tools/extract_backbone.py {w}/gone.pth {w}/x.pth': 'gone.pth does not exist',
    'tools/extract_backbone.py {w}/file {w}/x.pth': 'no checkpoint',
    'tools/extract_backbone.py {w}/pretraining.pth {w}/pretraining.pth': 'is the checkpoint to read',
    'tools/extract_backbone.py {w}/pretraining.pth {w}/x.txt': 'should end in',
    'tools/extract_backbone.py {w}/pretraining.pth {w}/file/x.pth': 'cannot be written',
    'tools/extract_backbone.py {w}/pretraining.pth {w}/x.pth --target keras': "tool 'keras' is unknown",
    'tools/extract_backbone.py {w}/coco {w}/x.pth': 'coco',
    'tools/model_converters/soco_official.py {w}/gone.pth {w}/x.pth': 'gone.pth does not exist',
    'tools/model_converters/soco_official.py {w}/pretraining.pth {w}/pretraining.pth --reverse': 'pretraining.pth is',
    'tools/model_converters/soco_official.py {w}/other.pth {w}/x.pth': 'other.pth',
    # Figures and data.
    'tools/visualize/proposals.py {out} {w}/gone.arrow': 'gone.arrow',
    'tools/visualize/proposals.py {out} {w}/file': 'file is not a proposal file',
    'tools/visualize/proposals.py {w}/file {proposals}': 'file holds proposals',
    'tools/visualize/proposals.py {w}/file/below {proposals}': 'cannot be written',
    'tools/visualize/proposals.py {out} {proposals} --images {w}/empty': 'empty',
    'tools/visualize/quickstart.py {w}/empty': 'proposals.arrow',
    'tools/visualize/quickstart.py {w}/gone': 'proposals.arrow',
    'tools/proposal_recall.py {proposals} {w}/file': 'file',
    'tools/proposal_recall.py {proposals} {w}/list.json': 'list.json',
    'tools/proposal_recall.py {proposals} {w}/coco.json --json {w}/coco.json': 'coco.json is',
    'tools/benchmarks/proposals.py {w}/gone': 'gone is not a folder',
    'tools/quickstart.py --seeds 0': 'seeds',
    'data_pipelines/selective_search.py {w}/gone {out}': 'gone is not a folder',
    'data_pipelines/selective_search.py {images} {w}/file --jobs 1': 'file',
    'data_pipelines/selective_search.py {images} {w}/file/below --jobs 1': 'file',
    'data_pipelines/random_proposals.py {images} {out} --list {w}/latin1.py': 'latin1.py',
    'data_pipelines/filter_proposals.py {w}/gone {w}/x.arrow': 'gone',
    'data_pipelines/filter_proposals.py {w}/empty {w}/x.arrow': 'empty',
    'data_pipelines/coco_list.py {w}/coco {w}/x.txt': 'train2017',
    'data_pipelines/imagenet_list.py {images} {w}/file/x.txt': 'file',
    'data_pipelines/mini_coco.py {w}/broken.json --percent 5': 'broken.json',
    'data_pipelines/mini_coco.py {w}/list.json --percent 5': 'list.json',
    'data_pipelines/mini_coco.py {w}/coco.json {w}/x.json --percent 0': 'percent',
    'data_pipelines/convert_proposals.py {w}/gone.json {w}/x.arrow --images {images}': 'gone.json',
    'data_pipelines/convert_proposals.py {w}/broken.json {w}/x.arrow --images {images}': 'broken.json',
    'data_pipelines/sample_data.py {w}/file --wheel {w}/gone': 'file exists already',
    'data_pipelines/sample_data.py {w}/data --wheel {w}/gone': 'gone',
    'data_pipelines/sample_data.py {w}/file/data --wheel {w}/gone': 'file',
}

script = cache(load_script)


def call(line: str, places: dict, capsys, monkeypatch) -> tuple[object, list[str], str]:
    """Exit status or exception, the lines of stderr, and the whole of it."""
    tool, *arguments = shlex.split(line.format(**places).format(**places))
    monkeypatch.setattr(sys, 'argv', [tool, *arguments])
    monkeypatch.chdir(places['w'])
    sys.path.insert(0, str(ROOT / tool).rpartition('/')[0])
    try:
        script(tool).main()
        status = 0
    except SystemExit as stop:
        status = stop.code or 0
    except BaseException as error:
        status = error
    finally:
        sys.path.pop(0)
        # Loggers write to what was stderr then.
        DefaultScope._instance_dict.clear()
        MMLogger._instance_dict.clear()
    err = capsys.readouterr().err
    return status, err.splitlines(), err


def contents(folder: Path) -> dict[str, bytes | None]:
    """Path -> content of all below a folder."""
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None for p in folder.rglob('*')}


def marked(line: str) -> object:
    """Slow where a detector is built."""
    return pytest.param(line, marks=[pytest.mark.slow] if line.startswith(('{detector}', '{test}')) else [])


@pytest.mark.parametrize('line', map(marked, COMMAND_LINES))
def test_a_wrong_command_line_is_one_line_and_status_2(line, world, tmp_path, capsys, monkeypatch):
    before = contents(world['w'])
    status, lines, err = call(line, {**world, 'out': tmp_path / 'out'}, capsys, monkeypatch)
    assert not isinstance(status, BaseException), f'{type(status).__name__}: {status}'
    assert status == 2, err
    said = [text for text in lines if text.startswith('error: ') or ': error: ' in text]
    assert len(said) == 1 and 'Traceback' not in err, err
    assert COMMAND_LINES[line] in said[0]
    assert contents(world['w']) == before
    # A run's folder may hold its log, and nothing that it has made.
    assert not list(tmp_path.rglob('*.pth'))


def test_a_full_disk_is_one_line_at_any_time(world, tmp_path, capsys, monkeypatch):
    """Here when the last checkpoint is written, after all steps."""

    def put(*args):
        raise OSError(errno.ENOSPC, 'No space left on device', '/disk/epoch_1.pth')

    monkeypatch.setattr('mmsoco.engine.hooks.checkpoint.AtomicLocalBackend.put', put)
    status, lines, err = call('{tiny} default_hooks.logger.interval=1', {**world, 'out': tmp_path}, capsys, monkeypatch)
    assert status == 2 and 'Traceback' not in err
    said = [line for line in lines if line.startswith('error: ')]
    assert said == [
        'error: the disk of /disk/epoch_1.pth is full or read-only (/disk/epoch_1.pth: No space left on device); '
        'free some, and go on'
    ]


def test_errors_after_the_first_step_are_shown(world, tmp_path, capsys, monkeypatch):
    """They are no matter of the command line."""

    def put(*args):
        raise ValueError('a bug')

    monkeypatch.setattr('mmsoco.engine.hooks.checkpoint.AtomicLocalBackend.put', put)
    status, _, err = call('{tiny} default_hooks.logger.interval=1', {**world, 'out': tmp_path}, capsys, monkeypatch)
    assert isinstance(status, ValueError) and 'error: ' not in err


def test_a_read_only_folder(world, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr('mmsoco.files.os.access', lambda path, mode: False)
    status, lines, _ = call('{tiny} model.backbone.depth=18', {**world, 'out': tmp_path / 'out'}, capsys, monkeypatch)
    assert status == 2
    assert lines == [f'error: {tmp_path} may not be written, so {tmp_path}/out cannot be; name another folder']


@pytest.mark.slow
def test_a_detectors_right_command_lines(world, tmp_path, capsys, monkeypatch):
    """What is refused of others is not refused of these."""
    places = {**world, 'out': tmp_path}
    options = 'model.backbone.frozen_stages=1 train_dataloader.drop_last=True default_hooks.mine.type=EmptyCacheHook'
    status, _, err = call(f'{{detector}} {options}', places, capsys, monkeypatch)
    assert status == 0, err
    status, _, err = call('{test} {out}/iter_2.pth --work-dir {out} --out {out}/m.json', places, capsys, monkeypatch)
    assert status == 0, err
    assert 'coco/bbox_mAP' in json.loads((tmp_path / 'm.json').read_text())
