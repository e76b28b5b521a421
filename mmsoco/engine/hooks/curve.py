"""A detector's figures over the time of its training."""

import json
import math
import time
from collections.abc import Mapping
from pathlib import Path

import torch
from mmengine.dist import is_main_process
from mmengine.evaluator import Evaluator
from mmengine.hooks import Hook

from mmsoco.errors import UserError
from mmsoco.evaluation.columns import paper_columns
from mmsoco.files import atomic_path
from mmsoco.registry import HOOKS


@HOOKS.register_module()
class CurveHook(Hook):
    """Write what each evaluation gave, after how many steps and seconds of training.

    ``curve.json`` in the work folder: a list of ``step``, ``seconds`` (of training alone,
    without evaluations, summed over resumptions), and the columns of
    :func:`~mmsoco.evaluation.columns.paper_columns`, in percent. An evaluation that a run was stopped
    in is made up for when it goes on.

    Args:
        check_every: Steps between two looks at whether the loss is finite.

    Raises:
        UserError: The loss is not finite.
    """

    # After the checkpoint is restored, before it is saved.
    priority = 'NORMAL'

    def __init__(self, check_every: int = 20):
        self.check_every = check_every
        self.curve: list[dict] = []
        self.seconds = 0.0
        self._since = 0.0

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        checkpoint['meta']['curve'] = json.dumps([self.seconds, self.curve])

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        if runner._resume and 'curve' in checkpoint.get('meta', {}):
            self.seconds, self.curve = json.loads(checkpoint['meta']['curve'])

    def before_train(self, runner) -> None:
        steps = {point['step'] for point in self.curve}
        if runner._resume and self._is_due(runner) and runner.iter not in steps:
            runner.val_loop.run()
        self._since = time.monotonic()

    def _is_due(self, runner) -> bool:
        loop = runner.train_loop
        if loop.max_iters == runner.iter:
            return True
        done = runner.iter
        if 'max_epochs' in runner.cfg.train_cfg:
            done, rest = divmod(runner.iter, len(runner.train_dataloader))
            if rest:
                return False
        return done > 0 and done % loop.val_interval == 0

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs: Mapping | None = None) -> None:
        now = time.monotonic()
        self.seconds, self._since = self.seconds + now - self._since, now
        due = self.every_n_train_iters(runner, self.check_every) or self.is_last_train_iter(runner)
        if due and not math.isfinite(loss := _loss(outputs)):
            raise UserError(f'the loss is {loss} after step {runner.iter + 1}: the run diverged')

    def before_val(self, runner) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        now = time.monotonic()
        self.seconds, self._since = self.seconds + now - self._since if self._since else self.seconds, now

    def after_val_epoch(self, runner, metrics: dict[str, float] | None = None) -> None:
        columns = paper_columns(metrics or {}) or _nothing_found(runner.val_loop.evaluator)
        point = {'step': runner.iter, 'seconds': round(self.seconds, 2), **columns}
        self.curve = [old for old in self.curve if old['step'] < runner.iter] + [point]
        if is_main_process():
            with atomic_path(Path(runner.work_dir, 'curve.json')) as temporary:
                temporary.write_text(json.dumps(self.curve))

    def after_val(self, runner) -> None:
        self._since = time.monotonic()


def _nothing_found(evaluator: Evaluator) -> dict[str, float]:
    """The columns where a detector found nothing at all, of which mmdet's CocoMetric gives no figures."""
    asked = {name for metric in evaluator.metrics for name in getattr(metric, 'metrics', ())}
    kinds = [what for name, what in (('bbox', 'box'), ('segm', 'mask')) if name in asked]
    return {f'{what} AP{threshold}': 0.0 for what in kinds for threshold in ('', '50', '75')}


def _loss(outputs: Mapping | None) -> float:
    """The whole loss of a step; 0 where none is given."""
    return float((outputs or {}).get('loss', 0))
