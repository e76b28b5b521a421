import pytest
import torch

from mmsoco.checkpoints.pretraining import Origin, detector_weights
from mmsoco.checkpoints.transfer import plan_transfer
from mmsoco.registry import MODELS


@pytest.fixture
def model(tiny_model_cfg):
    """The batch's three views of 64, 64 and 32 px through a ResNet-18 with a last map of 64 channels."""
    torch.manual_seed(0)
    mlp = dict(hid_channels=16, out_channels=8)
    parts = dict(
        image_projector=dict(type='mmsoco.BYOLNeck', in_channels=64, **mlp),
        image_predictor=dict(type='mmsoco.BYOLHead', in_channels=8, **mlp),
    )
    model = MODELS.build({**tiny_model_cfg, **parts, 'type': 'mmsoco.JointSoCo', 'image_weight': 0.5})
    model.init_weights()
    return model


def losses_of(model, batch):
    return model(**model.data_preprocessor(batch, training=True), mode='loss')


def test_the_objects_losses_are_socos(model, batch, tiny_model_cfg):
    soco = MODELS.build(tiny_model_cfg)
    soco.load_state_dict({name: t for name, t in model.state_dict().items() if 'image_' not in name})
    joint, plain = losses_of(model, batch), losses_of(soco, batch)
    assert set(joint) - set(plain) == {'loss_image_v1_v2', 'loss_image_v1_v3'}
    assert all(torch.equal(joint[name], value) for name, value in plain.items() if 'loss' in name)


def test_the_images_loss_is_that_of_averaged_maps(model, batch):
    model.eval()
    losses, data = losses_of(model, batch), model.data_preprocessor(batch)
    whole = lambda net, view: net.image_projector(net.backbone(data['inputs'][view])[-1].mean(dim=(2, 3)))
    expected = sum(
        -2 * torch.cosine_similarity(model.image_predictor(whole(model, a)), whole(model.target, b)).mean()
        for a, b in (('v1', 'v3'), ('v3', 'v1'))
    )
    torch.testing.assert_close(losses['loss_image_v1_v3'], 0.5 * expected)


def test_the_last_stage_learns_without_the_fpn(model, batch):
    loss = losses_of(model, batch)['loss_image_v1_v2']
    # Of the shortcut: the last norm of each block begins with zeros.
    last, neck = model.backbone.layer4[0].downsample[0].weight, model.neck.lateral_convs[3].conv.weight
    gradients = torch.autograd.grad(loss, [last, neck, model.image_projector.fc0.weight], allow_unused=True)
    assert gradients[0].any() and gradients[1] is None and gradients[2].any()


def test_its_parts_stay_behind_and_the_table_says_so(model):
    state, said = model.state_dict(), model.describe()
    origin = Origin.of({'meta': {'pretraining': said}})
    weights = detector_weights(state, 'joint.pth', origin)
    assert {name.split('.')[0] for name in weights} == {'backbone', 'neck', 'roi_head'}
    behind = {name: tensor for name, tensor in state.items() if name not in weights}
    transfer = plan_transfer(weights, {name: torch.zeros_like(t) for name, t in weights.items()}, behind=behind)
    rows = [line.split()[0] for line in transfer.table().splitlines() if 'left: only for pretraining' in line]
    assert {'image_projector', 'image_predictor', 'target'} <= set(rows) and not transfer.problems
    assert said['method'] == 'JointSoCo' and any(name.startswith('target.image_projector.') for name in behind)
