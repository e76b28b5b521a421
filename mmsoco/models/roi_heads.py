"""The detector's RoI head, as far as pretraining goes: pooling and shared layers."""

from mmengine.model import BaseModule
from torch import Tensor, nn

from mmsoco.registry import MODELS

# A box head whose predictor is an identity returns its shared features and has
# no fc_cls: the place where mmdet would build the classifier holds nothing.
Identity = nn.Identity
MODELS.register_module('Identity', module=Identity)


@MODELS.register_module()
class ProposalRoIHead(BaseModule):
    """From feature maps and boxes to one vector a box.

    The parts bear the names they have in mmdet's RoI heads, so their weights
    load there as they are. Give ``bbox_head`` for detectors with an FPN (mmdet's
    own head, without predictors), ``shared_head`` for C4 ones (mmdet's ResLayer;
    its output is averaged over the box), or neither, for the paper's ablation
    without a head (table 4): the pooled features are averaged over the box.

    Args:
        bbox_roi_extractor: Config of the extractor.
        bbox_head: Config of mmdet's box head, with ``with_reg=False`` and
            ``cls_predictor_cfg=dict(type='mmsoco.Identity')``.
        shared_head: Config of the layer that C4 detectors share between tasks.

    Raises:
        ValueError: Both heads are given.
    """

    def __init__(self, bbox_roi_extractor: dict, bbox_head: dict | None = None, shared_head: dict | None = None):
        super().__init__()
        if bbox_head is not None and shared_head is not None:
            raise ValueError('give either bbox_head (FPN) or shared_head (C4)')
        self.bbox_roi_extractor = MODELS.build(bbox_roi_extractor)
        if shared_head is not None:
            self.shared_head = MODELS.build(shared_head)
        elif bbox_head is not None:
            self.bbox_head = MODELS.build(bbox_head)

    def forward(self, feats: tuple[Tensor, ...], boxes: Tensor, view_size: tuple[int, int]) -> Tensor:
        """Embed all boxes of a view.

        Args:
            feats: (B, C, H_l, W_l) maps.
            boxes: (B, K, 4) xyxy in view pixels.
            view_size: Height and width of the view.

        Returns:
            (rows, D), one row for each that the extractor gives, in its order.
        """
        pooled = self.bbox_roi_extractor(feats, boxes, view_size)
        if hasattr(self, 'bbox_head'):
            features, _ = self.bbox_head(pooled)
            return features
        if hasattr(self, 'shared_head'):
            pooled = self.shared_head(pooled)
        return pooled.mean(dim=(2, 3))
