#!/usr/bin/env python
"""The pretrained backbone in timm: features of an image, and all stages for a detector or segmenter of your own.

tools/extract_backbone.py CHECKPOINT resnet.safetensors --tool timm
python docs/examples/into_timm.py resnet.safetensors
"""

import argparse

import timm
import torch

parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
parser.add_argument('weights', help='what tools/extract_backbone.py --tool timm wrote')
parser.add_argument('--model', default='resnet50', help="timm's name of the backbone (default resnet50)")
args = parser.parse_args()

# Every tensor of the file has a place, and every tensor of the model gets one, or timm says which not.
model = timm.create_model(args.model, num_classes=0, checkpoint_path=args.weights).eval()

# RGB, normalised as in the pretraining; timm's resnets have the same numbers, in 0 to 1.
image = torch.rand(1, 3, 224, 224)
mean, std = (torch.tensor(model.default_cfg[name]).view(3, 1, 1) for name in ('mean', 'std'))
with torch.no_grad():
    vector = model((image - mean) / std)
    # Without the last layers the same network gives its maps, C2 to C5: what a neck takes.
    stages = model.forward_intermediates((image - mean) / std, indices=[1, 2, 3, 4], intermediates_only=True)
print('features of an image:', tuple(vector.shape))
print('maps:', *(tuple(stage.shape[1:]) for stage in stages))
