"""Showing what the network sees."""

from operator import itemgetter

from mmengine.dist import master_only
from mmengine.hooks import Hook

from mmsoco.engine.loops import first_samples
from mmsoco.engine.model import bare_model
from mmsoco.registry import HOOKS
from mmsoco.renamed import renamed_arguments
from mmsoco.visualization.drawing import contact_sheet
from mmsoco.visualization.views import draw_matched_views


@HOOKS.register_module()
class MatchedBoxesHook(Hook):
    """Send views with their matched boxes to the visualizer, for TensorBoard and the like.

    Of other than three channels, the triple that was searched is shown, or three principal components.

    Args:
        interval: Optimizer steps between two images; the first step is shown, too.
        num_images: Images shown at a time.
    """

    @renamed_arguments(num_pictures='num_images')
    def __init__(self, interval: int = 1000, num_images: int = 4):
        self.interval = interval
        self.num_images = num_images

    @master_only
    def before_train_iter(self, runner, batch_idx: int, data_batch: dict | None = None) -> None:
        if runner.iter % self.interval or not any(data_batch.get('boxes', {}).values()):
            return
        images = getattr(runner.train_dataloader.dataset, 'images', None)
        triple = None if images is None else images.reading.triple
        batch = first_samples(data_batch, self.num_images)
        # What the loader leaves to the device is done to these few once more.
        seen = getattr(bare_model(runner).data_preprocessor, 'seen', itemgetter('inputs'))
        views = {name: view.cpu().numpy() for name, view in seen(batch).items()}
        rows = [
            draw_matched_views(
                {name: view[i] for name, view in views.items()},
                {
                    name: {box_set: rows[i].numpy() for box_set, rows in sets.items()}
                    for name, sets in batch['boxes'].items()
                },
                triple=triple,
            )
            for i in range(len(next(iter(views.values()))))
        ]
        runner.visualizer.add_image('matched_boxes', contact_sheet(rows, 1), step=runner.iter)
