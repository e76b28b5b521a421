"""Every transfer config loads a pretraining, trains and evaluates with the real packages."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmdet.datasets import CocoDataset
from mmengine.config import Config
from mmengine.registry import DefaultScope
from shrinking import shrink, shrunk_backbone

from mmsoco.checkpoints.pretraining import detector_weights
from mmsoco.checkpoints.transfer import plan_transfer, require_complete
from mmsoco.engine.launch import test as evaluate
from mmsoco.engine.launch import train
from mmsoco.errors import UserError
from mmsoco.registry import MODELS

CONFIGS = Path(__file__).parents[2] / 'configs'


@pytest.fixture
def coco(tmp_path):
    """Four pictures of two rectangles each, as COCO has them, masks included."""
    rng = np.random.default_rng(0)
    images, annotations = [], []
    (tmp_path / 'coco').mkdir()
    for i in range(4):
        picture = rng.integers(0, 80, (96, 128, 3), np.uint8)
        images.append(dict(id=i, file_name=f'{i}.jpg', width=128, height=96))
        for x, y in ((8, 10), (64, 30)):
            picture[y : y + 50, x : x + 50] = rng.integers(120, 255, 3)
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=i,
                    category_id=1,
                    bbox=[x, y, 50, 50],
                    area=2500,
                    iscrowd=0,
                    segmentation=[[x, y, x + 50, y, x + 50, y + 50, x, y + 50]],
                )
            )
        cv2.imwrite(str(tmp_path / f'coco/{i}.jpg'), picture)
    categories = [dict(id=i, name=name) for i, name in enumerate(CocoDataset.METAINFO['classes'], 1)]
    truth = dict(images=images, annotations=annotations, categories=categories)
    (tmp_path / 'coco.json').write_text(json.dumps(truth))
    return tmp_path


@pytest.fixture
def transfer_options(coco):
    """The transfer recipe on four tiny pictures, with few boxes a picture."""
    options = {
        'train_cfg.max_iters': 2,
        'train_cfg.val_interval': 2,
        'train_dataloader.dataset.pipeline.2.scales': [(128, 96)],
        'val_dataloader.dataset.pipeline.1.scale': (128, 96),
        'model.train_cfg.rcnn.sampler.num': 8,
        'model.train_cfg.rpn_proposal.max_per_img': 20,
        'model.test_cfg.rpn.max_per_img': 10,
        'model.test_cfg.rcnn.score_thr': 0.0,
        'custom_hooks.1.num_iters': 1,
        'custom_hooks.1.interval': 2,
        'val_evaluator.ann_file': str(coco / 'coco.json'),
        'default_hooks.checkpoint.interval': 2,
    }
    options['test_evaluator.ann_file'] = options['val_evaluator.ann_file']
    options['test_dataloader.dataset.pipeline.1.scale'] = (128, 96)
    for loader in ('train', 'val', 'test'):
        options[f'{loader}_dataloader.num_workers'] = 0
        options[f'{loader}_dataloader.persistent_workers'] = False
        options[f'{loader}_dataloader.dataset.data_root'] = str(coco)
        options[f'{loader}_dataloader.dataset.ann_file'] = 'coco.json'
        options[f'{loader}_dataloader.dataset.data_prefix.img'] = 'coco/'
    return options


@pytest.mark.slow
def test_coco_transfer_loads_trains_and_evaluates(transfer_options, tmp_path):
    """The whole way: a pretraining checkpoint in, two steps, BN measured, boxes and masks evaluated, resumed."""
    with DefaultScope.overwrite_default_scope('mmsoco'):
        soco = MODELS.build(Config.fromfile(CONFIGS / 'soco/soco_r50fpn_8xb256_100e_in1k.py').model)
    torch.save({'state_dict': soco.state_dict(), 'meta': {}}, tmp_path / 'epoch_100.pth')
    config = CONFIGS / 'transfer/coco/mask-rcnn_r50fpn_soco_1x.py'
    options = {**transfer_options, 'load_from': str(tmp_path / 'epoch_100.pth')}
    runner = train(config, str(tmp_path / 'out'), None, None, 1, options)
    metrics = runner.message_hub.log_scalars
    assert {'val/coco/bbox_mAP', 'val/coco/segm_mAP'} <= set(metrics)

    log = next((tmp_path / 'out').glob('*/*.log')).read_text()
    assert 'Weights from the pretraining' in log and 'new: depends on the classes' in log
    assert 'Measuring BN statistics on 1 batches' in log
    trained = torch.load(tmp_path / 'out/iter_2.pth', weights_only=True)
    norms = [group for group in trained['optimizer']['param_groups'] if group['weight_decay'] == 0]
    assert norms, 'norms should have no weight decay'
    assert int(trained['state_dict']['backbone.bn1.num_batches_tracked']) > 0, 'BN should train'

    # The detector's own checkpoint passes the hook unchanged.
    again = train(config, str(tmp_path / 'out'), 'auto', None, 1, {**options, 'train_cfg.max_iters': 3})
    assert again.iter == 3
    metrics = evaluate(config, str(tmp_path / 'out/iter_3.pth'), str(tmp_path / 'test'), tmp_path / 'm.json', options)
    assert json.loads((tmp_path / 'm.json').read_text()) == metrics and 'coco/segm_mAP' in metrics

    # What is no detector, and no checkpoint at all, is refused.
    with pytest.raises(UserError, match='the checkpoint is a pretraining, the model is not trained yet'):
        evaluate(config, options['load_from'], str(tmp_path / 'test'), None, options)
    with pytest.raises(UserError, match='no pretraining is given; add --cfg-options load_from='):
        train(config, str(tmp_path / 'y'), None, None, 1, transfer_options)
    torch.save({'state_dict': {'conv1.weight': torch.zeros(1)}}, tmp_path / 'other.pth')
    with pytest.raises(UserError, match='not a checkpoint of a SoCo pretraining'):
        train(config, str(tmp_path / 'x'), None, None, 1, {**options, 'load_from': str(tmp_path / 'other.pth')})
