"""COCO's AP, by a faster implementation."""

from collections.abc import Sequence
from unittest.mock import patch

from faster_coco_eval import COCOeval_faster
from mmdet.evaluation import CocoMetric as MMDetCocoMetric
from mmdet.evaluation.metrics import coco_metric

from mmsoco.registry import METRICS


@METRICS.register_module()
class CocoMetric(MMDetCocoMetric):
    """mmdet's metric with faster-coco-eval in place of pycocotools' evaluation, and equal numbers.

    Args:
        proposal_nums: Detections an image that count. By default COCO's own where
            only AP is asked for, as mmdet's larger ones change its meaning from
            one statistic to the next; else mmdet's. The rest is mmdet's.
    """

    def __init__(self, *args, proposal_nums: Sequence[int] | None = None, **kwargs):
        super().__init__(*args, **kwargs)
        if proposal_nums is not None:
            self.proposal_nums = proposal_nums
        elif set(self.metrics) <= {'bbox', 'segm'} and self.metric_items is None:
            self.proposal_nums = (1, 10, 100)

    def compute_metrics(self, results: list) -> dict[str, float]:
        """As mmdet's, which has no other place for an evaluator to be given; 0 where nothing at all was detected."""
        with patch.object(coco_metric, 'COCOeval', COCOeval_faster):
            figures = super().compute_metrics(results)
        if self.format_only:
            return figures
        # Of such a detector mmdet's gives no figures.
        asked = [kind for kind in self.metrics if kind in ('bbox', 'segm')]
        usual = self.metric_items or ('mAP', 'mAP_50', 'mAP_75')
        return {f'{kind}_{item}': 0.0 for kind in asked for item in usual} | figures
