#!/usr/bin/env python
"""Pretrain a backbone by DenseCL of lightly, a peer of mmsoco, in the same time, for tools/evidence/Makefile.

It needs an environment of its own, of which nothing is installed here:

python -m venv peer && peer/bin/pip install lightly
peer/bin/python tools/evidence/peer.py IMAGES backbone.pth --minutes 8
"""

import argparse
import copy
import math
import time

import torch
from lightly.data import LightlyDataset
from lightly.loss import NTXentLoss
from lightly.models import utils
from lightly.models.modules import DenseCLProjectionHead
from lightly.transforms import DenseCLTransform
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, ResNet

WARMUP = 0.1  # of the time, as in configs/own


def narrow_resnet18(width: int) -> ResNet:
    """torchvision's ResNet-18 with ``width`` channels in its first stage, in place of 64; names are torchvision's."""
    net = ResNet(BasicBlock, [2, 2, 2, 2])
    net.inplanes = width
    net.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
    net.bn1 = nn.BatchNorm2d(width)
    for stage in range(4):
        layer = net._make_layer(BasicBlock, width * 2**stage, 2, stride=1 if stage == 0 else 2)
        setattr(net, f'layer{stage + 1}', layer)
    return net


class Encoder(nn.Module):
    """A backbone with DenseCL's heads: of the image, and of each place of the last map."""

    def __init__(self, width: int, hidden: int = 512, out: int = 128):
        super().__init__()
        net = narrow_resnet18(width)
        self.backbone = nn.Sequential(*list(net.children())[:-2])
        self.source = net  # shares the modules: its names are what is saved
        self.whole = DenseCLProjectionHead(8 * width, hidden, out)
        self.places = DenseCLProjectionHead(8 * width, hidden, out)

    def forward(self, view: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, 3, H, W) to embeddings (B, out) and (B, P, out), and the features (B, P, C) of P places."""
        places = self.backbone(view).flatten(2).transpose(1, 2)
        return self.whole(places.mean(1)), self.places(places), places


def pretrain(folder: str, seconds: float, width: int, size: int, batch: int, rate: float, seed: int) -> ResNet:
    """Train for so many seconds: AdamW, its rate warmed up and then falling by a cosine, as configs/own have it."""
    torch.manual_seed(seed)
    online = Encoder(width)
    target = copy.deepcopy(online)
    utils.deactivate_requires_grad(target)
    data = LightlyDataset(folder, transform=DenseCLTransform(input_size=size))
    loader = torch.utils.data.DataLoader(data, batch, shuffle=True, drop_last=True, num_workers=1)
    matrices = [p for p in online.parameters() if p.ndim > 1]
    vectors = [p for p in online.parameters() if p.ndim == 1]
    optimizer = torch.optim.AdamW(
        [dict(params=matrices), dict(params=vectors, weight_decay=0)], rate, weight_decay=0.05
    )
    of_images = NTXentLoss(temperature=0.2, memory_bank_size=(4096, 128))
    of_places = NTXentLoss(temperature=0.2, memory_bank_size=(4096, 128))
    start, step = time.monotonic(), 0
    while True:
        for views, *_ in loader:
            done = (time.monotonic() - start) / seconds
            if done >= 1:
                print(f'{step} steps of {batch} images')
                return online.source
            now = rate * min(done / WARMUP, (1 + math.cos(math.pi * done)) / 2)
            for group in optimizer.param_groups:
                group['lr'] = now
            utils.update_momentum(online, target, m=0.99)
            whole, places, features = online(views[0])
            with torch.no_grad():
                whole_of_target, places_of_target, features_of_target = target(views[1])
                same = utils.select_most_similar(features, features_of_target, places_of_target)
            loss = (of_images(whole, whole_of_target) + of_places(places.flatten(0, 1), same.flatten(0, 1))) / 2
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if step % 25 == 0:
                print(f'step {step}, {100 * done:.0f} % of the time, loss {loss.item():.3f}', flush=True)
            step += 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('images', help='folder')
    parser.add_argument('out', help='file for the backbone, under the names of torchvision')
    parser.add_argument('--minutes', type=float, required=True, help='how long to train')
    parser.add_argument('--width', type=int, default=16, help='channels of the first stage (default 16)')
    parser.add_argument('--size', type=int, default=128, help='of a view (default 128)')
    parser.add_argument('--batch', type=int, default=32, help='images a step (default 32)')
    parser.add_argument('--rate', type=float, default=1e-3, help='learning rate (default 1e-3)')
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args()
    net = pretrain(args.images, 60 * args.minutes, args.width, args.size, args.batch, args.rate, args.seed)
    torch.save(net.state_dict(), args.out)


if __name__ == '__main__':
    main()
