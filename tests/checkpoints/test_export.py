"""A pretraining in other tools' own models: nothing lost, equal features in eval mode."""

import pickle
import shutil

import pytest
import timm
import torch
import torchvision
from mmengine.config import Config
from mmengine.registry import DefaultScope
from safetensors.torch import load_file
from torch import nn

from mmsoco.checkpoints.extract import extract
from mmsoco.checkpoints.pretraining import detector_weights
from mmsoco.checkpoints.tools import TOOLS, rename
from mmsoco.errors import UserError
from mmsoco.registry import MODELS

BLOCKS = (3, 4, 6, 3)  # of ResNet-50


def build(root, name):
    cfg = Config.fromfile(root / f'configs/soco/{name}_8xb256_100e_in1k.py')
    with DefaultScope.overwrite_default_scope('mmsoco'):
        return MODELS.build(cfg.model)


def fill_norms(model):
    """Norms that do something: what is lost or exchanged must show."""
    generator = torch.Generator().manual_seed(0)
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.running_mean.normal_(0, 0.1, generator=generator)
            norm.running_var.uniform_(0.5, 2.0, generator=generator)
            norm.weight.data.uniform_(0.5, 1.0, generator=generator)
            norm.bias.data.normal_(0, 0.1, generator=generator)
            norm.num_batches_tracked.fill_(7)
    return model.eval()


def save(model, path):
    """A checkpoint of the pretraining; without the moving average, to write less."""
    weights = {name: tensor for name, tensor in model.state_dict().items() if not name.startswith('target.')}
    torch.save({'state_dict': weights, 'meta': {'epoch': 100}}, path)
    return path


@pytest.fixture(scope='module')
def fpn(root):
    return fill_norms(build(root, 'soco_r50fpn'))


@pytest.fixture(scope='module')
def c4(root):
    return fill_norms(build(root, 'soco_r50c4'))


@pytest.fixture(scope='module')
def checkpoints(tmp_path_factory):
    folder = tmp_path_factory.mktemp('checkpoints')
    yield folder
    # pytest keeps the folders of three runs: some gigabytes here.
    shutil.rmtree(folder)


@pytest.fixture
def folder(tmp_path):
    yield tmp_path
    shutil.rmtree(tmp_path)


@pytest.fixture(scope='module')
def fpn_file(fpn, checkpoints):
    return save(fpn, checkpoints / 'fpn.pth')


@pytest.fixture(scope='module')
def c4_file(c4, checkpoints):
    return save(c4, checkpoints / 'c4.pth')


@pytest.fixture(scope='module')
def image():
    return torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope='module')
def features(fpn, image):
    """The pretraining's own: C2..C5, P2..P5, pooled boxes and their vectors."""
    boxes = torch.tensor([[[4.0, 6.0, 40.0, 50.0], [0.0, 0.0, 96.0, 64.0], [10.0, 10.0, 90.0, 60.0]]])
    with torch.no_grad():
        body = fpn.backbone(image)
        pyramid = fpn.neck(body)
        pooled = fpn.roi_head.bbox_roi_extractor(pyramid, boxes, (64, 96))
        return dict(body=body, pyramid=pyramid, pooled=pooled, vectors=fpn.roi_head(pyramid, boxes, (64, 96)))


@pytest.fixture(scope='module')
def c4_features(c4, image):
    """C4, and the fifth block on the whole map."""
    with torch.no_grad():
        (fourth,) = c4.backbone(image)
        return fourth, c4.roi_head.shared_head(fourth)


def extracted(checkpoint, target, folder):
    """The file's weights; by .safetensors, as test_extract reads .pth."""
    path, _ = extract(checkpoint, folder / f'{target}.safetensors', target)
    return load_file(path)


def assert_equal_features(mine, theirs):
    for a, b in zip(mine, theirs, strict=True):
        assert a.std() > 0.01  # says something
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


def resnet_outputs(resnet, image):
    """layer1 to layer4 of torchvision's model, which gives only scores."""
    outputs = []
    x = resnet.maxpool(resnet.relu(resnet.bn1(resnet.conv1(image))))
    for layer in (resnet.layer1, resnet.layer2, resnet.layer3, resnet.layer4):
        x = layer(x)
        outputs.append(x)
    return outputs


@torch.no_grad()
def test_torchvision_resnet50(fpn_file, features, image, folder):
    model = torchvision.models.resnet50().eval()
    keys = model.load_state_dict(extracted(fpn_file, 'torchvision', folder), strict=False)
    assert set(keys.missing_keys) == {'fc.weight', 'fc.bias'} and not keys.unexpected_keys
    assert_equal_features(features['body'], resnet_outputs(model, image))


@torch.no_grad()
def test_torchvision_resnet50_from_c4(c4_file, c4_features, image, folder):
    model = torchvision.models.resnet50().eval()
    keys = model.load_state_dict(extracted(c4_file, 'torchvision', folder), strict=False)
    assert set(keys.missing_keys) == {'fc.weight', 'fc.bias'} and not keys.unexpected_keys
    assert_equal_features(c4_features, resnet_outputs(model, image)[2:])


@torch.no_grad()
@pytest.mark.parametrize('detector', ['maskrcnn_resnet50_fpn_v2', 'fasterrcnn_resnet50_fpn_v2'])
def test_torchvision_fpn(fpn_file, features, image, folder, detector):
    build_detector = getattr(torchvision.models.detection, detector)
    model = build_detector(weights=None, weights_backbone=None).eval()
    keys = model.load_state_dict(extracted(fpn_file, 'torchvision-fpn', folder), strict=False)
    assert not keys.unexpected_keys
    new = ('rpn.', 'roi_heads.box_predictor.', 'roi_heads.mask_head.', 'roi_heads.mask_predictor.')
    assert keys.missing_keys and all(name.startswith(new) for name in keys.missing_keys)
    assert_equal_features(features['body'], model.backbone.body(image).values())
    assert_equal_features(features['pyramid'], list(model.backbone(image).values())[:4])
    assert_equal_features([features['vectors']], [model.roi_heads.box_head(features['pooled'])])


def test_torchvision_first_versions_have_no_place_for_norms(fpn_file, folder):
    """The reason why torchvision-fpn-v1 is refused."""
    with pytest.raises(UserError, match=r'biases and no norm.*choose torchvision-fpn'):
        extract(fpn_file, folder / 'out.pth', 'torchvision-fpn-v1')
    with torch.device('meta'):
        first = torchvision.models.detection.maskrcnn_resnet50_fpn(weights=None, weights_backbone=None).state_dict()
    assert 'backbone.fpn.inner_blocks.0.0.bias' in first
    assert not any(name.startswith('backbone.fpn.inner_blocks.0.1.') for name in first)
    assert not (folder / 'out.pth').exists()


@torch.no_grad()
@pytest.mark.parametrize('ending', ['.pth', '.safetensors'])
def test_timm(fpn_file, features, image, folder, ending):
    """By timm's own loader, which insists on every name."""
    path, _ = extract(fpn_file, folder / f'timm{ending}', 'timm')
    model = timm.create_model('resnet50', num_classes=0, checkpoint_path=str(path)).eval()
    outputs = model.forward_intermediates(image, indices=[1, 2, 3, 4], intermediates_only=True)
    assert_equal_features(features['body'], outputs)


@torch.no_grad()
def test_timm_from_c4(c4_file, c4_features, image, folder):
    model = timm.create_model('resnet50', num_classes=0).eval()
    model.load_state_dict(extracted(c4_file, 'timm', folder))
    outputs = model.forward_intermediates(image, indices=[3, 4], intermediates_only=True)
    assert_equal_features(c4_features, outputs)


@torch.no_grad()
@pytest.mark.parametrize('package', ['mmpretrain', 'mmdet'])
def test_backbone(fpn_file, features, image, folder, package):
    cfg = dict(type=f'{package}.ResNet', depth=50, out_indices=(0, 1, 2, 3))
    model = MODELS.build(cfg)
    model.eval()
    model.load_state_dict(extracted(fpn_file, 'backbone', folder))
    assert_equal_features(features['body'], model(image))


@torch.no_grad()
def test_backbone_from_c4_is_whole(c4_file, c4_features, image, folder):
    model = MODELS.build(dict(type='mmpretrain.ResNet', depth=50, out_indices=(2, 3)))
    model.eval()
    model.load_state_dict(extracted(c4_file, 'backbone', folder))
    assert_equal_features(c4_features, model(image))


@torch.no_grad()
def test_mmdet_c4(c4, c4_file, c4_features, image, folder):
    """In new modules of the pretraining's kind, under the detector's names."""
    weights = extracted(c4_file, 'mmdet-c4', folder)
    assert {name.rsplit('.layer', 1)[0] for name in weights if '.layer' in name} == {'backbone', 'roi_head.shared_head'}
    detector = nn.Module()
    detector.backbone = MODELS.build(dict(type='mmdet.ResNet', depth=50, num_stages=3, strides=(1, 2, 2),
                                          dilations=(1, 1, 1), out_indices=(2,), style='pytorch'))  # fmt: skip
    detector.roi_head = nn.Module()
    detector.roi_head.shared_head = MODELS.build(dict(type='mmdet.ResLayer', depth=50, style='pytorch'))
    detector.eval().load_state_dict(weights)
    (fourth,) = detector.backbone(image)
    assert_equal_features(c4_features, (fourth, detector.roi_head.shared_head(fourth)))


@pytest.fixture
def c3_detector():
    """Backbone and FPN of RetinaNet and FCOS, with norms."""
    detector = nn.Module()
    detector.backbone = MODELS.build(dict(type='mmdet.ResNet', depth=50))
    detector.neck = MODELS.build(
        dict(
            type='mmdet.FPN',
            in_channels=[256, 512, 1024, 2048],
            out_channels=256,
            start_level=1,
            num_outs=5,
            add_extra_convs='on_output',
            norm_cfg=dict(type='BN'),
        )
    )
    return detector.eval()


@torch.no_grad()
def test_mmdet_p3(fpn_file, features, image, folder, c3_detector):
    keys = c3_detector.load_state_dict(extracted(fpn_file, 'mmdet-p3', folder), strict=False)
    assert not keys.unexpected_keys
    # P6 and P7 are new.
    assert {name.split('.')[2] for name in keys.missing_keys} == {'3', '4'}
    assert all(name.startswith('neck.fpn_convs.') for name in keys.missing_keys)
    pyramid = c3_detector.neck(c3_detector.backbone(image))
    assert_equal_features(features['pyramid'][1:], pyramid[:3])


@torch.no_grad()
@pytest.mark.parametrize('forgotten', ['fpn_convs', 'lateral_convs'])
def test_a_forgotten_shift_would_be_seen(fpn, features, image, c3_detector, forgotten):
    """What fits by shape loads, as mmengine does it; the features tell."""
    unshifted = detector_weights(fpn.state_dict(), 'fpn')
    weights = {new: unshifted[name] for name, new in rename(unshifted, 'mmdet-p3', 'fpn').taken.items()}
    own = c3_detector.state_dict()
    weights |= {
        name: tensor
        for name, tensor in unshifted.items()
        if name.startswith(f'neck.{forgotten}.') and name in own and tensor.shape == own[name].shape
    }
    assert not c3_detector.load_state_dict(weights, strict=False).unexpected_keys
    pyramid = c3_detector.neck(c3_detector.backbone(image))
    with pytest.raises(AssertionError):
        assert_equal_features(features['pyramid'][1:], pyramid[:3])


def conv(name, shape, bias=False, norm=True):
    """Names and shapes of detectron2's Conv2d, whose norm is a part of it."""
    statistics = ('weight', 'bias', 'running_mean', 'running_var') if norm else ()
    return {
        f'{name}.weight': shape,
        **({f'{name}.bias': shape[:1]} if bias else {}),
        **{f'{name}.norm.{statistic}': shape[:1] for statistic in statistics},
    }


def detectron2_stage(name, stage):
    """res2 to res5, stage 0 to 3: blocks of BottleneckBlock with a shortcut in the first."""
    width = 64 * 2**stage
    came = 64 if stage == 0 else 2 * width
    names = {}
    for block in range(BLOCKS[stage]):
        names |= conv(f'{name}.{block}.conv1', (width, 4 * width if block else came, 1, 1))
        names |= conv(f'{name}.{block}.conv2', (width, width, 3, 3))
        names |= conv(f'{name}.{block}.conv3', (4 * width, width, 1, 1))
    return names | conv(f'{name}.0.shortcut', (4 * width, came, 1, 1))


def detectron2_fpn():
    """Mask R-CNN R50-FPN, with NORM in backbone, FPN and box head and 4 conv, 1 fc in that."""
    names = conv('backbone.bottom_up.stem.conv1', (64, 3, 7, 7))
    for stage in range(4):
        names |= detectron2_stage(f'backbone.bottom_up.res{stage + 2}', stage)
        names |= conv(f'backbone.fpn_lateral{stage + 2}', (256, 256 * 2**stage, 1, 1))
        names |= conv(f'backbone.fpn_output{stage + 2}', (256, 256, 3, 3))
        names |= conv(f'roi_heads.box_head.conv{stage + 1}', (256, 256, 3, 3))
    return names | {'roi_heads.box_head.fc1.weight': (1024, 256 * 7 * 7), 'roi_heads.box_head.fc1.bias': (1024,)}


def detectron2_c4():
    names = conv('backbone.stem.conv1', (64, 3, 7, 7))
    for stage in range(3):
        names |= detectron2_stage(f'backbone.res{stage + 2}', stage)
    return names | detectron2_stage('roi_heads.res5', 3)


class OnlyArrays(pickle.Unpickler):
    def find_class(self, module, name):
        if (module, name) != ('numpy', 'ndarray'):
            raise pickle.UnpicklingError(f'{module}.{name} is code')
        return super().find_class(module, name)


def read_pickle(path):
    with path.open('rb') as file:
        return OnlyArrays(file, encoding='latin1').load()  # the encoding is detectron2's


FPN_TWINS = {
    'backbone.bottom_up.stem.conv1.weight': 'backbone.conv1.weight',
    'backbone.bottom_up.stem.conv1.norm.bias': 'backbone.bn1.bias',
    'backbone.bottom_up.res2.0.shortcut.weight': 'backbone.layer1.0.downsample.0.weight',
    'backbone.bottom_up.res3.0.shortcut.norm.running_mean': 'backbone.layer2.0.downsample.1.running_mean',
    'backbone.bottom_up.res4.5.conv2.weight': 'backbone.layer3.5.conv2.weight',
    'backbone.bottom_up.res5.2.conv3.norm.running_var': 'backbone.layer4.2.bn3.running_var',
    'backbone.fpn_lateral2.weight': 'neck.lateral_convs.0.conv.weight',
    'backbone.fpn_lateral5.norm.weight': 'neck.lateral_convs.3.bn.weight',
    'backbone.fpn_output3.weight': 'neck.fpn_convs.1.conv.weight',
    'backbone.fpn_output4.norm.running_mean': 'neck.fpn_convs.2.bn.running_mean',
    'roi_heads.box_head.conv1.weight': 'roi_head.bbox_head.shared_convs.0.conv.weight',
    'roi_heads.box_head.conv4.norm.bias': 'roi_head.bbox_head.shared_convs.3.bn.bias',
    'roi_heads.box_head.fc1.weight': 'roi_head.bbox_head.shared_fcs.0.weight',
}
C4_TWINS = {
    'backbone.stem.conv1.norm.weight': 'backbone.bn1.weight',
    'backbone.res4.0.shortcut.weight': 'backbone.layer3.0.downsample.0.weight',
    'roi_heads.res5.0.shortcut.norm.bias': 'roi_head.shared_head.layer4.0.downsample.1.bias',
    'roi_heads.res5.2.conv1.weight': 'roi_head.shared_head.layer4.2.conv1.weight',
}


@pytest.mark.parametrize(
    'kind, expected, twins', [('fpn', detectron2_fpn(), FPN_TWINS), ('c4', detectron2_c4(), C4_TWINS)]
)
def test_detectron2(request, folder, kind, expected, twins):
    """Against the documented architecture: detectron2 itself is not on PyPI."""
    path, table = extract(request.getfixturevalue(f'{kind}_file'), folder / 'out.pkl', 'detectron2')
    content = read_pickle(path)
    assert content['__author__'] == 'mmsoco' and content['matching_heuristics'] is True
    assert content['meta']['epoch'] == 100 and content['meta']['target'] == 'detectron2'
    assert {name: array.shape for name, array in content['model'].items()} == expected
    ours = detector_weights(request.getfixturevalue(kind).state_dict(), kind)
    for theirs, name in twins.items():
        assert torch.equal(torch.from_numpy(content['model'][theirs]), ours[name]), theirs
    assert all(array.flags.writeable for array in content['model'].values())
    # Every value arrives once.
    sums = [float(t.double().sum()) for name, t in ours.items() if not name.endswith('num_batches_tracked')]
    theirs = [float(array.sum(dtype='float64')) for array in content['model'].values()]
    assert sorted(theirs) == pytest.approx(sorted(sums))
    assert "left: detectron2's files hold no such counts" in table


@pytest.fixture(scope='module')
def names(root, fpn, c4):
    """What pretrainings of several kinds hold."""
    kinds = {'fpn': fpn, 'c4': c4, 'convnext': build(root, 'soco_convnext-t-fpn')}
    names = {kind: list(detector_weights(model.state_dict(), kind)) for kind, model in kinds.items()}
    names['no head'] = [name for name in names['fpn'] if not name.startswith('roi_head.')]
    names['no neck'] = [name for name in names['no head'] if not name.startswith('neck.')]
    names['fpn from c3'] = [
        name for name in names['no head'] if not name.startswith(('neck.lateral_convs.3.', 'neck.fpn_convs.3.'))
    ]
    return names


FITS = {
    'fpn': set(TOOLS) - {'mmdet-c4'},
    'c4': {'mmdet', 'mmdet-c4', 'backbone', 'torchvision', 'timm', 'detectron2'},
    'convnext': {'mmdet', 'mmdet-p3', 'backbone'},
    'no head': {'mmdet', 'mmdet-p3', 'backbone', 'torchvision', 'timm', 'detectron2'},
    'no neck': {'mmdet', 'backbone', 'torchvision', 'timm', 'detectron2'},
    'fpn from c3': {'mmdet', 'backbone', 'torchvision', 'timm'},
}


@pytest.mark.parametrize('target', TOOLS)
@pytest.mark.parametrize('kind', FITS)
def test_a_target_fits_or_is_refused(names, kind, target):
    if target in FITS[kind]:
        renaming = rename(names[kind], target, 'a.pth')
        assert sorted([*renaming.taken, *renaming.left]) == sorted(names[kind])
        assert len(set(renaming.taken.values())) == len(renaming.taken)
    else:
        with pytest.raises(UserError, match=rf"^a\.pth does not fit tool '{target}': it ") as caught:
            rename(names[kind], target, 'a.pth')
        assert '\n' not in str(caught.value)


@pytest.mark.parametrize(
    'kind, target, reason',
    [
        ('fpn', 'mmdet-c4', 'it needs a C4 pretraining'),
        ('c4', 'mmdet-p3', 'it needs an FPN, and this pretraining has none'),
        ('c4', 'torchvision-fpn', 'it needs an FPN'),
        ('no neck', 'torchvision-fpn', 'it needs an FPN'),
        ('no head', 'torchvision-fpn', 'it needs a box head of four convolutions'),
        ('fpn from c3', 'mmdet-p3', 'it needs an FPN from C2 to C5, and the one here has 3 levels'),
        ('convnext', 'timm', r'it is for ResNets, and the backbone here holds backbone\.downsample_layers'),
        ('convnext', 'detectron2', 'it is for ResNets.*choose mmdet, mmdet-p3 or backbone'),
    ],
)
def test_reasons(names, kind, target, reason):
    with pytest.raises(UserError, match=reason):
        rename(names[kind], target, 'a.pth')


@pytest.mark.parametrize('target', sorted(set(TOOLS) - {'mmdet', 'mmdet-c4'}))
@pytest.mark.parametrize('stranger', ['neck.downsample_convs.0.conv.weight', 'roi_head.attention.weight'])
def test_what_nobody_asked_for_is_never_dropped(names, target, stranger):
    known = names['fpn']
    if target in ('backbone', 'torchvision', 'timm') and stranger.startswith('neck.'):
        assert stranger in rename([*known, stranger], target, 'a.pth').left
        return
    with pytest.raises(UserError, match=f'{stranger} has no place in it'):
        rename([*known, stranger], target, 'a.pth')


def test_norms_of_torchvision_are_needed(names):
    """An FPN without norm has biases, for which torchvision's v2 has no place."""
    plain = [name.replace('bn.bias', 'conv.bias') for name in names['fpn']]
    with pytest.raises(UserError, match=r'neck\.lateral_convs\.0\.conv\.bias has no place in it'):
        rename(plain, 'torchvision-fpn', 'a.pth')


def test_two_of_one_name_are_refused(names):
    both = [*names['c4'], 'backbone.layer4.0.conv1.weight']
    with pytest.raises(UserError, match=r'would both become layer4\.0\.conv1\.weight'):
        rename(both, 'backbone', 'a.pth')
