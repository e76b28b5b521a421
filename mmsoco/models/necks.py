"""The projector."""

from torch import Tensor

from mmsoco.errors import UserError
from mmsoco.registry import MODELS

try:
    from mmpretrain.models.necks import NonLinearNeck
except TypeError as error:  # of a class whose base transformers no longer has
    raise UserError(f'mmpretrain cannot be imported ({error}); run: mmsoco doctor') from error


@MODELS.register_module()
class BYOLNeck(NonLinearNeck):
    """Linear, BN, ReLU, linear (paper, section 4.1), with biases and no last BN.

    mmpretrain's NonLinearNeck with BYOL's options fixed, taking and returning a
    tensor instead of a tuple.

    Args:
        in_channels: Of the features.
        hid_channels: Hidden width (paper: 4096).
        out_channels: Of the embedding (paper: 256).
        norm_cfg: The norm, BN1d by default; the Runner's ``sync_bn`` synchronises it.
    """

    def __init__(
        self,
        in_channels: int,
        hid_channels: int = 4096,
        out_channels: int = 256,
        norm_cfg: dict | None = None,
    ):
        super().__init__(
            in_channels,
            hid_channels,
            out_channels,
            num_layers=2,
            with_bias=True,
            with_last_bias=True,
            with_last_bn=False,
            with_avg_pool=False,
            norm_cfg=norm_cfg or dict(type='BN1d'),
        )
        self.out_channels = out_channels

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels) to (N, out_channels)."""
        return super().forward((x,))[0]
