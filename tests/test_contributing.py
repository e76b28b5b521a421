"""The examples of CONTRIBUTING.md do what it says, and touch nothing else."""

import importlib
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.registry import DefaultScope
from shrinking import shrink

from mmsoco.checkpoints import tools
from mmsoco.checkpoints.extract import extract
from mmsoco.checkpoints.pretraining import Origin, transferable_weights
from mmsoco.checkpoints.transfer import plan_transfer
from mmsoco.datasets import ProposalDataset
from mmsoco.engine.launch import train
from mmsoco.engine.loops import try_out
from mmsoco.errors import UserError
from mmsoco.proposals.cli import parser, propose
from mmsoco.proposals.convert import export_boxes, import_boxes
from mmsoco.proposals.filters import ProposalFilter, filter_folder
from mmsoco.proposals.registry import FORMATS, GENERATORS
from mmsoco.proposals.store import ProposalStore
from mmsoco.registry import MODELS, TRANSFORMS


@pytest.fixture(scope='module')
def examples(root):
    """Heading -> its Python blocks."""
    _, *sections = re.split(r'^### ', (root / 'CONTRIBUTING.md').read_text(), flags=re.MULTILINE)
    return {section.partition('\n')[0]: re.findall(r'```python\n(.*?)```', section, re.DOTALL) for section in sections}


@pytest.fixture
def added(tmp_path, monkeypatch):
    """A function that makes a module of a block, which worker processes can import, too."""
    monkeypatch.syspath_prepend(str(tmp_path))
    names = []

    def add(block):
        name = f'added_{re.match(r"# mmsoco/.*/(.+)[.]py", block)[1]}'
        (tmp_path / f'{name}.py').write_text(block)
        names.append(name)
        return importlib.import_module(name)

    yield add
    for name in names:
        sys.modules.pop(name, None)


@pytest.fixture(autouse=True)
def registries(monkeypatch):
    """What an example registers is forgotten afterwards."""
    for registry in (GENERATORS, FORMATS):
        monkeypatch.setattr(registry, '_classes', dict(registry))
    for registry in (MODELS, TRANSFORMS):
        monkeypatch.setattr(registry, '_module_dict', dict(registry._module_dict))


@pytest.fixture
def narrow(root, tmp_path, images, proposal_file):
    """A function that trains a recipe that inherits ours, small, for two epochs of two steps."""

    def narrow(block, work_dir='out', **options):
        config = tmp_path / 'recipe.py'
        base = root / 'configs/soco/soco_r50fpn_8xb256_100e_in1k.py'
        config.write_text(block.replace("'./soco_r50fpn_8xb256_100e_in1k.py'", f"'{base}'"))
        small = shrink(base, images, proposal_file)
        given = Config.fromfile(config).model
        # Of parts that the recipe replaces, the paper's sizes are of no use.
        small = {
            key: value
            for key, value in small.items()
            if not key.startswith('model.') or (key.split('.')[1] in given and key.split('.')[1] not in options)
        }
        for part, changes in options.items():
            small |= {f'model.{part}.{key}': value for key, value in changes.items()}
        return train(config, str(tmp_path / work_dir), resume='auto', amp=False, options=small)

    return narrow


def test_files_are_found_where_they_are_put(examples, root, tmp_path):
    """A package with each example at the place that its first line names, and nothing else changed."""
    shutil.copytree(root / 'mmsoco', tmp_path / 'mmsoco')
    for blocks in examples.values():
        if place := re.match(r'# (mmsoco/.+\.py)\n', blocks[0]):
            (tmp_path / place[1]).write_text(blocks[0])
    code = """
import mmsoco
from mmengine.config import Config
from mmsoco.config import is_pretraining
from mmsoco.proposals.registry import FORMATS, GENERATORS
from mmsoco.registry import TRANSFORMS
assert is_pretraining(Config(dict(default_scope='mmsoco', model=dict(type='ImageBYOL'))))
print(mmsoco.__file__, 'parts' in GENERATORS, 'lines' in FORMATS, TRANSFORMS.get('mmsoco.Invert').__name__)
"""
    env = {**os.environ, 'PYTHONPATH': str(tmp_path)}
    run = subprocess.run([sys.executable, '-c', code], env=env, cwd=tmp_path, capture_output=True, text=True)
    assert run.stdout.split() == [str(tmp_path / 'mmsoco/__init__.py'), 'True', 'True', 'Invert'], run.stderr


def test_a_generator(examples, added, images, tmp_path):
    added(examples['A proposal generator'][0])
    arguments = [str(images), str(tmp_path / 'raw'), '--generator', 'parts', '--parts', '4', '--jobs', '1']
    assert propose(parser('Propose.', 'selective_search').parse_args(arguments)) == 0
    filter_folder(tmp_path / 'raw', tmp_path / 'p.arrow', ProposalFilter(9, (0, 1), 0))
    store = ProposalStore.open(tmp_path / 'p.arrow')
    assert store.header['generator'] == {'name': 'parts', 'parts': 4}
    row = store[0]
    last = [row.width * 3 // 4, row.height * 3 // 4, row.width, row.height]
    assert len(row.boxes) == 16 and row.boxes[-1].tolist() == last


def test_a_format(examples, added, images, proposal_file, tmp_path):
    added(examples['A format of boxes'][0])
    export_boxes(proposal_file, tmp_path / 'boxes.txt')
    import_boxes(tmp_path / 'boxes.txt', tmp_path / 'back.arrow', images)
    before, after = ProposalStore.open(proposal_file), ProposalStore.open(tmp_path / 'back.arrow')
    assert after.header['generator']['name'] == 'lines' and len(after) == len(before)
    for a, b in zip(before, after, strict=True):
        assert a.file_name == b.file_name and {*map(tuple, a.boxes.tolist())} == {*map(tuple, b.boxes.tolist())}


def test_a_target_of_export(examples, monkeypatch, tiny_model_cfg, tmp_path):
    exec(examples['A target of export'][0], namespace := dict(vars(tools)))
    monkeypatch.setitem(tools.TOOLS, 'prefixed', namespace['prefixed'])
    model = MODELS.build(tiny_model_cfg)
    torch.save({'state_dict': model.state_dict(), 'meta': {}}, tmp_path / 'epoch_1.pth')
    path, table = extract(tmp_path / 'epoch_1.pth', tmp_path / 'out.pth', 'prefixed')
    weights = torch.load(path, weights_only=True)['state_dict']
    assert torch.equal(weights['encoder.conv1.weight'], model.backbone.conv1.weight)
    assert len(weights) == len(model.backbone.state_dict()) and 'left: no part of the backbone' in table


def test_a_view_augmentation(examples, added, root, tmp_path, images, proposal_file):
    transform, config = examples['A view augmentation']
    added(transform)
    base = root / 'configs/soco/soco_r50fpn_8xb256_100e_in1k.py'
    path = tmp_path / 'recipe.py'
    path.write_text(config.replace("'./soco_r50fpn_8xb256_100e_in1k.py'", f"'{base}'"))
    with DefaultScope.overwrite_default_scope('mmsoco'):
        datasets = [
            ProposalDataset(proposal_file, Config.fromfile(p).train_dataloader.dataset.pipeline, images)
            for p in (path, base)
        ]
    assert [type(step).__name__ for step in datasets[0].pipeline[1].augments['v2']][-1] == 'Invert'
    changed = []
    for epoch in range(12):
        mine, theirs = (dataset[epoch, 0]['inputs'] for dataset in datasets)
        # Views come in order: what V2 draws besides moves the third one's dice, not the first one's.
        np.testing.assert_array_equal(mine['v1'], theirs['v1'])
        changed.append(not np.array_equal(mine['v2'], theirs['v2']))
        np.testing.assert_array_equal(mine['v2'], 255 - theirs['v2'] if changed[-1] else theirs['v2'])
    assert 0 < sum(changed) < 12


def test_a_method(examples, added, narrow, tmp_path):
    """Trained, resumed and transferred by what there is."""
    method, config = examples['A pretraining method']
    added(method)
    sizes = dict(
        backbone=dict(depth=18, base_channels=8, stem_channels=8),
        projector=dict(in_channels=64, hid_channels=16, out_channels=8),
        predictor=dict(in_channels=8, hid_channels=16, out_channels=8),
    )
    assert narrow(config, **sizes).iter == 4
    # Nothing is left to do, which is seen by its weights.
    first = torch.load(tmp_path / 'out/epoch_2.pth', weights_only=True)
    assert narrow(config, **sizes).iter == 4
    model = narrow(config, 'again', **sizes).model
    assert all(torch.equal(first['state_dict'][name], value) for name, value in model.state_dict().items())
    assert first['meta']['pretraining']['method'] == 'ImageBYOL'
    assert not torch.equal(model.backbone.conv1.weight, model.target.backbone.conv1.weight)

    with DefaultScope.overwrite_default_scope('mmdet'):
        from mmdet.registry import MODELS as MMDET_MODELS

        cfg = get_config('mmdet::retinanet/retinanet_r50_fpn_1x_coco.py').model
        cfg.backbone.update(init_cfg=None, **sizes['backbone'])
        cfg.neck.in_channels = [8, 16, 32, 64]
        detector = MMDET_MODELS.build(cfg)
    weights = transferable_weights(first['state_dict'], 'x', Origin.of(first))
    transfer = plan_transfer(weights, detector.state_dict())
    assert not transfer.problems and set(transfer.loaded) == {f'backbone.{n}' for n in model.backbone.state_dict()}
    extract(tmp_path / 'out/epoch_2.pth', tmp_path / 'resnet.pth', 'timm')


@pytest.mark.slow
def test_a_backbone_and_a_neck(examples, narrow, tmp_path):
    config = examples['A backbone or a neck of another family'][0]
    narrow(config, backbone=dict(arch='regnetx_400mf'), neck=dict(out_channels=4))
    state_dict = torch.load(tmp_path / 'out/epoch_2.pth', weights_only=True)['state_dict']
    # A detector with the same parts takes them; tools that want an FPN say that it is none.
    extract(tmp_path / 'out/epoch_2.pth', tmp_path / 'detector.pth')
    written = torch.load(tmp_path / 'detector.pth', weights_only=True)['state_dict']
    assert 'neck.convs.0.conv.weight' in written and len(written) < len(state_dict)
    weights = transferable_weights(state_dict, 'x', Origin.of(torch.load(tmp_path / 'out/epoch_2.pth')))
    assert not plan_transfer(weights, {name: torch.zeros_like(t) for name, t in weights.items()}).problems
    with pytest.raises(UserError, match="does not fit tool 'mmdet-p3': it needs an FPN"):
        extract(tmp_path / 'out/epoch_2.pth', tmp_path / 'p3.pth', 'mmdet-p3')


@pytest.mark.parametrize(
    ('neck', 'words'),
    [
        (dict(num_outs=5), '5 feature maps given, but max_sizes .* is for 4'),
        (dict(in_channels=[8, 16, 32, 32]), 'channels'),
        (dict(out_channels=6), '6 channels'),
    ],
)
def test_what_does_not_fit_is_refused(tiny_model_cfg, batch, neck, words):
    tiny_model_cfg['neck'].update(neck)
    with pytest.raises(UserError, match=f'the parts of the model do not fit together.*{words}') as error:
        try_out(MODELS.build(tiny_model_cfg), batch)
    assert '\n' not in str(error.value)


def test_it_is_refused_before_the_first_step(recipe, tiny_options, tmp_path):
    with pytest.raises(UserError, match='the parts of the model do not fit together'):
        train(recipe, str(tmp_path), amp=False, options={**tiny_options, 'model.neck.num_outs': 5})
    assert not list(tmp_path.glob('*.pth'))
