"""Weights of other tools: real models of torchvision, timm and mmdet, with random numbers."""

import pytest
import timm
import torch
import torchvision
from foreign_weights import dino, mmpretrains, moco, resnet18, scrambled
from mmengine.hub import get_config
from mmengine.registry import DefaultScope
from torch.nn.functional import layer_norm
from torchvision.models.feature_extraction import create_feature_extractor

from mmsoco.checkpoints.backbones import backbone_names
from mmsoco.checkpoints.pretraining import Origin
from mmsoco.checkpoints.recognition import recognise
from mmsoco.errors import UserError
from mmsoco.registry import MODELS


def build(scope, **cfg):
    with DefaultScope.overwrite_default_scope(scope):
        model = MODELS.build(dict(init_cfg=None, **cfg))
    model.eval()  # of mmdet's this returns nothing
    return model


def resnet(depth):
    return build('mmdet', type='mmdet.ResNet', depth=depth)


def filled(backbone, content):
    """A backbone with what is recognised in a file; all of it but what no file has."""
    weights = recognise(content, 'x.pth')
    given = {name.removeprefix('backbone.'): tensor for name, tensor in weights.tensors.items()}
    missing, unexpected = backbone.load_state_dict(given, strict=False)
    assert not unexpected
    assert all(name.startswith('norm') or name.endswith('relative_position_index') for name in missing)
    return weights


def assert_features(backbone, maps, image, tolerance=1e-5):
    with torch.no_grad():
        for ours, theirs in zip(backbone(image), maps, strict=True):
            assert (ours - theirs).abs().max() <= tolerance * theirs.abs().max()


def torchvisions_maps(model, nodes, image):
    with torch.no_grad():
        return list(create_feature_extractor(model, nodes)(image).values())


STAGES = ['layer1', 'layer2', 'layer3', 'layer4']


@pytest.fixture(scope='module')
def image():
    return torch.randn(1, 3, 96, 64, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope='module')
def source():
    return resnet18()


@pytest.mark.parametrize(
    ('save', 'kind', 'left'),
    [
        (lambda m: m.state_dict(), 'a backbone (ResNet)', 2),
        (lambda m: {'state_dict': {f'module.{n}': t for n, t in m.state_dict().items()}}, 'a backbone (ResNet)', 2),
        (mmpretrains, 'a backbone (ResNet)', 1),
        (dino, 'a backbone (ResNet)', 1),
        (lambda m: moco(m, 2), "MoCo's, of its authors", 2 + 122 + 1),
        (lambda m: moco(m, 3), "MoCo's, of its authors", 2 + 122),
    ],
    ids=['torchvision', 'module', 'mmpretrain', 'DINO', 'MoCo 2', 'MoCo 3'],
)
def test_a_resnet_whoever_saved_it(source, image, save, kind, left):
    """Equal features in evaluation tell a load that is wrong."""
    backbone = resnet(18)
    weights = filled(backbone, save(source))
    assert weights.kind == kind and sum(map(len, weights.left.values())) == left
    assert_features(backbone, torchvisions_maps(source, STAGES, image), image)


def test_timms_resnet(image):
    model = scrambled(timm.create_model('resnet18'))
    backbone = resnet(18)
    filled(backbone, model.state_dict())
    with torch.no_grad():
        maps = model.forward_intermediates(image, indices=[1, 2, 3, 4], intermediates_only=True)
    assert_features(backbone, maps, image)


def test_dinos_teacher_is_taken_and_mocos_trained_network(source):
    first = source.state_dict()['conv1.weight']
    for content in (dino(source), moco(source, 1), moco(source, 3)):
        weights = recognise(content, 'x.pth')
        assert torch.equal(weights.tensors['backbone.conv1.weight'], first)
        assert 'taken' in ' '.join(weights.notes)


def test_a_projector_alone_makes_no_pretraining_of_ours(source):
    """Barlow Twins, VICReg and solo-learn call theirs so, too; ours has a target network besides."""
    backbone = {f'backbone.{name}': t for name, t in source.state_dict().items() if not name.startswith('fc.')}
    others = {
        'VICReg': {'projector.0.weight': torch.ones(2, 2)},
        'Barlow Twins': {'projector.0.weight': torch.ones(2, 2), 'bn.running_mean': torch.ones(2)},
        'solo-learn': {'predictor.0.weight': torch.ones(2, 2), 'momentum_backbone.conv1.weight': torch.ones(2, 2)},
    }
    for beside in others.values():
        weights = recognise({'model': backbone | beside}, 'x.pth')
        assert weights.kind == 'a backbone (ResNet)' and weights.tensors.keys() == backbone.keys()
        assert not weights.beside and weights.left['left: of a classifier, or only for pretraining'] == beside
    ours = backbone | {f'target.{name}': t for name, t in backbone.items()}
    assert recognise({'state_dict': ours}, 'x.pth').kind == 'a SoCo pretraining'


def test_what_images_a_file_without_a_description_saw(source):
    bare = source.state_dict()
    assert recognise(bare, 'folder_caffe/x.pth').origin == Origin()
    origin = recognise(bare, 'folder/resnet18_caffe-1234.pth').origin
    assert not origin.said and (origin.channels, origin.style, origin.std) == ('bgr', 'caffe', (1.0, 1.0, 1.0))
    assert origin.mean == (103.53, 116.28, 123.675)
    # mmselfsup 0 normalised numbers from 0 to 1, and said nothing of RGB.
    text = 'img_norm_cfg = dict(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])'
    origin = recognise(mmpretrains(source) | {'meta': {'config': text}}, 'x.pth').origin
    assert origin.said and origin.channels == 'rgb'
    assert origin.mean == pytest.approx(Origin().mean) and origin.std == pytest.approx(Origin().std)


def normalised(maps, eps):
    """By the norms of mmdet's and mmpretrain's maps, as they begin."""
    return [layer_norm(m.movedim(1, 3), (m.shape[1],), eps=eps).movedim(3, 1) for m in maps]


ODD = [f'features.{i}' for i in (1, 3, 5, 7)]


def test_convnext(image):
    widths, depths = [8, 16, 32, 64], [1, 1, 2, 1]
    setting = [
        torchvision.models.convnext.CNBlockConfig(*triple)
        for triple in zip(widths, [*widths[1:], None], depths, strict=True)
    ]
    models = [
        torchvision.models.ConvNeXt(setting, num_classes=3),
        timm.create_model('convnext_tiny', depths=depths, dims=widths, num_classes=3),
    ]
    for model in map(scrambled, models):
        backbone = build(
            'mmpretrain',
            type='mmpretrain.ConvNeXt',
            arch=dict(depths=depths, channels=widths),
            out_indices=(0, 1, 2, 3),
            gap_before_final_norm=False,
        )
        filled(backbone, model.state_dict())
        if model is models[0]:
            maps = torchvisions_maps(model, ODD, image)
        else:
            with torch.no_grad():
                maps = model.forward_intermediates(image, indices=[0, 1, 2, 3], intermediates_only=True)
        assert_features(backbone, normalised(maps, 1e-6), image)


def test_swin():
    """On images that are large enough for windows to be shifted in every stage, where mmdet always shifts."""
    image = torch.randn(1, 3, 448, 448, generator=torch.Generator().manual_seed(1))
    widths, depths, heads = dict(embed_dim=8), [1, 2, 1, 2], [1, 1, 2, 2]
    models = [
        torchvision.models.SwinTransformer([4, 4], depths=depths, num_heads=heads, window_size=[7, 7], **widths),
        timm.create_model(
            'swin_tiny_patch4_window7_224', img_size=448, depths=depths, num_heads=heads, num_classes=3, **widths
        ),
    ]
    for model in map(scrambled, models):
        backbone = build('mmdet', type='mmdet.SwinTransformer', embed_dims=8, depths=depths, num_heads=heads)
        filled(backbone, model.state_dict())
        if model is models[0]:
            maps = [m.movedim(3, 1) for m in torchvisions_maps(model, ODD, image)]
        else:
            with torch.no_grad():
                maps = model.forward_intermediates(image, indices=[0, 1, 2, 3], intermediates_only=True)
        assert_features(backbone, normalised(maps, 1e-5), image)


@pytest.mark.slow
@pytest.mark.parametrize('version', ['', '_v2'])
def test_torchvisions_detectors(version, image):
    """Of the second version the FPN as well, which has norms as ours."""
    build_detector = getattr(torchvision.models.detection, f'fasterrcnn_resnet50_fpn{version}')
    detector = scrambled(build_detector(weights=None, weights_backbone=None))
    weights = recognise(detector.state_dict(), 'x.pth')
    backbone, neck = (
        resnet(50),
        build(
            'mmdet',
            type='mmdet.FPN',
            in_channels=[256, 512, 1024, 2048],
            out_channels=256,
            num_outs=4,
            norm_cfg=dict(type='BN'),
        ),
    )
    given = {name: tensor for name, tensor in weights.tensors.items() if name.startswith('backbone.')}
    filled(backbone, given)
    with torch.no_grad():
        assert_features(backbone, detector.backbone.body(image).values(), image)
        in_neck = {n.removeprefix('neck.'): t for n, t in weights.tensors.items() if n.startswith('neck.')}
        assert bool(in_neck) == bool(version)
        if version:
            neck.load_state_dict(in_neck)
            maps = list(detector.backbone(image).values())[:4]
            for ours, theirs in zip(neck(backbone(image)), maps, strict=True):
                assert (ours - theirs).abs().max() <= 1e-5 * theirs.abs().max()
    named = weights.tensors.keys() | {name for some in weights.left.values() for name in some}
    assert len(named) == len(detector.state_dict())


def test_a_detector_of_mmdet_says_what_it_was_shown():
    cfg = get_config('mmdet::cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco.py')
    cfg.model.backbone.init_cfg = None
    with DefaultScope.overwrite_default_scope('mmdet'), torch.device('meta'):
        state = MODELS.build(cfg.model).state_dict()
    weights = recognise({'state_dict': state, 'meta': {'cfg': cfg.pretty_text}}, 'x.pth')
    assert weights.kind == "a detector of mmdet's" and weights.is_of_a_detector
    parts = {name.partition('.')[0] for name in weights.tensors}
    assert parts == {'backbone', 'neck', 'roi_head'}
    # A cascade's first stage.
    assert 'roi_head.bbox_head.shared_fcs.0.weight' in weights.tensors
    assert 'roi_head.bbox_head.1.shared_fcs.0.weight' in weights.left['left: of a later stage']
    assert weights.origin.said and (weights.origin.channels, weights.origin.style) == ('rgb', 'pytorch')
    caffe = get_config('mmdet::faster_rcnn/faster-rcnn_r50-caffe_fpn_1x_coco.py')
    origin = recognise({'state_dict': state, 'meta': {'cfg': caffe.pretty_text}}, 'x.pth').origin
    assert (origin.channels, origin.style, origin.std) == ('bgr', 'caffe', (1.0, 1.0, 1.0))
    # As mmdet 2 wrote it.
    old = 'img_norm_cfg = dict(mean=[1.0, 2.0, 3.0], std=[1.0, 1.0, 1.0], to_rgb=False)'
    assert recognise({'state_dict': state, 'meta': {'config': old}}, 'x.pth').origin.channels == 'bgr'
    assert not recognise({'state_dict': state, 'meta': {'cfg': 'import os\nos.abort()'}}, 'x.pth').origin.said


@pytest.mark.parametrize('name', ['vit_b_16', 'timm'])
def test_a_vit_is_refused(name):
    with torch.device('meta'):
        model = timm.create_model('vit_tiny_patch16_224') if name == 'timm' else torchvision.models.vit_b_16()
    with pytest.raises(UserError, match=r'x\.pth is a ViT of timm, torchvision or the like.*take one in the names of'):
        recognise(model.state_dict(), 'x.pth')


def test_what_is_no_backbone_is_refused():
    with pytest.raises(UserError, match=r'x\.pth is not a checkpoint.*it holds a, b; docs/warm_start\.md'):
        recognise({'a.weight': torch.ones(1), 'b': torch.ones(1)}, 'x.pth')
    assert backbone_names({'a.weight': torch.ones(1)}, 'x')[2] == ''
