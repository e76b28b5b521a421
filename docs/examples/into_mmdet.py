#!/usr/bin/env python
"""A pretraining in mmdet's Mask R-CNN, and a config of it for mmdet's own tools.

python docs/examples/into_mmdet.py work_dirs/soco_r50fpn_8xb256_100e_in1k/epoch_100.pth mask-rcnn_mine.py
"""

import argparse

from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.runner import Runner

parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
parser.add_argument('checkpoint', help="a pretraining's, as it is")
parser.add_argument('out', help='config to write')
args = parser.parse_args()

cfg = get_config('mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py')

# The pretrained FPN and box head have norms, and all norms train; nothing is frozen, and nothing is fetched.
norm_cfg = dict(type='BN', requires_grad=True)
cfg.merge_from_dict(
    dict(
        model=dict(
            backbone=dict(frozen_stages=-1, norm_cfg=norm_cfg, norm_eval=False, init_cfg=None),
            neck=dict(norm_cfg=norm_cfg),
            roi_head=dict(bbox_head=dict(type='Shared4Conv1FCBBoxHead', conv_out_channels=256, norm_cfg=norm_cfg)),
        ),
        # The two lines.
        load_from=args.checkpoint,
        custom_hooks=[dict(type='mmsoco.TransferHook')],
    )
)
cfg.dump(args.out)

# What training would load, without any data: the hook prints what has a place and what stays new, or stops with a line.
untrained = dict.fromkeys(
    f'{part}_{kind}' for part in ('train', 'val', 'test') for kind in ('dataloader', 'cfg', 'evaluator')
)
untrained |= dict(optim_wrapper=None, param_scheduler=None, auto_scale_lr=None, work_dir='work_dirs/into_mmdet')
runner = Runner.from_cfg(Config({**cfg.to_dict(), **untrained}))
runner.load_or_resume()
print(f'{args.out}: train it with tools/train.py, or with tools/train.py of mmdet')
