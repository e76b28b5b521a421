"""Cutting the features of boxes out of a feature pyramid."""

from collections.abc import Sequence

import torch
from mmengine.model import BaseModule
from torch import Tensor
from torchvision.ops import roi_align

from mmsoco.registry import MODELS


def assign_levels(boxes: Tensor, max_sizes: Sequence[float], added: float = 0.0) -> Tensor:
    """Scale-aware assignment (paper, section 3.3): the pyramid level of each box.

    A box goes to the first level whose ``max_sizes`` its size sqrt(wh) does not
    exceed; what is larger than all of them goes to one level more.

    Args:
        boxes: (..., 4) xyxy, in view pixels.
        max_sizes: Ascending, in view pixels (paper: 48, 96, 192).
        added: To width and height.

    Returns:
        (...) int64 in 0..len(max_sizes).
    """
    w, h = (boxes[..., 2:] - boxes[..., :2] + added).unbind(-1)
    # Areas are compared, in double: a float32 product or root could round
    # across the bound.
    area = w.double() * h.double()
    levels = torch.zeros_like(area, dtype=torch.int64)
    for size in max_sizes:
        levels += area > float(size) ** 2
    return levels


class RoIExtractor(BaseModule):
    """RoIAlign of (B, K, 4) boxes on maps of a pyramid; what each level pools is up to the subclass.

    Unlike mmdet's SingleRoIExtractor it takes (B, K, 4) boxes instead of a list
    of RoIs, scales boxes by the true ratio of map and view (the P5 of a 112 px
    view is 4 wide: 4/112, not 1/32), and uses torchvision's RoIAlign, as mmcv's
    returns wrong values on channels_last maps.

    Args:
        output_size: Side of the pooled features (paper: 7, C4: 14).
        sampling_ratio: Samples a bin and direction; 0 adapts to the box, as in
            mmdet.
    """

    def __init__(self, output_size: int = 7, sampling_ratio: int = 0):
        super().__init__()
        self.output_size = output_size
        # torchvision spells "adaptive" differently.
        self.sampling_ratio = sampling_ratio or -1

    def pool(self, feat: Tensor, boxes: Tensor, view_size: tuple[int, int]) -> Tensor:
        """Pool all boxes on one map.

        Args:
            feat: (B, C, H_l, W_l).
            boxes: (B, K, 4) xyxy in view pixels.
            view_size: Height and width of the view.

        Returns:
            (B * K, C, output_size, output_size), float32 or better, image by image.
        """
        batch, num = boxes.shape[:2]
        images = torch.arange(batch, device=boxes.device, dtype=boxes.dtype).repeat_interleave(num)
        x, y = feat.shape[-1] / view_size[1], feat.shape[-2] / view_size[0]
        x1, y1, x2, y2 = boxes.flatten(0, 1).unbind(1)
        if feat.requires_grad and feat.is_contiguous(memory_format=torch.channels_last):
            # RoIAlign's is contiguous, and would lead the layers before it to their slow kernels.
            feat.register_hook(lambda gradient: gradient.contiguous(memory_format=torch.channels_last))
        # At least float32, also under autocast: half the precision would move the samples.
        feat = feat.to(torch.promote_types(feat.dtype, torch.float32))
        rois = torch.stack([images, x1 * x, y1 * y, x2 * x, y2 * y], dim=1).to(feat.dtype)
        with torch.autocast(feat.device.type, enabled=False):
            return roi_align(feat, rois, self.output_size, sampling_ratio=self.sampling_ratio, aligned=True)


@MODELS.register_module()
class ScaleAwareRoIExtractor(RoIExtractor):
    """RoIAlign of each box on the one level that its size names (paper, section 3.3).

    All levels are pooled in every step, also those with no box on them: so every
    process of a distributed run has gradients for the same parameters.

    Args:
        max_sizes: Largest sqrt(wh) of each level but the last, in view pixels.
            One level more is expected than there are sizes; ``()`` means that
            all boxes are pooled on one map.
        output_size, sampling_ratio: See :class:`RoIExtractor`.
        integer_levels: Find levels as the official code does: from coordinates
            cut to integers, with 1 added to width and height. Pooling is not
            affected. 1 to 2 % of boxes change their level.
    """

    def __init__(
        self,
        max_sizes: Sequence[float] = (48, 96, 192),
        output_size: int = 7,
        sampling_ratio: int = 0,
        integer_levels: bool = False,
    ):
        super().__init__(output_size, sampling_ratio)
        self.integer_levels = integer_levels
        self.max_sizes = tuple(max_sizes)

    def levels(self, boxes: Tensor) -> Tensor:
        """The level of each box: (..., 4) xyxy in view pixels to (...) int64."""
        if self.integer_levels:
            return assign_levels(boxes.trunc(), self.max_sizes, added=1)
        return assign_levels(boxes, self.max_sizes)

    def forward(self, feats: Sequence[Tensor], boxes: Tensor, view_size: tuple[int, int]) -> Tensor:
        """Pool all boxes of a batch.

        Args:
            feats: One map a level, (B, C, H_l, W_l).
            boxes: (B, K, 4) xyxy in view pixels.
            view_size: Height and width of the view.

        Returns:
            (B * K, C, output_size, output_size) float32, image by image.

        Raises:
            ValueError: The number of maps does not fit ``max_sizes``.
        """
        if len(feats) != len(self.max_sizes) + 1:
            raise ValueError(
                f'{len(feats)} feature maps given, but max_sizes {self.max_sizes} is for {len(self.max_sizes) + 1}'
            )
        levels = self.levels(boxes)
        pooled = 0
        for level, feat in enumerate(feats):
            here = levels == level
            # A box of another level shrinks to a point, which costs nothing; so
            # shapes are the same in every step and the GPU is never waited for.
            features = self.pool(feat, boxes * here[..., None], view_size)
            pooled = pooled + features * here.flatten()[:, None, None, None]
        return pooled


@MODELS.register_module()
class AllLevelsRoIExtractor(RoIExtractor):
    """RoIAlign of each box on every level: the paper's ablation without scale-aware assignment.

    A box gives one row a level, so that the loss compares level with level and
    averages over levels. The paper does not say how it pools without the
    assignment (table 4, rows 3 and 4); this is our reading.

    Args:
        output_size, sampling_ratio: See :class:`RoIExtractor`.
    """

    def forward(self, feats: Sequence[Tensor], boxes: Tensor, view_size: tuple[int, int]) -> Tensor:
        """Pool all boxes of a batch on all L levels.

        Args:
            feats: One map a level, (B, C, H_l, W_l), C the same for all.
            boxes: (B, K, 4) xyxy in view pixels.
            view_size: Height and width of the view.

        Returns:
            (B * K * L, C, output_size, output_size) float32: image by image, box by
            box, from the finest level to the coarsest.
        """
        return torch.stack([self.pool(feat, boxes, view_size) for feat in feats], dim=1).flatten(0, 1)
