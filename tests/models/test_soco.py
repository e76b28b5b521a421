import copy

import pytest
import torch
from mmengine.model import revert_sync_batchnorm
from torch import nn

from mmsoco.models import SoCoAlgorithm
from mmsoco.registry import MODELS


@pytest.fixture
def model(tiny_model_cfg):
    torch.manual_seed(0)
    model = MODELS.build(tiny_model_cfg)
    model.init_weights()
    return model


def eval_norms(model):
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()


def perturb(model):
    """Make online and target differ, as they do after some steps."""
    with torch.no_grad():
        for p in model.target.parameters():
            p.add_(0.1 * torch.randn_like(p))


def run(model, batch):
    return model(**model.data_preprocessor(batch, training=True), mode='loss')


def test_loss_equals_a_plain_loop(model, batch):
    """Image by image, box by box, pair by pair, with BN statistics fixed."""
    perturb(model)
    eval_norms(model)
    losses = run(model, batch)
    data = model.data_preprocessor(batch)

    def embed(network, view, image, box):
        feats = network.neck(network.backbone(data['inputs'][view][image : image + 1]))
        size = data['inputs'][view].shape[-2:]
        return network.projector(network.roi_head(feats, box[None, None], size))[0]

    for a, b in model.pairs:
        total = 0
        boxes = {name: sets['image+v2'] for name, sets in data['boxes'].items()}
        for image in range(2):
            for row in range(3):
                for x, y in ((a, b), (b, a)):
                    p = model.predictor(embed(model, x, image, boxes[x][image, row])[None])[0]
                    z = embed(model.target, y, image, boxes[y][image, row])
                    total = total - 2 * (p @ z) / (p.norm() * z.norm())
        torch.testing.assert_close(losses[f'loss_{a}_{b}'], total / (2 * 3), rtol=1e-4, atol=1e-5)


def test_loss_of_equal_views_and_networks_is_at_its_minimum(model, batch):
    """With an identity for a predictor, equal inputs give cosine 1 everywhere: -4 a pair."""
    model.predictor.forward = lambda z: z
    eval_norms(model)
    for name in ('v2', 'v3'):
        batch['inputs'][name] = batch['inputs']['v1']
        batch['boxes'][name] = batch['boxes']['v1']
    losses = run(model, batch)
    assert losses['loss_v1_v2'].item() == pytest.approx(-4, abs=1e-4)
    assert losses['loss_v1_v3'].item() == pytest.approx(-4, abs=1e-4)


def test_gradient_reaches_the_whole_online_network_and_not_the_target(model, batch):
    loss, _ = model.parse_losses(run(model, batch))
    loss.backward()
    for name, p in model.named_parameters():
        if name.startswith('target.'):
            assert p.grad is None and not p.requires_grad, name
        else:
            assert p.grad is not None, name
    for part in (model.backbone.conv1, model.neck.lateral_convs[0].conv, model.predictor.fc1):
        assert part.weight.grad.any()


def test_target_equals_online_after_init(model):
    for name, module in model.followed.items():
        for key, value in module.state_dict().items():
            assert torch.equal(value, getattr(model.target, name).state_dict()[key]), f'{name}.{key}'


def test_target_keeps_its_own_statistics(model, batch):
    run(model, batch)
    perturb(model)
    run(model, batch)
    online, target = model.backbone.bn1, model.target.backbone.bn1
    assert target.training and online.training
    assert target.num_batches_tracked == online.num_batches_tracked == 6  # three views, twice
    assert not torch.equal(online.running_mean, target.running_mean)


def test_bn_sees_one_view_at_a_time(model, batch):
    """The first view's embedding does not depend on what the others hold."""
    first = model(**model.data_preprocessor(batch), mode='tensor')['v1']['image+v2']
    batch['inputs']['v2'] = 255 - batch['inputs']['v2']
    again = model(**model.data_preprocessor(batch), mode='tensor')['v1']['image+v2']
    torch.testing.assert_close(first, again)


def test_two_sets_of_boxes_share_a_views_feature_maps(tiny_model_cfg, batch):
    """A fourth view with its own set of boxes: the backbone still runs once a view."""
    tiny_model_cfg['pairs'] = [('v1', 'v2'), ('v1', 'v4')]
    model = MODELS.build(tiny_model_cfg)
    batch['inputs'] = {'v1': batch['inputs']['v1'], 'v2': batch['inputs']['v2'], 'v4': batch['inputs']['v3']}
    boxes = {name: sets['image+v2'] for name, sets in batch['boxes'].items()}
    batch['boxes'] = {
        'v1': {'image+v2': boxes['v1'], 'image+v4': boxes['v1'] + 1},
        'v2': {'image+v2': boxes['v2']},
        'v4': {'image+v4': boxes['v3']},
    }
    calls = []
    model.backbone.register_forward_hook(lambda *_: calls.append(1))
    data = model.data_preprocessor(batch)
    embeddings = model(**data, mode='tensor')
    assert len(calls) == 3
    assert {name: list(sets) for name, sets in embeddings.items()} == {
        'v1': ['image+v2', 'image+v4'],
        'v2': ['image+v2'],
        'v4': ['image+v4'],
    }
    assert not torch.allclose(embeddings['v1']['image+v2'], embeddings['v1']['image+v4'])


def test_figures_for_the_log(model, batch):
    batch['matches']['image+v2'] = dict.fromkeys(model.pairs, torch.tensor([3, 1]))
    losses = run(model, batch)
    assert losses['distinct_boxes'].item() == 2.0
    with torch.no_grad():
        model.target.projector.fc1.weight.zero_()  # all embeddings alike
    assert losses['target_std'] > 0.01
    assert run(model, batch)['target_std'] < 1e-6


def test_c4_has_no_neck_and_a_shared_head(batch):
    model = SoCoAlgorithm(
        backbone=dict(
            type='mmdet.ResNet',
            depth=18,
            base_channels=8,
            num_stages=3,
            strides=(1, 2, 2),
            dilations=(1, 1, 1),
            out_indices=(2,),
            norm_eval=False,
            init_cfg=None,
        ),
        roi_head=dict(
            type='mmsoco.ProposalRoIHead',
            bbox_roi_extractor=dict(type='mmsoco.ScaleAwareRoIExtractor', max_sizes=(), output_size=14),
            shared_head=dict(type='mmdet.ResLayer', depth=50, stage=3, norm_eval=False, init_cfg=None),
        ),
        projector=dict(type='mmsoco.BYOLNeck', in_channels=2048, hid_channels=8, out_channels=4),
        predictor=dict(type='mmsoco.BYOLHead', in_channels=4, hid_channels=8, out_channels=4),
        pairs=[('v1', 'v2')],
    )
    assert any(name.startswith('roi_head.shared_head.layer4.') for name in model.state_dict())
    assert not any('neck' in name for name in model.state_dict())


def test_weights_are_in_the_views_memory_format(tiny_model_cfg):
    assert MODELS.build(copy.deepcopy(tiny_model_cfg)).backbone.conv1.weight.is_contiguous(
        memory_format=torch.channels_last
    )
    tiny_model_cfg['data_preprocessor'] = dict(type='mmsoco.SoCoDataPreprocessor', channels_last=False)
    assert MODELS.build(tiny_model_cfg).backbone.conv1.weight.is_contiguous()


def test_pair_without_matched_boxes(model, batch):
    batch['matches']['image+v2'].pop(('v1', 'v3'))
    with pytest.raises(ValueError, match=r"no boxes match across the pair \('v1', 'v3'\)"):
        run(model, batch)


def test_unknown_mode(model):
    with pytest.raises(ValueError, match='predict'):
        model({}, boxes={}, mode='predict')


def test_every_bn_becomes_synchronised(model):
    """mmengine converts by module: nothing may hold BN out of its reach."""
    synced = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    assert not any(type(m) in (nn.BatchNorm1d, nn.BatchNorm2d) for m in synced.modules())
    assert isinstance(synced.followed['backbone'].bn1, nn.SyncBatchNorm)
    revert_sync_batchnorm(synced)
