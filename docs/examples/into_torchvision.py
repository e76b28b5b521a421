#!/usr/bin/env python
"""Backbone, FPN and box head in torchvision's Mask R-CNN, and a step of its training.

tools/extract_backbone.py CHECKPOINT detector.safetensors --tool torchvision-fpn
python docs/examples/into_torchvision.py detector.safetensors
"""

import argparse

import torch
from safetensors.torch import load_file
from torchvision.models.detection import maskrcnn_resnet50_fpn_v2

parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
parser.add_argument('weights', help='what tools/extract_backbone.py --tool torchvision-fpn wrote')
parser.add_argument('--classes', type=int, default=3, help='classes, with the background (default 3)')
args = parser.parse_args()

# Weights that torchvision fetches itself are frozen in part; without them all stages train.
model = maskrcnn_resnet50_fpn_v2(weights=None, weights_backbone=None, num_classes=args.classes)
keys = model.load_state_dict(load_file(args.weights), strict=False)
new = sorted({'.'.join(name.split('.')[:2]) for name in keys.missing_keys})
print('new, as no labels were seen:', *new)
assert not keys.unexpected_keys

# From here on it is torchvision's own training: images in 0 to 1, RGB, of any size.
images = [torch.rand(3, 160, 160)]
masks = torch.zeros(1, 160, 160, dtype=torch.uint8)
masks[0, 40:120, 30:110] = 1
targets = [dict(boxes=torch.tensor([[30.0, 40.0, 110.0, 120.0]]), labels=torch.tensor([1]), masks=masks)]
model.train()
losses = model(images, targets)
sum(losses.values()).backward()
torch.optim.SGD(model.parameters(), lr=0.002).step()
print('losses of a step:', *losses)
