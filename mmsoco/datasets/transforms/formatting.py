"""First and last step of a pipeline: decoding, and what leaves the loader."""

import numpy as np
from mmcv.transforms import BaseTransform

from mmsoco.proposals.pictures import UnreadablePicture, read_picture
from mmsoco.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadPicture(BaseTransform):
    """Decode ``img_path`` to ``img``, (H, W, 3) uint8 RGB, as the proposal search did.

    Raises:
        UnreadablePicture: The file is missing, no picture, or not of the size
            recorded with the proposals (they would not fit it).
    """

    def transform(self, results: dict) -> dict:
        picture = read_picture(results['img_path'])
        height, width = picture.shape[:2]
        if (width, height) != (results['width'], results['height']):
            reason = f'is {width}x{height}, but its proposals are for {results["width"]}x{results["height"]}'
            raise UnreadablePicture(results['img_path'], reason)
        results['img'] = picture
        return results


@TRANSFORMS.register_module()
class PackViews(BaseTransform):
    """Keep what the model takes.

    Returns:
        A dict of

        - ``inputs``: view name -> (size, size, 3) uint8;
        - ``boxes``: draw -> view name -> (K, 4) float32 xyxy in view pixels;
        - ``num_distinct``: draw -> how many of the K are different proposals;
        - ``pictures``: the picture's number in the data set.
    """

    def transform(self, results: dict) -> dict:
        return {
            'inputs': {name: np.ascontiguousarray(view) for name, view in results['views'].items()},
            'boxes': results['boxes'],
            'num_distinct': results['num_distinct'],
            'pictures': results['index'],
        }
