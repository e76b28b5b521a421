import json

import numpy as np
import pytest
import torch
from mmdet.evaluation.metrics import lvis_metric
from mmengine.registry import METRICS as ROOT
from mmengine.registry import DefaultScope, init_default_scope

from mmsoco.errors import UserError
from mmsoco.evaluation.lvis_metric import numpy_float


@pytest.fixture
def truth(tmp_path):
    """LVIS annotations: three classes of three frequencies in four images of 60x50."""
    pytest.importorskip('lvis')
    images, annotations = [], []
    for i in range(4):
        images.append(dict(id=i + 1, width=60, height=50, neg_category_ids=[2], not_exhaustive_category_ids=[]))
        for category in (1, 2, 3)[: i + 1]:
            x = 4 * category
            box = [x, 6 + i, 20, 24]
            corners = [x, 6 + i, x + 20, 6 + i, x + 20, 30 + i, x, 30 + i]
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=i + 1,
                    category_id=category,
                    bbox=box,
                    area=480,
                    segmentation=[corners],
                )
            )
    categories = [
        dict(id=i, name=name, frequency=frequency, image_count=4, instance_count=4)
        for i, (name, frequency) in enumerate((('cup', 'f'), ('owl', 'c'), ('zebra', 'r')), 1)
    ]
    path = tmp_path / 'lvis.json'
    path.write_text(json.dumps(dict(images=images, annotations=annotations, categories=categories)))
    return path


def build(path, **options):
    """The metric as a config of mmdet names it."""
    cfg = dict(type='mmsoco.LVISMetric', ann_file=str(path), metric=['bbox', 'segm'], **options)
    init_default_scope('mmdet')
    with DefaultScope.overwrite_default_scope('mmdet'):
        metric = ROOT.build(cfg)
    metric.dataset_meta = dict(classes=('cup', 'owl', 'zebra'))
    return metric


def detections(path, shift, seed=0):
    """Every true object as a detection, moved by some pixels, and a wrong one; with scores."""
    truth = json.loads(path.read_text())
    rng = np.random.default_rng(seed)
    samples = []
    for image in truth['images']:
        mine = [a for a in truth['annotations'] if a['image_id'] == image['id']]
        boxes, labels, masks = [], [], []
        for annotation in mine:
            x, y, w, h = annotation['bbox']
            x += shift
            boxes.append([x, y, x + w, y + h])
            labels.append(annotation['category_id'] - 1)
        boxes.append([40, 2, 58, 14])
        labels.append(0)
        for x1, y1, x2, y2 in boxes:
            mask = torch.zeros(50, 60, dtype=torch.bool)
            mask[y1:y2, x1:x2] = True
            masks.append(mask)
        pred = dict(
            bboxes=torch.tensor(boxes, dtype=torch.float32),
            labels=torch.tensor(labels),
            scores=torch.from_numpy(rng.uniform(0.5, 1, len(boxes))),
            masks=torch.stack(masks),
        )
        pred['scores'][-1] = 0.1
        samples.append(dict(img_id=image['id'], ori_shape=(50, 60), pred_instances=pred))
    return samples


def evaluate(path, shift):
    metric = build(path)
    metric.process({}, detections(path, shift))
    return metric.evaluate(4)


def test_every_object_found(truth):
    """The wrong box of a class comes last and costs nothing."""
    metrics = evaluate(truth, 0)
    assert metrics['lvis/bbox_AP'] == metrics['lvis/segm_AP'] == pytest.approx(1)
    # Of the three kinds of classes, by how frequent they are.
    assert [metrics[f'lvis/bbox_AP{kind}'] for kind in 'rcf'] == pytest.approx([1, 1, 1])


def test_boxes_beside_their_objects(truth):
    """Moved by 4 of 20 px: IoU 16/24, so four of the ten thresholds are met."""
    metrics = evaluate(truth, 4)
    assert metrics['lvis/bbox_AP'] == metrics['lvis/segm_AP'] == pytest.approx(0.4)
    assert metrics['lvis/bbox_AP50'] == pytest.approx(1) and metrics['lvis/bbox_AP75'] == 0


def test_numpy_is_left_as_it_was(truth, monkeypatch):
    assert not hasattr(np, 'float')
    evaluate(truth, 0)
    assert not hasattr(np, 'float')

    def fail(self):
        assert np.float is float
        raise ValueError('in the middle')

    monkeypatch.setattr(lvis_metric.LVISEval, 'accumulate', fail)
    with pytest.raises(ValueError, match='in the middle'):
        evaluate(truth, 0)
    assert not hasattr(np, 'float')


def test_an_alias_that_is_there_stays(monkeypatch):
    """With numpy before 1.24, or where another package has put it back."""
    marker = type('Float', (float,), {})
    monkeypatch.setattr(np, 'float', marker, raising=False)
    with numpy_float():
        assert np.float is marker
    assert np.float is marker


def test_without_the_package(monkeypatch, tmp_path):
    monkeypatch.setattr(lvis_metric, 'lvis', None)
    with pytest.raises(UserError, match=r'^evaluating on LVIS needs the package lvis; run: pip install lvis pycoco'):
        build(tmp_path / 'lvis.json')
