"""First and last step of a pipeline: decoding, and what leaves the loader."""

import numpy as np
from mmcv.transforms import BaseTransform

from mmsoco.images.decoding import UnreadableImage, read_image
from mmsoco.images.reading import Reading
from mmsoco.registry import TRANSFORMS


@TRANSFORMS.register_module(name=['LoadImage', 'LoadPicture'])  # the latter in earlier versions
class LoadImage(BaseTransform):
    """Decode ``img_path`` to ``img``, (H, W, C) uint8, RGB by default, as the proposal search did.

    ``window``, of a tile, and ``reading`` say which pixels and samples are meant.

    Raises:
        UnreadableImage: The file is missing, no image, or not of the size
            recorded with the proposals (they would not fit it).
    """

    def transform(self, results: dict) -> dict:
        image = read_image(results['img_path'], results.get('reading', Reading()), results.get('window'))
        height, width = image.shape[:2]
        if (width, height) != (results['width'], results['height']):
            reason = f'is {width}x{height}, but its proposals are for {results["width"]}x{results["height"]}'
            raise UnreadableImage(results['img_path'], reason)
        results['img'] = image
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
