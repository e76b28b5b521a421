"""A slow, plain PyTorch reference of the model that SoCo's official code pretrains.

It is written apart from the package, from the numbers alone: neither it nor the benchmark's step, whose pooling,
levels and loss it shares, imports anything of mmsoco or OpenMMLab, so that a test can hold the package's model
against it. Parameters bear the names of the official checkpoints without `module.`.
"""

import copy
from collections import OrderedDict

import torch
import torch.nn.functional as F
from released_step import direction_loss, fpn_levels, pool
from torch import nn
from torchvision.models import resnet50


def conv_bn(inputs, outputs, size):
    return nn.Sequential(
        OrderedDict(
            conv=nn.Conv2d(inputs, outputs, size, padding=size // 2, bias=False),
            bn=nn.BatchNorm2d(outputs),
        )
    )


def box_head():
    """Four convolutions and a linear layer: (N, 256, 7, 7) to (N, 1024)."""
    layers = OrderedDict()
    for n in range(1, 5):
        layers[f'conv{n}'] = nn.Conv2d(256, 256, 3, padding=1, bias=False)
        layers[f'bn{n}'] = nn.BatchNorm2d(256)
        layers[f'relu{n}'] = nn.ReLU()
    layers['flatten'] = nn.Flatten()
    layers['fc1'] = nn.Linear(256 * 7 * 7, 1024)
    layers['relu5'] = nn.ReLU()
    return nn.Sequential(layers)


def mlp(inputs, hidden):
    return nn.Sequential(
        OrderedDict(
            linear1=nn.Linear(inputs, hidden),
            bn1=nn.BatchNorm1d(hidden),
            relu=nn.ReLU(),
            linear2=nn.Linear(hidden, 256),
        )
    )


class FPN(nn.Module):
    """C2..C5 to P2..P5, batch norm after every convolution, no activation."""

    def __init__(self):
        super().__init__()
        self.lateral_convs = nn.ModuleList(conv_bn(channels, 256, 1) for channels in (256, 512, 1024, 2048))
        self.fpn_convs = nn.ModuleList(conv_bn(256, 256, 3) for _ in range(4))

    def forward(self, maps):
        merged = [lateral(c) for lateral, c in zip(self.lateral_convs, maps, strict=True)]
        for level in (2, 1, 0):
            finer, coarser = merged[level], merged[level + 1]
            merged[level] = finer + F.interpolate(coarser, size=finer.shape[-2:], mode='nearest')
        return [conv(x) for conv, x in zip(self.fpn_convs, merged, strict=True)]


def run_encoder(encoder, images, last):
    """The outputs of layer1 to layer`last`."""
    x = encoder.maxpool(encoder.relu(encoder.bn1(encoder.conv1(images))))
    maps = []
    for n in range(1, last + 1):
        x = getattr(encoder, f'layer{n}')(x)
        maps.append(x)
    return maps


class OfficialModel(nn.Module):
    """What the two architectures share: a subclass names its modules, `feature_maps`, `describe` and `levels`."""

    def __init__(self, pairs, hidden, width, **modules):
        super().__init__()
        self.pairs = pairs
        self.encoder = resnet50()
        del self.encoder.fc
        for name, module in modules.items():
            self.add_module(name, module)
        self.projector = mlp(width, hidden)
        for name, module in list(self.named_children()):
            self.add_module(f'{name}_k', copy.deepcopy(module).requires_grad_(False))
        self.predictor = mlp(256, hidden)

    def feature_maps(self, images, suffix):
        """The maps to pool from, of the online (suffix '') or the target network ('_k')."""
        raise NotImplementedError

    def describe(self, feature_map, boxes, view_size, suffix):
        """What the projector takes, (B * K, width), with all boxes pooled from one map."""
        raise NotImplementedError

    def levels(self, boxes, integer):
        raise NotImplementedError

    def project(self, maps, boxes, view_size, suffix):
        """The projections of all boxes, for each map a tensor (B * K, 256)."""
        projector = getattr(self, f'projector{suffix}')
        return [projector(self.describe(m, boxes, view_size, suffix)) for m in maps]

    def loss(self, views, boxes, identities, integer_levels=False):
        """The scalar loss; boxes and identities have keys (pair, view name), boxes are in pixels of the view."""
        online, target = {}, {}
        for name in dict.fromkeys(name for pair in self.pairs for name in pair):
            online[name] = self.feature_maps(views[name], '')
            with torch.no_grad():
                target[name] = self.feature_maps(views[name], '_k')

        total = 0
        for pair in self.pairs:
            p, z, levels = {}, {}, {}
            for name in pair:
                pair_boxes, view_size = boxes[pair, name], views[name].shape[-1]
                rows = (*pair_boxes.shape[:2], 256)
                projected = self.project(online[name], pair_boxes, view_size, '')
                p[name] = [self.predictor(y).view(rows) for y in projected]
                with torch.no_grad():
                    z[name] = [y.view(rows) for y in self.project(target[name], pair_boxes, view_size, '_k')]
                levels[name] = self.levels(pair_boxes, integer_levels)
            for a, b in (pair, pair[::-1]):
                total = total + direction_loss(
                    p[a], z[b], levels[a], levels[b], identities[pair, a], identities[pair, b]
                )
        return total


class OfficialFPN(OfficialModel):
    """R50-FPN: every box goes through everything at every level, its own level is chosen in the loss."""

    def __init__(self, pairs, hidden=4096):
        super().__init__(pairs, hidden, width=1024, neck=FPN(), head=box_head())

    def feature_maps(self, images, suffix):
        maps = run_encoder(getattr(self, f'encoder{suffix}'), images, last=4)
        return getattr(self, f'neck{suffix}')(maps)

    def describe(self, feature_map, boxes, view_size, suffix):
        return getattr(self, f'head{suffix}')(pool(feature_map, boxes, view_size, output_size=7))

    def levels(self, boxes, integer):
        return fpn_levels(boxes, integer)


class OfficialC4(OfficialModel):
    """R50-C4: one map, layer3's; layer4 is the head."""

    def __init__(self, pairs, hidden=4096):
        super().__init__(pairs, hidden, width=2048)
        # Left over in the official checkpoints, used by nothing.
        self.register_buffer('queue', torch.zeros(128, 65536))
        self.register_buffer('queue_ptr', torch.zeros(1, dtype=torch.long))

    def feature_maps(self, images, suffix):
        return run_encoder(getattr(self, f'encoder{suffix}'), images, last=3)[-1:]

    def describe(self, feature_map, boxes, view_size, suffix):
        layer4 = getattr(self, f'encoder{suffix}').layer4
        return layer4(pool(feature_map, boxes, view_size, output_size=14)).mean(dim=(2, 3))

    def levels(self, boxes, integer):
        return torch.zeros(boxes.shape[:2], dtype=torch.long, device=boxes.device)
