"""A pretraining in real detectors: every tensor accounted for, equal features, and what does not fit refused."""

import ast
import re
import tempfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.registry import DefaultScope
from mmengine.utils import import_modules_from_strings

from mmsoco.checkpoints.pretraining import detector_weights, transferable_weights
from mmsoco.checkpoints.transfer import beginnings, plan_transfer, require_complete
from mmsoco.engine.hooks.transfer import TransferHook, check_images
from mmsoco.errors import UserError
from mmsoco.registry import MODELS

CONFIGS = Path(__file__).parents[2] / 'configs'
PRETRAININGS = {
    'fpn': 'soco/soco_r50fpn_8xb256_100e_in1k.py',
    'c4': 'soco/soco_r50c4_8xb256_100e_in1k.py',
    'small': 'own/100-pictures_cpu.py',
    'quickstart': 'quickstart/soco_r18fpn_digits.py',
    'swin': 'soco/soco_swin-t-fpn_8xb256_100e_in1k.py',
    'vit': 'soco/soco_vit-b_8xb256_100e_in1k.py',
}


def pretraining(path):
    """The real pretraining model, with norms as after some training."""
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmsoco'):
        model = MODELS.build(Config.fromfile(CONFIGS / path).model)
    for name, buffer in model.named_buffers():
        if name.endswith('running_mean'):
            buffer.normal_().mul_(0.1)
        elif name.endswith('running_var'):
            buffer.uniform_(0.5, 2.0)
    with torch.no_grad():
        for p in model.parameters():
            if p.ndim == 1:
                p.add_(0.2 * torch.randn_like(p))
    return model.eval()


@pytest.fixture(scope='module')
def pretrainings():
    return {kind: pretraining(path) for kind, path in PRETRAININGS.items()}


def build_detector(cfg):
    with DefaultScope.overwrite_default_scope('mmdet'):
        from mmdet.registry import MODELS as MMDET_MODELS

        return MMDET_MODELS.build(cfg).eval()


def from_docs(block, base=None):
    """A user's config as docs/transfer.md shows it, or the same on another base."""

    def read(root):
        text = re.findall(r'```python\n(.*?)```', (root / 'docs/transfer.md').read_text(), re.DOTALL)[block]
        if base is not None:
            assert f"'{base}'" in text, 'the docs name this base, too'
            text = re.sub(r"^_base_ = '[^']*'", f"_base_ = '{base}'", text)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, 'config.py')
            path.write_text(text)
            return Config.fromfile(path)

    return read


def from_config(path):
    return lambda root: Config.fromfile(path)


def kind_of(path):
    for kind, word in (('quickstart', 'digits'), ('swin', 'swin'), ('vit', 'vit')):
        if word in path.stem:
            return kind
    return 'small' if 'r18' in path.stem else 'c4' if 'r50c4' in path.stem else 'fpn'


# Detector -> (its config, the pretraining, keyword arguments of the hook).
DETECTORS = {
    path.stem: (from_config(path), kind_of(path), {})
    for path in sorted([*CONFIGS.glob('transfer/*/*_soco*.py'), *CONFIGS.glob('quickstart/*_soco.py')])
} | {
    'own labels': (from_docs(0), 'fpn', {}),
    'faster-rcnn': (from_docs(2), 'fpn', {}),
    'mask-rcnn': (from_docs(2, 'mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py'), 'fpn', {}),
    'cascade-rcnn': (from_docs(3), 'fpn', dict(leave=['roi_head.bbox_head.'])),
    'atss': (from_docs(3, 'mmdet::atss/atss_r50_fpn_1x_coco.py'), 'fpn', {}),
    'cascade-mask-rcnn': (from_docs(4), 'fpn', {}),
}


def model_of(name, root):
    cfg = DETECTORS[name][0](root)
    if 'custom_imports' in cfg:
        import_modules_from_strings(**cfg.custom_imports)
    return cfg.model


@pytest.fixture(scope='module', params=DETECTORS)
def filled(request, root, pretrainings):
    """A detector filled from its pretraining: (pretraining, detector, transfer)."""
    _, kind, options = DETECTORS[request.param]
    soco, detector = pretrainings[kind], build_detector(model_of(request.param, root))
    transfer = plan_transfer(transferable_weights(soco.state_dict(), 'soco'), detector.state_dict(), **options)
    require_complete(transfer, 'soco')
    detector.load_state_dict(transfer.loaded, strict=False)
    return soco, detector, transfer


def test_every_tensor_is_accounted_for(filled):
    soco, detector, transfer = filled
    new = [name for tensors in transfer.new.values() for name in tensors]
    assert sorted([*transfer.loaded, *new]) == sorted(detector.state_dict())
    assert {'rpn_head', 'roi_head', 'bbox_head', 'neck'} >= {name.split('.')[0] for name in new}
    assert not any(name.startswith('backbone.') for name in new)
    left = {name for tensors in transfer.left.values() for name in tensors}
    values = {t.data_ptr() for t in transfer.loaded.values()}
    for name, tensor in detector_weights(soco.state_dict(), 'soco').items():
        assert name in left or tensor.data_ptr() in values, name
    lines = transfer.table().splitlines()
    assert any(line.startswith('backbone') and line.endswith('loaded') for line in lines)


def preprocessed(soco, detector, image):
    """One uint8 RGB image through both data preprocessors."""
    ours = soco.data_preprocessor({'inputs': {'v1': torch.from_numpy(image)[None]}})['inputs']['v1']
    # mmdet's loader gives BGR.
    bgr = torch.from_numpy(cv2.cvtColor(image, cv2.COLOR_RGB2BGR)).permute(2, 0, 1)
    return ours, detector.data_preprocessor({'inputs': [bgr], 'data_samples': None})['inputs']


@torch.no_grad()
def compare_features(soco, detector):
    """Backbone, pyramid and box head on one image; catches channel order, mean, stride and a forgotten shift."""
    ours, theirs = preprocessed(soco, detector, np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    same = lambda a, b: torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5 * b.abs().max().item())
    same(ours, theirs)
    for mine, other in zip(soco.backbone(ours), detector.backbone(theirs), strict=True):
        same(mine, other)
    pyramid, other_pyramid = soco.extract_feat(ours), detector.extract_feat(theirs)
    # The detector's first map is P2, or P3 where it is half as large.
    first = int(np.log2(pyramid[0].shape[-1] // other_pyramid[0].shape[-1]))
    for mine, other in zip(pyramid[first:], other_pyramid, strict=False):
        same(mine, other)
    boxes = torch.tensor([[[4.0, 6.0, 40.0, 50.0], [0.0, 0.0, 64.0, 64.0]]])
    roi_head = getattr(detector, 'roi_head', None)
    if roi_head is None:
        return
    features = soco.roi_head(pyramid, boxes, (64, 64))
    pooled = soco.roi_head.bbox_roi_extractor(pyramid, boxes, (64, 64))
    if roi_head.with_shared_head:
        same(features, roi_head.shared_head.layer4(pooled).mean(dim=(2, 3)))
        return
    heads = roi_head.bbox_head if isinstance(roi_head.bbox_head, torch.nn.ModuleList) else [roi_head.bbox_head]
    for head in heads:
        if len(head.shared_convs) == 4:
            scores, _ = head(pooled)
            torch.testing.assert_close(scores, head.fc_cls(features), rtol=1e-4, atol=1e-4)


def test_equal_features_from_one_image(filled):
    compare_features(*filled[:2])


def test_table_tells_what_is_new_and_why(root, pretrainings):
    for name, words in {
        'mask-rcnn_r50fpn_soco_1x': [
            'rpn_head .* new: not part of',
            'roi_head.bbox_head.fc_cls .* new: depends on the classes',
        ],
        'mask-rcnn_r50c4_soco_1x': ['roi_head.shared_head.norm .* new: the extra norm'],
        'retinanet_r50fpn_soco_1x': [
            'neck .* new: levels above P5',
            'neck .* left: the detector starts at a coarser level',
        ],
        'fcos_r50fpn_soco_1x': [
            'bbox_head .* new: not part of',
            'roi_head.bbox_head.* left: the detector has no box head',
        ],
        'cascade-rcnn': ['roi_head.bbox_head.0 .* new: as the config says', 'roi_head.bbox_head.* left: as the config'],
    }.items():
        _, kind, options = DETECTORS[name]
        weights = transferable_weights(pretrainings[kind].state_dict(), 'soco')
        with torch.device('meta'):
            detector = build_detector(model_of(name, root)).state_dict()
        table = plan_transfer(weights, detector, **options).table()
        for pattern in words:
            assert re.search(pattern, table), f'{name}: {pattern}\n{table}'


def test_a_forgotten_shift_is_caught(root, pretrainings):
    """fpn_convs.0 is P3 in RetinaNet and has the shape of our P2: loaded as it is, only features tell."""
    soco, detector = pretrainings['fpn'], build_detector(model_of('retinanet_r50fpn_soco_1x', root))
    weights = detector_weights(soco.state_dict(), 'soco')
    transfer = plan_transfer(weights, detector.state_dict())
    detector.load_state_dict(transfer.loaded, strict=False)
    compare_features(soco, detector)
    assert torch.equal(transfer.loaded['neck.fpn_convs.0.conv.weight'], weights['neck.fpn_convs.1.conv.weight'])
    unshifted = {name: weights.get(name, tensor) if 'fpn_convs' in name else tensor
                 for name, tensor in transfer.loaded.items()}  # fmt: skip
    detector.load_state_dict(unshifted, strict=False)
    with pytest.raises(AssertionError):
        compare_features(soco, detector)
    # The laterals' shapes would have told, too.
    lateral = 'neck.lateral_convs.0.conv.weight'
    assert weights[lateral].shape != detector.state_dict()[lateral].shape


@torch.no_grad()
@pytest.mark.parametrize('kind', ['fpn', 'c4'])
def test_equal_features_in_a_classifier(pretrainings, kind):
    """The linear evaluation, from an image as mmpretrain loads it."""
    soco = pretrainings[kind]
    cfg = Config.fromfile(CONFIGS / 'transfer/imagenet/linear_r50_8xb32_100e_in1k.py')
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        from mmpretrain.registry import MODELS as CLASSIFIERS

        cfg.model.data_preprocessor = dict(type='ClsDataPreprocessor', **cfg.data_preprocessor)
        classifier = CLASSIFIERS.build(cfg.model).eval()
    transfer = plan_transfer(transferable_weights(soco.state_dict(), 'soco'), classifier.state_dict())
    require_complete(transfer, 'soco')
    classifier.load_state_dict(transfer.loaded, strict=False)
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    ours = soco.data_preprocessor({'inputs': {'v1': torch.from_numpy(image)[None]}})['inputs']['v1']
    bgr = torch.from_numpy(cv2.cvtColor(image, cv2.COLOR_RGB2BGR)).permute(2, 0, 1)[None]
    theirs = classifier.data_preprocessor({'inputs': bgr})['inputs']
    torch.testing.assert_close(ours, theirs)
    maps = soco.backbone(ours)[-1]
    if kind == 'c4':
        maps = soco.roi_head.shared_head(maps)
    torch.testing.assert_close(maps, classifier.backbone(theirs)[-1], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ('name', 'changes', 'words'),
    [
        ('retinanet_r50fpn_soco_1x', {'neck.norm_cfg': None}, "the detector's FPN has no norm; give its neck norm_cfg"),
        (
            'mask-rcnn_r50fpn_soco_1x',
            {'roi_head.bbox_head.type': 'Shared2FCBBoxHead'},
            'make it a Shared4Conv1FCBBoxHead',
        ),
        ('mask-rcnn_r50fpn_soco_1x', {'backbone.depth': 101}, 'the backbones differ in depth'),
        ('mask-rcnn_r50c4_soco_1x', {}, 'the pretraining has an FPN, the model has none'),
    ],
)
def test_detectors_that_do_not_fit(root, pretrainings, name, changes, words):
    cfg = Config(dict(model=model_of(name, root)))
    cfg.merge_from_dict({f'model.{key}': value for key, value in changes.items()})
    with torch.device('meta'):
        detector = build_detector(cfg.model).state_dict()
    weights = detector_weights(pretrainings['fpn'].state_dict(), 'soco')
    with pytest.raises(UserError, match=words) as error:
        require_complete(plan_transfer(weights, detector), 'soco')
    assert '\n' not in str(error.value)


def test_an_image_level_pretraining_gives_its_backbone(root, pretrainings):
    backbone = {name: t for name, t in pretrainings['fpn'].state_dict().items() if name.startswith('backbone.')}
    others = {'neck.fc0.weight': torch.zeros(1), 'head.fc.weight': torch.zeros(1), 'target_net.0.w': torch.zeros(1)}
    for name in ('mask-rcnn_r50fpn_soco_1x', 'retinanet_r50fpn_soco_1x', 'mask-rcnn_r50c4_soco_1x'):
        with torch.device('meta'):
            detector = build_detector(model_of(name, root)).state_dict()
        transfer = plan_transfer(transferable_weights({**backbone, **others}, 'x'), detector)
        require_complete(transfer, 'x')
        assert len(transfer.loaded) == len(backbone)
        if 'c4' in name:
            assert torch.equal(
                transfer.loaded['roi_head.shared_head.layer4.2.conv3.weight'],
                backbone['backbone.layer4.2.conv3.weight'],
            )
        else:
            assert 'new: not part of these weights' in transfer.new


def test_new_parts_that_the_config_names(small):
    pretrained, detector = small
    detector['neck.pafpn_convs.0.w'] = torch.zeros(1)
    assert plan_transfer(pretrained, detector).problems
    transfer = plan_transfer(pretrained, detector, new=['neck.pafpn_convs.'])
    assert not transfer.problems and set(transfer.new['new: as the config says']) == {'neck.pafpn_convs.0.w'}
    assert "new=['nekc.'] fits no name" in plan_transfer(pretrained, detector, new=['nekc.']).problems
    assert "leave=['nekc.'] fits no name" in plan_transfer(pretrained, detector, leave=['nekc.']).problems


def test_a_pafpn_as_the_docs_tell(root, pretrainings):
    changes = {
        'model.neck': dict(type='PAFPN', norm_cfg=dict(type='BN')),
        'model.roi_head.bbox_head': dict(
            type='Shared4Conv1FCBBoxHead', conv_out_channels=256, norm_cfg=dict(type='BN')
        ),
    }
    cfg = get_config('mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py')
    cfg.merge_from_dict(changes)
    with torch.device('meta'):
        detector = build_detector(cfg.model).state_dict()
    weights = transferable_weights(pretrainings['fpn'].state_dict(), 'soco')
    with pytest.raises(UserError, match=r'is not in these weights; if it is to stay new: TransferHook\(new='):
        require_complete(plan_transfer(weights, detector), 'soco')
    (line,) = re.findall(r'new=(\[.*pafpn_convs.*?\])', (root / 'docs/transfer.md').read_text())
    require_complete(plan_transfer(weights, detector, new=ast.literal_eval(line)), 'soco')


HEAD = dict(type='Shared4Conv1FCBBoxHead', conv_out_channels=256, norm_cfg=dict(type='BN'))
OURS = {'model.neck.norm_cfg': dict(type='BN'), 'model.roi_head.bbox_head': HEAD}
#: mmdet's detectors with parts of their own -> what is changed of them, and what they need.
OWN_PARTS = {
    'faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py': (
        {'model.neck.type': 'PAFPN', **OURS},
        dict(new=['neck.downsample_convs.', 'neck.pafpn_convs.']),
    ),
    'gcnet/mask-rcnn_r50-gcb-r16-c3-c5_fpn_1x_coco.py': (
        OURS,
        dict(
            new=[
                f'backbone.layer{layer}.{block}.context_block.'
                for layer, blocks in ((2, 4), (3, 6), (4, 3))
                for block in range(blocks)
            ]
        ),
    ),
    'detr/detr_r50_8xb2-150e_coco.py': (
        {},
        dict(new=['encoder.', 'decoder.', 'query_embedding.'], leave=['neck.']),
    ),
    'deformable_detr/deformable-detr_r50_16xb2-50e_coco.py': (
        {},
        dict(new=['level_embed', 'encoder.', 'decoder.', 'query_embedding.', 'reference_points_fc.'], leave=['neck.']),
    ),
    'dino/dino-4scale_r50_8xb2-12e_coco.py': (
        {},
        dict(
            new=[
                'level_embed',
                'encoder.',
                'decoder.',
                'query_embedding.',
                'memory_trans_fc.',
                'memory_trans_norm.',
                'dn_query_generator.',
            ],
            leave=['neck.'],
        ),
    ),
    'solo/solo_r50_fpn_1x_coco.py': ({'model.neck.norm_cfg': dict(type='BN')}, dict(new=['mask_head.'])),
    'crowddet/crowddet-rcnn_r50_fpn_8xb2-30e_crowdhuman.py': (
        {'model.neck.norm_cfg': dict(type='BN')},
        dict(leave=['roi_head.bbox_head.']),
    ),
    'soft_teacher/soft-teacher_faster-rcnn_r50-caffe_fpn_180k_semi-0.1-coco.py': (
        {
            'model.detector.neck.type': 'PAFPN',
            'model.detector.neck.norm_cfg': dict(type='BN'),
            'model.detector.roi_head.bbox_head': HEAD,
        },
        dict(
            new=[
                f'{part}.neck.{convs}.'
                for part in ('student', 'teacher')
                for convs in ('downsample_convs', 'pafpn_convs')
            ]
        ),
    ),
}


@pytest.mark.parametrize('base', OWN_PARTS)
def test_all_that_a_detector_with_parts_of_its_own_needs_is_one_line_to_paste(pretrainings, base):
    changes, expected = OWN_PARTS[base]
    cfg = get_config(f'mmdet::{base}')
    cfg.merge_from_dict(changes)
    with torch.device('meta'):
        detector = build_detector(cfg.model).state_dict()
    weights = transferable_weights(pretrainings['fpn'].state_dict(), 'soco')
    before = plan_transfer(weights, detector)
    with pytest.raises(UserError) as error:
        require_complete(before, 'soco', same_images=False)
    lines = [eval(f'dict({words})') for words in re.findall(r'TransferHook\(([^)]*)\)', str(error.value))]
    assert lines[-1] == {**expected, 'same_images': False} and '\n' not in str(error.value)
    after = plan_transfer(weights, detector, **expected)
    require_complete(after, 'soco')
    # Nothing that fits is given up but for what is left.
    given_up = {name for name in before.loaded if name not in after.loaded}
    assert all('roi_head.bbox_head.' in name for name in given_up)
    assert {n for n in detector if 'backbone.' in n} - after.loaded.keys() <= {
        n for ns in after.new.values() for n in ns
    }


def test_entries_that_are_there_stay_in_the_line(small):
    pretrained, detector = small
    detector |= {'neck.a.w': torch.zeros(1), 'extra.b.w': torch.zeros(1), 'extra.c.w': torch.zeros(1)}
    transfer = plan_transfer(pretrained, detector, new=['neck.a.', 'nekc.'], leave=['roi_head.'])
    assert transfer.remedy == {'new': ['neck.a.', 'extra.'], 'leave': ['roi_head.']}
    assert plan_transfer(pretrained, detector, **transfer.remedy).problems == []


def test_the_shortest_beginnings():
    among = ['a.x.w', 'a.x.b', 'a.y.w', 'b', 'c.p.w', 'c.q.w']
    assert beginnings(['a.x.w', 'a.x.b', 'b', 'c.p.w', 'c.q.w'], among) == ['a.x.', 'b', 'c.']
    assert beginnings(['a.x.w', 'a.y.w'], among) == ['a.x.w', 'a.y.']
    assert beginnings([], among) == []


def test_a_backbone_that_does_not_fit_is_not_talked_away(small):
    pretrained, detector = small
    for shape, words in ((torch.zeros(3, 2), r'backbone\.w is \(3, 2\) in'), (None, r'backbone\.w has no place')):
        other = {name: t for name, t in detector.items() if name != 'backbone.w'} | {'backbone.v': torch.zeros(1)}
        if shape is not None:
            other['backbone.w'] = shape
        transfer = plan_transfer(pretrained, other)
        assert transfer.remedy == {} and re.search(words, transfer.problems[0])


def test_detectors_in_a_model_are_all_filled(small):
    """As student and teacher are; a classifier beside them takes the backbone."""
    pretrained, detector = small
    model = {f'{part}.{name}': t for part in ('student', 'teacher') for name, t in detector.items()}
    model |= {'reid.backbone.w': torch.zeros(2, 2), 'reid.head.w': torch.zeros(1), 'embedding.w': torch.zeros(1)}
    transfer = plan_transfer(pretrained, model)
    assert transfer.missing == ['embedding.w'] and transfer.remedy == {'new': ['embedding.']}
    transfer = plan_transfer(pretrained, model, **transfer.remedy)
    assert transfer.problems == [] and transfer.left == {}
    assert set(transfer.loaded) == {f'{p}.{n}' for p in ('student', 'teacher') for n in pretrained} | {
        'reid.backbone.w'
    }
    assert all(tensor.all() for tensor in transfer.loaded.values())
    assert sorted(name for names in transfer.new.values() for name in names) == [
        'embedding.w',
        'reid.head.w',
        'student.rpn_head.w',
        'teacher.rpn_head.w',
    ]


@pytest.mark.parametrize('base', ['libra_rcnn/libra-faster-rcnn_r50_fpn_1x_coco.py', 'detr/detr_r50_8xb2-150e_coco.py'])
def test_the_backbone_alone_where_there_is_no_such_pyramid(root, pretrainings, base):
    """The last resort of the docs: leave neck and head, name what is new."""
    with torch.device('meta'):
        detector = build_detector(get_config(f'mmdet::{base}').model).state_dict()
    (line,) = re.findall(r"`leave=(\['neck.', 'roi_head.'\])`", (root / 'docs/transfer.md').read_text())
    own = sorted({f'{name.split(".")[0]}.' for name in detector} - {'backbone.'})
    weights = transferable_weights(pretrainings['fpn'].state_dict(), 'soco')
    transfer = plan_transfer(weights, detector, new=own, leave=ast.literal_eval(line))
    require_complete(transfer, 'soco')
    assert {name for name in detector if name.startswith('backbone.')} == set(transfer.loaded)


def test_what_was_renumbered_before_is_not_shifted_again(root, pretrainings):
    """tools/extract_backbone.py --target mmdet-p3 into RetinaNet."""
    weights = detector_weights(pretrainings['fpn'].state_dict(), 'soco')
    p3 = {name: t for name, t in weights.items() if name.startswith('backbone.')}
    for name, tensor in weights.items():
        if (level := re.match(r'(neck\.\w+_convs\.)(\d)(.*)', name)) and level[2] != '0':
            p3[f'{level[1]}{int(level[2]) - 1}{level[3]}'] = tensor
    with torch.device('meta'):
        detector = build_detector(model_of('retinanet_r50fpn_soco_1x', root)).state_dict()
    transfer = plan_transfer(transferable_weights(p3, 'p3'), detector)
    require_complete(transfer, 'p3')
    assert torch.equal(transfer.loaded['neck.fpn_convs.0.conv.weight'], weights['neck.fpn_convs.1.conv.weight'])


@pytest.fixture
def small():
    """A pretraining's and a detector's state dicts that fit."""
    pretrained = {
        'backbone.w': torch.ones(2, 2),
        'neck.w': torch.ones(3),
        'roi_head.bbox_head.shared_fcs.0.bias': torch.ones(1),
    }
    detector = {name: torch.zeros_like(t) for name, t in pretrained.items()} | {'rpn_head.w': torch.zeros(1)}
    return pretrained, detector


def test_shape_that_differs_is_refused(small):
    pretrained, detector = small
    detector['neck.w'] = torch.zeros(4)
    with pytest.raises(UserError, match=r'neck.w is \(4,\) in the model, \(3,\) in these weights'):
        require_complete(plan_transfer(pretrained, detector), 'a.pth')


def test_detector_part_that_should_load_and_does_not_is_refused(small):
    pretrained, detector = small
    detector['neck.extra'] = torch.zeros(4)
    with pytest.raises(UserError, match=r'neck\.extra of the model is not in these weights'):
        require_complete(plan_transfer(pretrained, detector), 'a.pth')


def test_pretrained_tensor_without_a_place_is_refused(small):
    pretrained, detector = small
    del detector['neck.w']
    with pytest.raises(UserError, match=r'neck\.w has no place in the model'):
        require_complete(plan_transfer(pretrained, detector), 'a.pth')


def test_parts_that_a_pretraining_lacks_stay_new(small):
    """Table 4's first rows: the backbone alone, or with the FPN."""
    pretrained, detector = small
    backbone = {'backbone.w': pretrained['backbone.w']}
    transfer = plan_transfer(detector_weights({**backbone, 'projector.w': torch.ones(1)}, 'x'), detector)
    assert not transfer.problems and set(transfer.loaded) == {'backbone.w'}
    lacking = {'neck.w', 'roi_head.bbox_head.shared_fcs.0.bias', 'rpn_head.w'}
    assert set(transfer.new['new: not part of these weights']) == lacking
    assert transfer.table().count('new: not part of these weights') == 3
    transfer = plan_transfer({**backbone, 'neck.w': pretrained['neck.w']}, detector)
    assert not transfer.problems and set(transfer.loaded) == {'backbone.w', 'neck.w'}


def test_a_classifier_takes_the_backbone():
    """Of C4 with the fifth block, which is its detectors' head."""
    classifier = {'backbone.layer3.w': torch.zeros(1), 'backbone.layer4.w': torch.zeros(2), 'head.fc.w': torch.zeros(3)}
    c4 = {'backbone.layer3.w': torch.ones(1), 'roi_head.shared_head.layer4.w': torch.ones(2)}
    fpn = {'backbone.layer3.w': torch.ones(1), 'backbone.layer4.w': torch.ones(2), 'neck.w': torch.ones(1)}
    for pretrained, left in ((c4, set()), (fpn, {'neck.w'})):
        transfer = plan_transfer(pretrained, classifier)
        assert not transfer.problems
        assert {name for tensors in transfer.left.values() for name in tensors} == left
        assert set(transfer.loaded) == {'backbone.layer3.w', 'backbone.layer4.w'}
        assert transfer.loaded['backbone.layer4.w'].all() and 'new: depends on the classes' in transfer.new


def test_c4_does_not_load_into_a_detector_with_an_fpn(small):
    _, detector = small
    c4 = {'backbone.w': torch.ones(2, 2), 'roi_head.shared_head.layer4.w': torch.ones(2)}
    transfer = plan_transfer(c4, detector)
    assert 'roi_head.shared_head.layer4.w has no place in the model' in transfer.problems
    with pytest.raises(UserError, match='the pretraining is for C4 detectors'):
        require_complete(transfer, 'a.pth')


def test_other_checkpoints_are_refused():
    with pytest.raises(UserError, match=r'r\.pth is not a checkpoint of a SoCo pretraining.*holds conv1, fc'):
        detector_weights({'conv1.weight': torch.zeros(1), 'fc.weight': torch.zeros(1)}, 'r.pth')


@pytest.mark.parametrize(
    'name',
    ['rpn_head.w', 'bbox_head.w', 'panoptic_head.w', 'keypoint_head.w', 'decode_head.w', 'roi_head.bbox_head.fc_cls.w'],
)
def test_models_of_other_tasks_are_refused(name):
    with pytest.raises(UserError, match='not a checkpoint of a SoCo pretraining'):
        transferable_weights({'backbone.w': torch.zeros(1), name: torch.zeros(1)}, 'd.pth')


def test_a_neck_that_is_a_projector_makes_an_image_level_pretraining():
    """mmpretrain's SimCLR has backbone and neck alone."""
    simclr = {'backbone.w': torch.zeros(1), 'neck.fc0.weight': torch.zeros(1), 'neck.bn0.weight': torch.zeros(1)}
    assert set(transferable_weights(simclr, 's.pth')) == {'backbone.w'}
    with pytest.raises(UserError, match='not a checkpoint of a SoCo pretraining'):
        detector_weights(simclr, 's.pth')
    with pytest.raises(UserError, match='holds more than named tensors'):
        transferable_weights({1: torch.zeros(1)}, 's.pth')


@pytest.mark.parametrize(
    ('base', 'words'),
    [
        ('fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py', "caffe-style, its features would be wrong; set style='pytorch'"),
        ('faster_rcnn/faster-rcnn_r50-caffe_c4-1x_coco.py', 'caffe-style, its features would be wrong'),
    ],
)
def test_models_that_see_other_images(base, words):
    cfg = get_config(f'mmdet::{base}')
    with torch.device('meta'):
        detector = build_detector(cfg.model)
    with pytest.raises(UserError, match=words):
        check_images(detector)
    changes = {'model.backbone.style': 'pytorch'}
    if 'c4' in base:
        changes['model.roi_head.shared_head.style'] = 'pytorch'
    cfg.merge_from_dict(changes)
    with pytest.raises(UserError, match='the model sees other images than the pretraining did; set in its data_pre'):
        check_images(build_detector(cfg.model))


def test_all_models_here_see_the_pretrainings_images(filled):
    check_images(filled[1])


def test_lists_that_are_strings():
    with pytest.raises(UserError, match=r"such as \['neck\.'\]"):
        TransferHook(new='neck.')


def test_what_a_model_gives_no_map_of_or_does_not_count_is_left():
    """A Swin in a detector that starts at C3, or in a classifier; a frozen norm without counts."""
    ones = torch.ones(4)
    given = {f'backbone.norm{i}.weight': ones for i in range(4)} | {
        'backbone.bn.weight': ones,
        'backbone.bn.running_mean': ones,
        'backbone.bn.num_batches_tracked': torch.tensor(3),
    }
    model = {name: torch.zeros(4) for name in given if 'norm0' not in name and 'num_batches' not in name}
    transfer = plan_transfer(given, model)
    assert not transfer.problems and set(transfer.loaded) == set(model)
    assert sorted(name for tensors in transfer.left.values() for name in tensors) == [
        'backbone.bn.num_batches_tracked', 'backbone.norm0.weight'
    ]  # fmt: skip
    # A layer's own norm has a place.
    assert plan_transfer({**given, 'backbone.layer1.norm.weight': ones}, model).problems


def test_weights_that_are_not_finite_are_refused():
    model = {'backbone.a.weight': torch.zeros(2)}
    transfer = plan_transfer({'backbone.a.weight': torch.tensor([1.0, float('inf')])}, model)
    assert transfer.problems == ['backbone.a.weight of these weights is not finite']
