"""First and last step of a pipeline: decoding, and what leaves the loader."""

import numpy as np
from mmcv.transforms import BaseTransform

from mmsoco.images.decoding import UnreadableImage, load_image
from mmsoco.images.reading import Reading
from mmsoco.registry import TRANSFORMS


@TRANSFORMS.register_module(name=['LoadImage', 'LoadPicture'])  # the latter in earlier versions
class LoadImage(BaseTransform):
    """Decode ``img_path`` to ``img``, (H, W, C) uint8, RGB by default, as the proposal search did.

    ``window``, of a tile, and ``reading`` say which pixels and samples are meant.

    Args:
        reduce: Whether a JPEG that is much larger than its views need is decoded at a half, a quarter or an eighth of
            its size, in a part of the time. Views are as sharp, and moved by a quarter of their pixels at most: their
            values differ. Where views are made at once, the data set tells as ``least_side`` what
            they need; ``full_size`` then is the image's (width, height), in whose pixels proposals are.

    Raises:
        UnreadableImage: The file is missing, no image, or not of the size
            recorded with the proposals (they would not fit it).
    """

    #: Also of a subclass that takes other arguments.
    reduce = False

    def __init__(self, reduce: bool = False):
        self.reduce = reduce

    def transform(self, results: dict) -> dict:
        least_side = results.get('least_side') if self.reduce else None
        image = load_image(
            results['img_path'], results.get('reading', Reading()), results.get('window'), least_side=least_side
        )
        width, height = image.full_size or image.pixels.shape[1::-1]
        if (width, height) != (results['width'], results['height']):
            reason = f'is {width}x{height}, but its proposals are for {results["width"]}x{results["height"]}'
            raise UnreadableImage(results['img_path'], reason)
        results['img'] = image.pixels
        if image.full_size:
            results['full_size'] = image.full_size
        return results


@TRANSFORMS.register_module()
class PackViews(BaseTransform):
    """Keep what the model takes.

    Returns:
        A dict of

        - ``inputs``: view name -> (size, size, C) uint8;
        - ``boxes``: view name -> box set -> (K, 4) float32 xyxy in view pixels;
        - ``matches``: box set -> (view name, view name) -> how many of the K are different
          proposals;
        - ``images``: the image's number in the data set;
        - ``augment``, where changes of pixels are left to the device: view name -> name of a transform, in their
          order -> what it has drawn, float32.
    """

    def transform(self, results: dict) -> dict:
        packed = {
            'inputs': {name: np.ascontiguousarray(view) for name, view in results['views'].items()},
            'boxes': results['boxes'],
            'matches': results['matches'],
            'images': results['index'],
        }
        if results.get('augment'):
            packed['augment'] = results['augment']
        return packed
