"""Watching a pretraining for what makes it worthless: collapse and divergence."""

import torch
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper

from mmsoco.errors import UserError
from mmsoco.models.roi_extractors import ScaleAwareRoIExtractor
from mmsoco.registry import HOOKS


class TrainingDiverged(UserError):
    """Gradients stayed without finite values."""


@HOOKS.register_module()
class HealthHook(Hook):
    """Report how boxes spread over the pyramid, warn of collapse, and stop a run that diverges.

    A gradient that is not finite skips its step (see
    :class:`~mmsoco.engine.optim_wrappers.FiniteOptimWrapper`), so the weights
    stay what they were; after ``max_skips`` in a row they are saved as
    ``stopped.pth`` and the run ends. Random boxes with K = 4, for one, diverge
    (paper, table 5c).

    Args:
        interval: Optimizer steps between two reports of boxes a level.
        max_skips: Skipped steps in a row that end the run.
        collapse_steps: Steps in a row with embeddings alike after which to warn.
            Alike means a spread, ``target_std``, under a tenth of 1 / sqrt(C).

    Raises:
        TrainingDiverged: After ``max_skips`` skipped steps in a row.
    """

    def __init__(self, interval: int = 50, max_skips: int = 20, collapse_steps: int = 100):
        self.interval = interval
        self.max_skips = max_skips
        self.collapse_steps = collapse_steps
        self._alike = 0

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        extractor = model.roi_head.bbox_roi_extractor
        if self.every_n_train_iters(runner, self.interval) and isinstance(extractor, ScaleAwareRoIExtractor):
            self._report_levels(runner, data_batch['boxes'], extractor)
        self._watch_spread(runner, outputs['target_std'], model.projector.fc1.out_features)
        skipped = getattr(runner.optim_wrapper, 'skipped', 0)
        if skipped:
            runner.logger.warning(f'Step {runner.iter + 1} skipped: its gradient is not finite ({skipped} in a row)')
        if skipped >= self.max_skips:
            runner.save_checkpoint(runner.work_dir, 'stopped.pth', by_epoch=False, backend_args=dict(backend='atomic'))
            raise TrainingDiverged(
                f'gradients were not finite in {skipped} steps in a row, up to step {runner.iter + 1}; the weights '
                f'from before are in {runner.work_dir}/stopped.pth; try a lower optim_wrapper.optimizer.lr, --no-amp, '
                'more warm-up, or better proposals'
            )

    def _watch_spread(self, runner, spread: float, channels: int) -> None:
        self._alike = self._alike + 1 if spread < 0.1 * channels**-0.5 else 0
        if self._alike and self._alike % self.collapse_steps == 0:
            runner.logger.warning(
                f'Collapse: for {self._alike} steps all embeddings have been nearly alike (target_std {spread:.1e}, '
                f'spread would be {channels**-0.5:.1e}); try a lower learning rate or a target momentum nearer to 1, '
                'and look at matched_boxes'
            )

    def _report_levels(self, runner, boxes: dict, extractor: ScaleAwareRoIExtractor) -> None:
        levels: dict[str, list[torch.Tensor]] = {}
        for views in boxes.values():
            for name, view_boxes in views.items():
                levels.setdefault(name, []).append(extractor.levels(view_boxes).flatten())
        shares = {}
        for name, of_draws in levels.items():
            counts = torch.bincount(torch.cat(of_draws), minlength=len(extractor.max_sizes) + 1)
            shares[name] = (counts / counts.sum()).tolist()
        runner.visualizer.add_scalars(
            {f'boxes/{name}_level{level}': share for name, row in shares.items() for level, share in enumerate(row)},
            step=runner.iter + 1,
        )
        words = (f'{name} ' + ' / '.join(f'{share:.0%}' for share in row) for name, row in shares.items())
        runner.logger.info(f'Boxes on each level: {", ".join(words)}')
