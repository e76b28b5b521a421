"""Files of weights as other tools have them, of real models with random numbers, small or of their usual size."""

import torch
import torchvision
from torch import nn


def scrambled(model: nn.Module) -> nn.Module:
    """A model in evaluation, of which no two parameters or statistics are alike."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if name.endswith('running_var'):
                tensor.uniform_(0.5, 1.5, generator=generator)
            elif tensor.is_floating_point() and tensor.ndim == 1:
                tensor.normal_(float(name.endswith('weight')), 0.1, generator=generator)
    return model.eval()


def resnet18() -> nn.Module:
    """torchvision's."""
    return scrambled(torchvision.models.resnet18())


def moco(backbone: nn.Module, version: int) -> dict:
    """What MoCo's authors save: the network, its moving average, and for version 1 and 2 a queue."""
    mine, other = ('encoder_q', 'encoder_k') if version < 3 else ('base_encoder', 'momentum_encoder')
    state = {}
    for prefix, sign in ((mine, 1), (other, -1)):
        state |= {f'module.{prefix}.{name}': sign * tensor for name, tensor in backbone.state_dict().items()}
    if version < 3:
        state['module.queue'] = torch.zeros(4, 8)
    return {'epoch': 200, 'arch': 'resnet18', 'state_dict': state, 'optimizer': {'state': {}, 'param_groups': []}}


def dino(backbone: nn.Module) -> dict:
    """What DINO's authors save: a student in DistributedDataParallel, and the teacher."""
    weights = backbone.state_dict()
    student = {f'module.backbone.{name}': -tensor for name, tensor in weights.items() if not name.startswith('fc.')}
    teacher = {f'backbone.{name}': tensor for name, tensor in weights.items() if not name.startswith('fc.')}
    heads = {'head.mlp.0.weight': torch.ones(2, 2)}
    return {'student': student | heads, 'teacher': teacher | heads, 'epoch': 100}


def mmpretrains(backbone: nn.Module) -> dict:
    """What mmpretrain saves of a classifier."""
    state = {name: tensor for name, tensor in backbone.state_dict().items() if not name.startswith('fc.')}
    text = (
        "model = dict(backbone=dict(depth=18, type='ResNet'), type='ImageClassifier')\n"
        'data_preprocessor = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True)\n'
    )
    named = {f'backbone.{name}': tensor for name, tensor in state.items()}
    return {'state_dict': named | {'head.fc.weight': torch.ones(3, 512)}, 'meta': {'cfg': text}}
