"""A pyramid of a single map."""

from collections.abc import Sequence

from mmcv.cnn import ConvModule, build_norm_layer
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn.functional import max_pool2d

from mmsoco.registry import MODELS


@MODELS.register_module()
class SimpleFPN(BaseModule):
    """The simple feature pyramid of plain backbones (ViTDet, Li et al. 2022): P2 to P5 of one map of stride 16.

    mmdet has it among its projects, which its package does not hold; parameters
    bear the names that they have there.

    Args:
        in_channels: Of the map.
        out_channels: Of the pyramid.
        num_outs: Levels; those after P5 are every second value of the one before (P6 of
            two-stage detectors).
        norm_cfg: The norm of all convolutions.
    """

    def __init__(self, in_channels: int, out_channels: int = 256, num_outs: int = 4, norm_cfg: dict | None = None):
        super().__init__(dict(type='Xavier', layer='Conv2d', distribution='uniform'))
        half, quarter = in_channels // 2, in_channels // 4
        norm = [] if norm_cfg is None else [build_norm_layer(norm_cfg, half)[1]]
        self.fpn1 = nn.Sequential(
            nn.ConvTranspose2d(in_channels, half, 2, stride=2),
            *norm,
            nn.GELU(),
            nn.ConvTranspose2d(half, quarter, 2, stride=2),
        )
        self.fpn2 = nn.Sequential(nn.ConvTranspose2d(in_channels, half, 2, stride=2))
        self.fpn3 = nn.Sequential(nn.Identity())
        self.fpn4 = nn.Sequential(nn.MaxPool2d(2, stride=2))
        widths = (quarter, half, in_channels, in_channels)
        layer = dict(norm_cfg=norm_cfg, act_cfg=None)
        self.lateral_convs = nn.ModuleList(ConvModule(width, out_channels, 1, **layer) for width in widths)
        self.fpn_convs = nn.ModuleList(ConvModule(out_channels, out_channels, 3, padding=1, **layer) for _ in widths)
        self.num_outs = num_outs

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """The last of some (B, C, H, W) maps to ``num_outs`` maps, the first of (B, out_channels, 4 H, 4 W)."""
        scaled = [stage(inputs[-1]) for stage in (self.fpn1, self.fpn2, self.fpn3, self.fpn4)]
        layers = zip(scaled, self.lateral_convs, self.fpn_convs, strict=True)
        outs = [output(lateral(feat)) for feat, lateral, output in layers]
        while len(outs) < self.num_outs:
            outs.append(max_pool2d(outs[-1], 1, stride=2))
        return tuple(outs)
