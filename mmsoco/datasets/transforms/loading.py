"""Images for a detector, read as its pretraining's."""

from collections.abc import Sequence

import numpy as np
from mmcv.transforms import BaseTransform

from mmsoco.errors import UserError
from mmsoco.images.decoding import UnreadableImage, read_image
from mmsoco.images.reading import Reading
from mmsoco.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadImageFromFile(BaseTransform):
    """mmcv's step of the same name, for what it cannot read as the pretraining did.

    That is, any number of channels, and samples of more than 8 bits, which OpenCV scales by their type alone. Three
    channels come in the order BGR, as mmcv gives them and mmdet's other steps and ``bgr_to_rgb=True`` expect;
    other numbers in the files' order.

    Args:
        channels: See :class:`~mmsoco.images.reading.Reading`; the same as in the search for proposals.
        value_range: Likewise.
        to_float32: Whether ``img`` is float32 instead of uint8.

    Raises:
        UserError: The image cannot be read.

    Keys: ``img_path``; adds ``img`` (H, W, C), ``img_shape`` and ``ori_shape``, both (H, W).
    """

    def __init__(self, channels: int = 3, value_range: str | Sequence[float] = 'file', to_float32: bool = False):
        self.reading = Reading(channels, value_range)
        self.to_float32 = to_float32

    def transform(self, results: dict) -> dict:
        try:
            image = read_image(results['img_path'], self.reading)
        except UnreadableImage as error:
            raise UserError(f'{error}; mend the image, or take it out of the annotations') from None
        if self.reading.channels == 3:
            image = np.ascontiguousarray(image[..., ::-1])
        results['img'] = image.astype(np.float32) if self.to_float32 else image
        results['img_shape'] = results['ori_shape'] = image.shape[:2]
        return results
