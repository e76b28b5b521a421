import ast
import re
from pathlib import Path

import pytest
import torch
from mmengine.hub import get_config
from mmengine.registry import DefaultScope

import mmsoco
from mmsoco.checkpoints.naming import KINDS, Layout, Place, place_of


@pytest.fixture(scope='module')
def names():
    """Of real detectors, by the name of their config."""
    from mmdet.registry import MODELS

    configs = {
        'cascade': 'cascade_rcnn/cascade-mask-rcnn_r50_fpn_1x_coco.py',
        'c4': 'mask_rcnn/mask-rcnn_r50-caffe-c4_1x_coco.py',
        'retinanet': 'retinanet/retinanet_r50_fpn_1x_coco.py',
    }
    names = {}
    with DefaultScope.overwrite_default_scope('mmdet'), torch.device('meta'):
        for kind, config in configs.items():
            names[kind] = list(MODELS.build(get_config(f'mmdet::{config}').model).state_dict())
    return names


def test_a_place_says_the_name_it_was_made_of(names):
    for of_model in names.values():
        assert [place_of(name).name for name in of_model] == of_model


@pytest.mark.parametrize(
    ('name', 'place'),
    [
        ('neck.lateral_convs.2.conv.weight', Place('lateral', 'conv.weight', 2)),
        ('neck.downsample_convs.0.conv.weight', Place('neck', 'downsample_convs.0.conv.weight')),
        ('roi_head.bbox_head.shared_convs.3.bn.bias', Place('box_conv', 'bn.bias', 3)),
        ('roi_head.bbox_head.1.shared_fcs.0.bias', Place('box_fc', 'bias', 0, stage=1)),
        ('roi_head.bbox_head.fc_cls.weight', Place('box_scores', 'weight')),
        ('roi_head.shared_head.layer4.0.conv1.weight', Place('shared_block', 'layer4.0.conv1.weight')),
        ('roi_head.shared_head.norm.bias', Place('shared_norm', 'bias')),
        ('bbox_head.retina_cls.weight', Place('dense_head', 'retina_cls.weight')),
        ('projector.fc0.weight', Place('other', 'projector.fc0.weight')),
    ],
)
def test_places(name, place):
    assert place_of(name) == place and place.name == name


def test_layouts(names):
    cascade, c4, retinanet = (Layout.of(names[kind]) for kind in ('cascade', 'c4', 'retinanet'))
    assert (cascade.levels, cascade.stages, cascade.is_two_stage, cascade.is_c4) == (4, 3, True, False)
    assert cascade.layers('box_fc') == {0, 1} and cascade.has_neck
    assert (c4.levels, c4.stages, c4.is_two_stage, c4.is_c4, c4.has_neck) == (0, 0, True, True, False)
    assert (retinanet.levels, retinanet.is_two_stage) == (3, False)
    # P3 to P7 of three maps of the backbone.
    assert retinanet.layers('output') == {0, 1, 2, 3, 4}
    assert Layout.of(['backbone.w', 'head.fc.w']).is_classifier and not retinanet.is_classifier
    assert set().union(*(layout.kinds for layout in (cascade, c4, retinanet))) <= set(KINDS)


def test_mmdets_names_are_known_once():
    """No other file of the package has them in a string that is no docstring."""
    words = {word for name in KINDS.values() for word in re.sub(r'{\w+}', '.', name).split('.') if word}
    # Of our own models, and of English.
    words -= {'backbone', 'neck', 'head', 'norm', 'roi_head'}
    assert {'lateral_convs', 'shared_fcs', 'bbox_head', 'mask_head', 'rpn_head'} <= words
    package = Path(mmsoco.__file__).parent
    found = []
    for path in sorted(package.glob('**/*.py')):
        tree = ast.parse(path.read_text())
        docstrings = {
            id(node.body[0].value)
            for node in ast.walk(tree)
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
            and node.body
            and isinstance(node.body[0], ast.Expr)
        }
        found += [
            path.relative_to(package).as_posix()
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings
            if any(word in node.value for word in words)
        ]
    # These ask modules that they run for their attributes.
    running = {'engine/hooks/transfer.py', 'models/roi_heads.py', 'probe/features.py'}
    # These change a detector's config, whose keys are called alike.
    fitting = {'compare/fitting.py', 'compare/own_data.py'}
    assert set(found) == {'checkpoints/naming.py'} | running | fitting
