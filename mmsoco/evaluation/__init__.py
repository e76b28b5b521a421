from mmsoco.evaluation.coco_metric import CocoMetric
from mmsoco.evaluation.lvis_metric import LVISMetric

__all__ = ['CocoMetric', 'LVISMetric']
