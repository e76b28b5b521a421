"""The probe on a run that has learned its images by heart."""

import json

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import HistoryBuffer
from mmengine.registry import DefaultScope
from safetensors.torch import save_file

from mmsoco.checkpoints.extract import extract
from mmsoco.errors import UserError
from mmsoco.probe.run import probe
from mmsoco.probe.weights import load_network


@pytest.fixture(scope='module')
def figures(learned, proposal_file, tmp_path_factory):
    out = tmp_path_factory.mktemp('probe') / 'figures.json'
    table = probe(learned / 'iter_160.pth', proposals=proposal_file, boxes=60, out=out)
    return json.loads(out.read_text()), table


def test_what_is_learned_ranks_above_random_weights(figures):
    figures, table = figures
    weights, random = figures['weights'], figures['random']
    assert list(weights) == list(random) == ['backbone', 'neck', 'head', 'embedding']
    # Of some 70 boxes a single figure is a matter of a few: together they are more.
    names = ('top1', 'top5', 'own_image')
    for stage in ('head', 'embedding'):
        found, by_random, by_chance = (
            sum(row[prefix + name] for name in names)
            for row, prefix in ((weights[stage], ''), (random[stage], ''), (weights[stage], 'chance_'))
        )
        assert found > 1.2 * by_random and found > 1.2 * by_chance
    assert 'own box nearest of all' in table and 'held-out images, among' in table


def test_the_same_weights_give_the_same_figures(figures, learned, proposal_file, tmp_path):
    probe(learned / 'iter_160.pth', proposals=proposal_file, boxes=60, out=tmp_path / 'again.json')
    assert json.loads((tmp_path / 'again.json').read_text()) == figures[0]


@pytest.mark.parametrize('ending', ['.pth', '.safetensors'])
def test_a_bare_backbone_is_measured_alone(figures, learned, proposal_file, tmp_path, ending):
    """In torchvision's names, by the config of the pretraining: equal to the backbone there."""
    extract(learned / 'iter_160.pth', tmp_path / f'bare{ending}', 'backbone')
    config = next(learned.glob('*.py'))
    probe(tmp_path / f'bare{ending}', config, proposal_file, boxes=60, out=tmp_path / 'figures.json')
    found = json.loads((tmp_path / 'figures.json').read_text())
    assert list(found['weights']) == ['backbone']
    assert found['weights']['backbone'] == figures[0]['weights']['backbone']


def test_a_detector_filled_by_the_pretraining_has_its_features(figures, learned, proposal_file, root, tmp_path):
    pretraining = Config.fromfile(next(learned.glob('*.py'))).model
    detector = Config.fromfile(root / 'configs/transfer/coco/mask-rcnn_r50fpn_soco_1x.py')
    norm = dict(type='BN', requires_grad=True)
    detector.merge_from_dict(
        {
            'model.backbone': {k: pretraining.backbone[k] for k in ('depth', 'base_channels', 'stem_channels')},
            'model.neck.in_channels': pretraining.neck.in_channels,
            'model.neck.out_channels': 16,
            'model.rpn_head.in_channels': 16,
            'model.rpn_head.feat_channels': 4,
            'model.roi_head.bbox_roi_extractor.out_channels': 16,
            'model.roi_head.mask_roi_extractor.out_channels': 16,
            'model.roi_head.mask_head': dict(in_channels=16, conv_out_channels=4),
            'model.roi_head.bbox_head': dict(in_channels=16, conv_out_channels=16, fc_out_channels=8, norm_cfg=norm),
        }
    )
    detector.dump(tmp_path / 'detector.py')
    probe(learned / 'iter_160.pth', tmp_path / 'detector.py', proposal_file, size=64, boxes=60, out=tmp_path / 'f.json')
    found = json.loads((tmp_path / 'f.json').read_text())['weights']
    assert list(found) == ['backbone', 'neck', 'head']
    # Its levels are assigned in proportion to the view, the pretraining's by its config: the backbone has none.
    assert found['backbone'] == pytest.approx(figures[0]['weights']['backbone'])
    # Of 72 boxes one more or less is 1.4 %.
    assert found['head']['top5'] > 1.2 * found['head']['chance_top5']


def test_weights_of_another_backbone_are_refused(learned, proposal_file, tmp_path):
    save_file({'layer1.0.conv1.weight': torch.zeros(2)}, tmp_path / 'other.safetensors')
    with pytest.raises(UserError, match=r'the backbone of the config: backbone\.conv1\.weight is missing in it'):
        probe(tmp_path / 'other.safetensors', next(learned.glob('*.py')), proposal_file)


def test_without_images_or_config(learned, tmp_path):
    with pytest.raises(UserError, match='no images to measure on; give a proposal file'):
        probe(learned / 'iter_160.pth')
    with pytest.raises(UserError, match=r'no config beside .*; name the one of its model: --config FILE'):
        probe(tmp_path / 'weights.pth')


def test_a_head_is_not_measured_through_a_neck_that_is_not_the_checkpoints(learned, proposal_file, tmp_path):
    state = torch.load(learned / 'iter_160.pth', weights_only=True)['state_dict']
    torch.save({k: v for k, v in state.items() if not k.startswith('neck.fpn_convs.3')}, tmp_path / 'part.pth')
    table = probe(tmp_path / 'part.pth', next(learned.glob('*.py')), proposal_file, boxes=60, out=tmp_path / 'f.json')
    assert list(json.loads((tmp_path / 'f.json').read_text())['weights']) == ['backbone']
    assert table.splitlines()[-1].startswith('up to the backbone: of what follows, neck.fpn_convs.3')


def test_names_in_wrappers_are_known(learned, tmp_path, capsys):
    cfg = Config.fromfile(next(learned.glob('*.py')))
    weights = torch.load(learned / 'iter_160.pth', weights_only=True)['state_dict']
    torch.save({'model': {f'module.{name}': t for name, t in weights.items()}}, tmp_path / 'wrapped.pth')
    with DefaultScope.overwrite_default_scope('mmsoco'):
        model, *found = load_network(cfg, tmp_path / 'wrapped.pth')
        _, *expected = load_network(cfg, learned / 'iter_160.pth')
    assert found == expected and len(found[0]) > 1
    assert torch.equal(model.backbone.conv1.weight, weights['backbone.conv1.weight'])
    assert "'module.' is taken off its names" in ''.join(capsys.readouterr())


def test_a_checkpoint_with_mmengines_log_is_read_and_one_with_code_is_not(learned, proposal_file, tmp_path):
    config = next(learned.glob('*.py'))
    torch.save({'state_dict': {}, 'message_hub': {'loss': HistoryBuffer([1.0], [1])}}, tmp_path / 'mmengine.pth')
    with pytest.raises(UserError, match='holds no weights'):
        probe(tmp_path / 'mmengine.pth', config, proposal_file)
    torch.save({'state_dict': {}, 'config': Config()}, tmp_path / 'code.pth')
    with pytest.raises(UserError, match=r'it holds mmengine\.config\.config\.\S+, which could run code') as error:
        probe(tmp_path / 'code.pth', config, proposal_file)
    assert '\n' not in str(error.value) and '\x1b' not in str(error.value)


def test_images_that_the_config_holds_out_are_the_default(learned, tmp_path):
    """The hook of a config says which, also where the data set does not."""
    cfg = Config.fromfile(next(learned.glob('*.py')))
    cfg.default_hooks.probe = dict(type='ProbeHook', interval=10, images=4)
    cfg.dump(tmp_path / 'config.py')
    assert 'boxes of 2 held-out images' in probe(learned / 'iter_160.pth', tmp_path / 'config.py', boxes=60)


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        (dict(size=100), '--size 100 does not fit the strides of a network; give a multiple of 32'),
        (dict(device='nonsense'), '--device nonsense cannot be used'),
        (dict(labels='labels.json'), '--labels and --labelled-images go together'),
        (dict(out='.'), 'is a folder; name a file in it'),
    ],
)
def test_what_cannot_work_is_refused_at_once(options, words):
    with pytest.raises(UserError, match=words):
        probe('never/looked/at.pth', **options)
