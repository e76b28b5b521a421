import pytest

from mmsoco.errors import UserError
from mmsoco.pretrain.asked import Asked, Machine
from mmsoco.pretrain.networks import ONE_STAGE, Network, network_for

CPU, GPU = Machine(0, 2), Machine(1, 8)


@pytest.mark.parametrize(
    ('detector', 'backbone', 'machine', 'chosen'),
    [
        ('mask-rcnn', None, CPU, None),
        ('fcos', None, CPU, None),
        ('c4', None, CPU, 'resnet18'),
        ('mask-rcnn', None, GPU, 'resnet50'),
        ('c4', None, GPU, 'resnet50'),
        ('retinanet', 'resnet101', GPU, 'resnet101'),
        ('faster-rcnn', 'swin-t', CPU, 'swin-t'),
    ],
)
def test_the_network(detector, backbone, machine, chosen):
    network, row = network_for(Asked(detector=detector, backbone=backbone), machine)
    assert network == Network(detector, chosen) and row.choice.startswith(detector)
    assert ('box head only trains' in row.why) is (detector in ONE_STAGE and chosen is not None)


def test_networks_that_cannot_be():
    with pytest.raises(UserError, match='--detector c4 takes a ResNet'):
        network_for(Asked(detector='c4', backbone='swin-t'), GPU)
    with pytest.raises(UserError, match="--detector fcos takes the maps from P3 on of an FPN, and vit-b's are"):
        network_for(Asked(detector='fcos', backbone='vit-b'), GPU)
    with pytest.raises(UserError, match='--init needs --backbone here'):
        network_for(Asked(init='weights.pth'), CPU)
    assert network_for(Asked(init='weights.pth'), GPU)[0].backbone == 'resnet50'
