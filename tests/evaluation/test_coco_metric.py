"""Equal numbers from faster-coco-eval and pycocotools."""

import json

import numpy as np
import pytest
import torch
from mmdet.evaluation import CocoMetric as MMDetCocoMetric
from mmdet.evaluation.metrics import coco_metric

from mmsoco.evaluation.coco_metric import CocoMetric

SIDE = 96


def rectangle(box):
    mask = np.zeros((SIDE, SIDE), bool)
    x1, y1, x2, y2 = np.clip(np.rint(box), 0, SIDE).astype(int)
    mask[y1:y2, x1:x2] = True
    return mask


@pytest.fixture
def case(tmp_path):
    """Six images of three classes with objects of all sizes, detections more and less near them, some crowds."""
    rng = np.random.default_rng(0)
    annotations, samples = [], []
    for image in range(6):
        boxes, labels = [], []
        for _ in range(8):
            sides = rng.uniform(6, 60, 2)
            x, y = rng.uniform(0, SIDE - sides)
            label = int(rng.integers(3))
            crowd = int(rng.random() < 0.1)
            polygon = [[x, y, x + sides[0], y, x + sides[0], y + sides[1], x, y + sides[1]]]
            annotations.append(
                dict(id=len(annotations) + 1, image_id=image, category_id=label + 1, iscrowd=crowd,
                     bbox=[x, y, *sides], area=float(sides.prod()), segmentation=polygon)
            )  # fmt: skip
            for _ in range(3):
                noise = rng.normal(0, 0.15, 4) * [*sides, *sides]
                boxes.append(np.array([x, y, *(np.array([x, y]) + sides)]) + noise)
                labels.append(label if rng.random() < 0.8 else int(rng.integers(3)))
        instances = dict(
            bboxes=torch.tensor(np.array(boxes), dtype=torch.float32),
            scores=torch.tensor(rng.random(len(boxes)), dtype=torch.float32),
            labels=torch.tensor(labels),
            masks=torch.tensor(np.array([rectangle(box) for box in boxes])),
        )
        samples.append(dict(img_id=image, ori_shape=(SIDE, SIDE), pred_instances=instances))
    truth = dict(
        images=[dict(id=i, file_name=f'{i}.jpg', width=SIDE, height=SIDE) for i in range(6)],
        annotations=annotations,
        categories=[dict(id=i + 1, name=name) for i, name in enumerate('abc')],
    )
    (tmp_path / 'truth.json').write_text(json.dumps(truth))
    return str(tmp_path / 'truth.json'), samples


def evaluated(metric, samples):
    metric.dataset_meta = dict(classes=tuple('abc'))
    metric.process({}, samples)
    return metric.evaluate(size=len(samples))


def test_numbers_equal_pycocotools(case):
    ann_file, samples = case
    options = dict(ann_file=ann_file, metric=['bbox', 'segm'], classwise=True)
    ours = evaluated(CocoMetric(**options), samples)
    theirs = evaluated(MMDetCocoMetric(proposal_nums=(1, 10, 100), **options), samples)
    assert ours.keys() == theirs.keys() and len(ours) > 10
    for name, value in theirs.items():
        assert ours[name] == pytest.approx(value, abs=1e-9, nan_ok=True), name
    assert 0.05 < ours['coco/bbox_mAP'] < ours['coco/bbox_mAP_50'] < 1 and ours['coco/segm_mAP'] > 0.05


def test_average_recall_keeps_its_meaning(case):
    ann_file, samples = case
    for options in (dict(metric='proposal'), dict(metric='bbox', metric_items=['AR@100', 'mAP'])):
        ours = evaluated(CocoMetric(ann_file=ann_file, **options), samples)
        theirs = evaluated(MMDetCocoMetric(ann_file=ann_file, **options), samples)
        assert ours == pytest.approx(theirs, abs=1e-9)


def test_nothing_detected_is_a_precision_of_0(case):
    """mmdet gives no figures then, and tables would be empty."""
    ann_file, samples = case
    for sample in samples:
        sample['pred_instances'] = {name: value[:0] for name, value in sample['pred_instances'].items()}
    figures = evaluated(CocoMetric(ann_file=ann_file, metric=['bbox', 'segm']), samples)
    assert figures == {f'coco/{kind}_{item}': 0 for kind in ('bbox', 'segm') for item in ('mAP', 'mAP_50', 'mAP_75')}
    items = dict(metric='bbox', metric_items=['AR@100'])
    assert evaluated(CocoMetric(ann_file=ann_file, **items), samples) == {'coco/bbox_AR@100': 0}


def test_it_is_the_faster_one_and_only_while_it_evaluates(case, monkeypatch):
    ann_file, samples = case
    before = coco_metric.COCOeval
    used = []
    evaluate = CocoMetric.compute_metrics.__globals__['COCOeval_faster'].evaluate
    monkeypatch.setattr(
        CocoMetric.compute_metrics.__globals__['COCOeval_faster'],
        'evaluate',
        lambda self: used.append(1) or evaluate(self),
    )
    evaluated(CocoMetric(ann_file=ann_file, metric='bbox'), samples)
    assert used and coco_metric.COCOeval is before
