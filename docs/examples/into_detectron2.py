#!/usr/bin/env python
"""What detectron2's Mask R-CNN with FPN and four convolutions in its box head finds in the exported file.

tools/extract_backbone.py CHECKPOINT detector.pkl --tool detectron2
python docs/examples/into_detectron2.py detector.pkl

detectron2 is in no package registry, so this compares with its architecture's names and shapes, without it.
"""

import argparse
import pickle

#: Blocks of res2 to res5 of a ResNet-50.
BLOCKS = (3, 4, 6, 3)


def convolution(name: str, *shape: int) -> dict[str, tuple]:
    """detectron2's Conv2d, whose norm is a part of it."""
    norm = {f'{name}.norm.{part}': shape[:1] for part in ('weight', 'bias', 'running_mean', 'running_var')}
    return {f'{name}.weight': shape, **norm}


def architecture() -> dict[str, tuple]:
    """Name -> shape of all that was pretrained."""
    body = 'backbone.bottom_up'
    parts = convolution(f'{body}.stem.conv1', 64, 3, 7, 7)
    for stage, blocks in enumerate(BLOCKS):
        width, given = 64 * 2**stage, 64 if stage == 0 else 128 * 2**stage
        for block in range(blocks):
            name = f'{body}.res{stage + 2}.{block}'
            parts |= convolution(f'{name}.conv1', width, 4 * width if block else given, 1, 1)
            parts |= convolution(f'{name}.conv2', width, width, 3, 3)
            parts |= convolution(f'{name}.conv3', 4 * width, width, 1, 1)
        parts |= convolution(f'{body}.res{stage + 2}.0.shortcut', 4 * width, given, 1, 1)
        parts |= convolution(f'backbone.fpn_lateral{stage + 2}', 256, 4 * width, 1, 1)
        parts |= convolution(f'backbone.fpn_output{stage + 2}', 256, 256, 3, 3)
        parts |= convolution(f'roi_heads.box_head.conv{stage + 1}', 256, 256, 3, 3)
    return parts | {'roi_heads.box_head.fc1.weight': (1024, 256 * 7 * 7), 'roi_heads.box_head.fc1.bias': (1024,)}


parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
parser.add_argument('weights', help='what tools/extract_backbone.py --tool detectron2 wrote')
args = parser.parse_args()

with open(args.weights, 'rb') as file:
    content = pickle.load(file, encoding='latin1')  # as detectron2 does
found = {name: array.shape for name, array in content['model'].items()}
expected = architecture()
for name in sorted(found.keys() ^ expected.keys()):
    print('only in the file:' if name in found else 'only in the architecture:', name)
for name in sorted(found.keys() & expected.keys()):
    if found[name] != expected[name]:
        print(f'{name}: {found[name]} in the file, {expected[name]} in the architecture')
assert found == expected
print(f'{len(found)} tensors, each with a place: backbone, FPN, box head')
