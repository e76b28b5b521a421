import pytest
import torch

from mmsoco.models import BYOLHead, BYOLNeck


def test_layers_are_linear_bn_relu_linear_with_biases_and_no_last_norm():
    neck = BYOLNeck(6, 8, 4)
    shapes = {name: tuple(p.shape) for name, p in neck.named_parameters()}
    assert shapes == {
        'fc0.weight': (8, 6),
        'fc0.bias': (8,),
        'bn0.weight': (8,),
        'bn0.bias': (8,),
        'fc1.weight': (4, 8),
        'fc1.bias': (4,),
    }
    assert isinstance(neck.bn0, torch.nn.BatchNorm1d)
    x = torch.randn(5, 6)
    hidden = torch.nn.functional.batch_norm(neck.fc0(x), None, None, neck.bn0.weight, neck.bn0.bias, training=True)
    torch.testing.assert_close(neck(x), neck.fc1(hidden.relu()))


def test_papers_widths_are_the_default():
    neck = BYOLNeck(1024)
    assert neck.fc0.out_features == 4096 and neck.fc1.out_features == 256


def test_loss_is_minus_twice_the_cosine():
    head = BYOLHead(4, 8, 4)
    a = torch.tensor([[1.0, 0, 0, 0], [0, 2.0, 0, 0], [1.0, 1.0, 0, 0]])
    b = torch.tensor([[5.0, 0, 0, 0], [0, -1.0, 0, 0], [1.0, 0.0, 0, 0]])
    assert head.loss(a, b).item() == pytest.approx((-2 + 2 - 2 / 2**0.5) / 3)


def test_loss_gives_the_target_no_gradient():
    a, b = torch.randn(3, 4, requires_grad=True), torch.randn(3, 4, requires_grad=True)
    BYOLHead(4, 8, 4).loss(a, b).backward()
    assert a.grad is not None and b.grad is None


def test_loss_is_computed_in_float32_under_autocast():
    a, b = torch.randn(64, 256), torch.randn(64, 256)
    with torch.autocast('cpu', torch.bfloat16):
        loss = BYOLHead(4, 8, 4).loss(a, b)
    torch.testing.assert_close(loss, BYOLHead(4, 8, 4).loss(a, b), rtol=0, atol=0)
