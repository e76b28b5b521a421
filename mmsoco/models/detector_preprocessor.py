"""mmdet's data preprocessor for images of any number of channels."""

from collections.abc import Sequence

import torch
from mmdet.models.data_preprocessors import DetDataPreprocessor

from mmsoco.errors import UserError
from mmsoco.models.data_preprocessor import check_statistics, require_statistics
from mmsoco.registry import MODELS


@MODELS.register_module()
class ChannelDetDataPreprocessor(DetDataPreprocessor):
    """mmdet's, which takes 1 or 3 channels, for any number of them, in the order in which they are loaded.

    Args:
        mean, std: Of the channels, on the scale 0 to 255: those of the pretraining.
        **options: mmdet's, such as ``pad_size_divisor``; ``bgr_to_rgb`` for three channels alone.

    Raises:
        UserError: ``mean`` and ``std`` are none, or, of a batch, of other channels.
    """

    def __init__(self, mean: Sequence[float] | None = None, std: Sequence[float] | None = None, **options):
        check_statistics(mean, std)
        turned = [name for name in ('bgr_to_rgb', 'rgb_to_bgr') if options.get(name)]
        if turned and len(mean) != 3:
            raise UserError(f'{turned[0]}=True is for 3 channels, mean is of {len(mean)}; leave it out')
        # Its check of their number is all that stands against others.
        super().__init__(mean=[0.0], std=[1.0], **options)
        self.register_buffer('mean', torch.tensor(mean, dtype=torch.float32).view(-1, 1, 1), persistent=False)
        self.register_buffer('std', torch.tensor(std, dtype=torch.float32).view(-1, 1, 1), persistent=False)

    def forward(self, data: dict, training: bool = False) -> dict:
        """As mmdet's: images (C, H, W) of a list, or (B, C, H, W), to (B, C, H, W) float32, padded."""
        for image in data['inputs']:
            require_statistics(image.shape[0], self.mean)
        return super().forward(data, training)
