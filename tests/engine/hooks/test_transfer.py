"""What a checkpoint says of its pretraining reaches the detector."""

from types import SimpleNamespace

import pytest
import torch
from foreign_weights import resnet18
from mmengine.hub import get_config
from mmengine.registry import DefaultScope
from mmengine.runner import BaseLoop, EpochBasedTrainLoop

from mmsoco.checkpoints.extract import extract
from mmsoco.checkpoints.pretraining import Origin
from mmsoco.engine.hooks.transfer import TransferHook
from mmsoco.engine.launch import train
from mmsoco.errors import UserError
from mmsoco.registry import MODELS

MEAN, STD = [100.0, 110.5, 120.25], [50.0, 60.0, 70.5]


@pytest.fixture(scope='module')
def checkpoint(recipe, images, proposal_file, tmp_path_factory):
    """Of a pretraining with statistics of its own."""
    from shrinking import shrink

    work_dir = tmp_path_factory.mktemp('other_statistics')
    options = shrink(recipe, images, proposal_file)
    options['model.data_preprocessor'] = dict(type='SoCoDataPreprocessor', mean=MEAN, std=STD)
    train(recipe, str(work_dir), amp=False, options=options)
    return work_dir / 'epoch_2.pth'


def detector_config(mean, std):
    """Faster R-CNN of the same widths."""
    cfg = get_config('mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py')
    norm = dict(type='BN')
    widths = dict(depth=18, base_channels=8, stem_channels=8, init_cfg=None)
    head = dict(type='Shared4Conv1FCBBoxHead', in_channels=4, conv_out_channels=4, fc_out_channels=8, norm_cfg=norm)
    cfg.merge_from_dict(
        {
            'model.data_preprocessor': dict(mean=mean, std=std),
            'model.backbone': widths,
            'model.neck': dict(in_channels=[8, 16, 32, 64], out_channels=4, norm_cfg=norm),
            'model.rpn_head': dict(in_channels=4, feat_channels=4),
            'model.roi_head.bbox_roi_extractor.out_channels': 4,
            'model.roi_head.bbox_head': head,
        }
    )
    return cfg.model


def detector(mean, std):
    from mmdet.registry import MODELS

    with DefaultScope.overwrite_default_scope('mmdet'):
        return MODELS.build(detector_config(mean, std))


def load(checkpoint, model):
    said = []
    runner = SimpleNamespace(
        model=model, _resume=False, _train_loop=None, _load_from='x.pth', logger=SimpleNamespace(info=said.append)
    )
    TransferHook().after_load_checkpoint(runner, torch.load(checkpoint, weights_only=True))
    return said[-1]


def test_a_checkpoint_says_what_was_shown_and_what_a_detector_takes(checkpoint, tmp_path):
    content = torch.load(checkpoint, weights_only=True)
    shown = content['meta']['pretraining']
    assert shown['method'] == 'SoCoAlgorithm' and shown['parts'] == ['backbone', 'neck', 'roi_head']
    assert (shown['mean'], shown['std'], shown['channels']) == (MEAN, STD, 'rgb')
    assert [view['name'] for view in shown['views']] == ['v1', 'v2', 'v3'] and shown['num_proposals'] == 4
    assert shown['pairs'] == [['v1', 'v2'], ['v1', 'v3']]
    # So does what is made of it.
    extracted, _ = extract(checkpoint, tmp_path / 'detector.pth')
    again = torch.load(extracted, weights_only=True)
    assert {**again['meta']['pretraining'], 'views': ()} == {**shown, 'views': ()}
    assert [view['crop'] and view['crop']['scale'] for view in again['meta']['pretraining']['views']] == [
        None,
        [0.5, 1.0],
        None,
    ]
    assert Origin.of(again) == Origin.of(content) and Origin.of(again).said


def test_a_detector_is_shown_the_same(checkpoint, tmp_path):
    table = load(checkpoint, detector(MEAN, STD))
    assert 'backbone' in table and 'target' in table and 'left: only for pretraining' in table
    extracted, _ = extract(checkpoint, tmp_path / 'detector.pth')
    assert 'left: only for pretraining' not in load(extracted, detector(MEAN, STD))
    for file in (checkpoint, extracted):
        with pytest.raises(UserError, match=r'set in its data_preprocessor mean=\[100.0, 110.5, 120.25\], std=\[50.0'):
            load(file, detector([123.675, 116.28, 103.53], [58.395, 57.12, 57.375]))


def test_the_order_of_channels_counts(checkpoint, tmp_path):
    bgr = torch.load(checkpoint, weights_only=True)
    bgr['meta']['pretraining']['channels'] = 'bgr'
    torch.save(bgr, tmp_path / 'bgr.pth')
    with pytest.raises(UserError, match='bgr_to_rgb=False'):
        load(tmp_path / 'bgr.pth', detector(MEAN, STD))


def test_an_incomplete_description_is_none(checkpoint):
    content = torch.load(checkpoint, weights_only=True)
    del content['meta']['pretraining']['mean']
    assert Origin.of(content) == Origin() and not Origin.of(content).said


def test_checkpoints_of_earlier_versions_were_shown_imagenets(checkpoint, tmp_path):
    old = torch.load(checkpoint, weights_only=True)
    del old['meta']['pretraining']
    torch.save(old, tmp_path / 'old.pth')
    assert not Origin.of(old).said
    load(tmp_path / 'old.pth', detector([123.675, 116.28, 103.53], [58.395, 57.12, 57.375]))
    with pytest.raises(UserError, match=r'mean=\[123.675, 116.28, 103.53\]'):
        load(tmp_path / 'old.pth', detector(MEAN, STD))


def save_with(checkpoint, path, prefix, container='state_dict'):
    """The same weights, as another tool has them."""
    content = torch.load(checkpoint, weights_only=True)
    weights = {prefix + name: tensor for name, tensor in content.pop('state_dict').items()}
    torch.save({**content, container: weights}, path)
    return path


@pytest.mark.parametrize(('prefix', 'container'), [('module.', 'state_dict'), ('_orig_mod.', 'model')])
def test_what_is_wrapped_around_it_is_taken_off_and_said(checkpoint, tmp_path, prefix, container):
    wrapped = save_with(checkpoint, tmp_path / 'wrapped.pth', prefix, container)
    said = []
    content = torch.load(wrapped, weights_only=True)
    runner = SimpleNamespace(
        model=detector(MEAN, STD),
        _resume=False,
        _train_loop=None,
        _load_from='x.pth',
        logger=SimpleNamespace(info=said.append),
    )
    TransferHook().after_load_checkpoint(runner, content)
    assert said[-1] == load(checkpoint, detector(MEAN, STD)) and 'taken off its names' in ' '.join(said[:-1])
    whole = torch.load(checkpoint, weights_only=True)['state_dict']
    for name, tensor in content['state_dict'].items():
        assert torch.equal(tensor, whole[name])
    plain, _ = extract(checkpoint, tmp_path / 'a.pth')
    other, table = extract(wrapped, tmp_path / 'b.pth')
    assert 'taken off its names' in table
    assert torch.load(plain, weights_only=True)['state_dict'].keys() == {*torch.load(other)['state_dict']}


def test_a_detectors_own_checkpoint_passes_wrapped_too():
    model = detector(MEAN, STD)
    content = {'state_dict': {f'module.{name}': tensor + 1 for name, tensor in model.state_dict().items()}}
    runner = SimpleNamespace(
        model=model, _resume=True, _train_loop=None, _load_from='x.pth', logger=SimpleNamespace(info=print)
    )
    TransferHook().after_load_checkpoint(runner, content)
    assert content['state_dict'].keys() == model.state_dict().keys()


def test_a_backbone_of_torchvision():
    """Accounted for as a pretraining is, and told from one in the detector's checkpoints."""
    from mmdet.registry import MODELS

    cfg = detector_config([123.675, 116.28, 103.53], [58.395, 57.12, 57.375])
    cfg.backbone.update(base_channels=64, stem_channels=64)
    cfg.neck.in_channels = [64, 128, 256, 512]
    with DefaultScope.overwrite_default_scope('mmdet'):
        model = MODELS.build(cfg)
    said, content = [], resnet18().state_dict()
    runner = SimpleNamespace(
        model=model, _resume=False, _train_loop=None, _load_from='r.pth', logger=SimpleNamespace(info=said.append)
    )
    hook = TransferHook()
    hook.after_load_checkpoint(runner, content)
    assert content['state_dict'].keys() == {name for name in model.state_dict() if name.startswith('backbone.')}
    rows = [line.split(maxsplit=3) for line in said[-1].splitlines()[2:]]
    assert ['backbone', '120', '11,186,132', 'loaded'] in rows
    assert {part for part, *_, why in rows if why == 'new: not part of these weights'} >= {'neck', 'rpn_head'}
    assert [part for part, *_, why in rows if why.startswith('left: of a classifier')] == ['fc']
    checkpoint = {'meta': {}}
    hook.before_save_checkpoint(runner, checkpoint)
    assert checkpoint['meta']['init'] == {
        'file': 'r.pth',
        'sha256': None,
        'kind': 'a backbone (ResNet)',
        'loaded': ['backbone.'],
    }
    lost = resnet18().state_dict()
    del lost['layer4.1.bn2.weight']
    with pytest.raises(UserError, match=r'backbone\.layer4\.1\.bn2\.weight of the model is not in'):
        TransferHook().after_load_checkpoint(runner, lost)


def test_a_caffe_files_name_is_believed():
    """Its shapes fit a ResNet of PyTorch's style, in which its features would be wrong."""
    cfg = get_config('mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py').model
    cfg.backbone.init_cfg = None
    with DefaultScope.overwrite_default_scope('mmdet'):
        model = MODELS.build(cfg)
    runner = SimpleNamespace(model=model, _resume=False, _train_loop=None, _load_from='a/resnet50_caffe-788b.pth')
    weights = {name.removeprefix('backbone.'): t for name, t in model.state_dict().items() if 'backbone.' in name}
    with pytest.raises(UserError, match="the model's ResNet is pytorch-style"):
        TransferHook().after_load_checkpoint(runner, weights)


def test_student_and_teacher_of_a_semi_supervised_detector(checkpoint):
    """mmdet's own, of the small detector: both see the pretraining's features."""
    from mmdet.registry import MODELS

    inner = detector_config(MEAN, STD)
    outer = dict(type='MultiBranchDataPreprocessor', data_preprocessor=inner.data_preprocessor)
    cfg = dict(
        type='SoftTeacher',
        detector=inner,
        data_preprocessor=outer,
        semi_train_cfg=dict(freeze_teacher=True, cls_pseudo_thr=0.9),
        semi_test_cfg=dict(predict_on='teacher'),
    )
    with DefaultScope.overwrite_default_scope('mmdet'):
        model = MODELS.build(cfg)
    content = torch.load(checkpoint, weights_only=True)
    runner = SimpleNamespace(
        model=model, _resume=False, _train_loop=None, _load_from='x.pth', logger=SimpleNamespace(info=print)
    )
    TransferHook().after_load_checkpoint(runner, content)
    model.load_state_dict(content['state_dict'], strict=False)
    weights = torch.load(checkpoint, weights_only=True)['state_dict']
    for name in ('backbone.layer4.0.conv1.weight', 'neck.fpn_convs.0.conv.weight'):
        for part in ('student', 'teacher'):
            assert torch.equal(model.state_dict()[f'{part}.{name}'], weights[name])
    outer['data_preprocessor'] = {**inner.data_preprocessor, 'mean': [1.0, 2.0, 3.0]}
    with DefaultScope.overwrite_default_scope('mmdet'):
        runner.model = MODELS.build(cfg)
    with pytest.raises(UserError, match='the model sees other images'):
        TransferHook().after_load_checkpoint(runner, torch.load(checkpoint, weights_only=True))


def begin(model, content, to_train=True, **options):
    """What is said, and what is remembered, where weights of the model's own names are loaded."""
    said = []
    loop = BaseLoop.__new__(EpochBasedTrainLoop) if to_train else {}
    runner = SimpleNamespace(
        model=model,
        _resume=False,
        _load_from='x.pth',
        _train_loop=loop,
        logger=SimpleNamespace(info=said.append),
    )
    hook = TransferHook(**options)
    hook.after_load_checkpoint(runner, content)
    return said, hook.began


def test_a_trained_detector_of_the_same_build_is_said_and_compared():
    """All of it loads; its images are compared, and what it owes is written into the checkpoints."""
    config = 'model = dict(data_preprocessor=dict(mean=[103, 116, 123], std=[1, 1, 1], bgr_to_rgb=False))'
    content = {'state_dict': detector(MEAN, STD).state_dict(), 'meta': {'cfg': config}}
    with pytest.raises(UserError, match=r'the model sees other images .* mean=\[103.*bgr_to_rgb=False'):
        begin(detector(MEAN, STD), content)
    said, began = begin(detector(MEAN, STD), content, same_images=False)
    assert 'rpn_head' in said[-1] and 'new' not in said[-1] and began['file'] == 'x.pth'
    # Of whole numbers, too, which are how configs have them.
    like = detector([103, 116, 123], [1, 1, 1])
    like.data_preprocessor._channel_conversion = False
    assert begin(like, content)[1]['kind'].startswith('a detector')
    # A test has nothing to begin from.
    assert begin(detector(MEAN, STD), content, to_train=False) == ([], None)


def test_a_trained_detector_of_other_classes_names_the_way_out():
    content = {'state_dict': dict(detector(MEAN, STD).state_dict()), 'meta': {}}
    content['state_dict']['roi_head.bbox_head.fc_cls.bias'] = torch.zeros(3)
    with pytest.raises(UserError, match='with other classes leave TransferHook out'):
        begin(detector(MEAN, STD), content)
