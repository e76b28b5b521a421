"""What a run computes in."""

import torch
from mmengine.hooks import Hook
from torch import nn

from mmsoco.engine.full_precision import keep_operators_in_float32
from mmsoco.engine.precision import describe_evaluation, describe_precision, is_in_bfloat16


class PrecisionHook(Hook):
    """Log the precision that runs, by what was built, before the first step; keep out of bfloat16 what has none.

    :func:`mmsoco.engine.launch.build_runner` adds it to every run.
    """

    def before_train(self, runner) -> None:
        if is_in_bfloat16(runner.model, runner.optim_wrapper):
            keep_operators_in_float32(_device(runner.model))
        runner.logger.info(f'precision: {describe_precision(runner.model, runner.optim_wrapper)}')

    def before_val(self, runner) -> None:
        self._before_evaluation(runner.model, getattr(runner.val_loop, 'fp16', False))

    def before_test(self, runner) -> None:
        fp16 = getattr(runner.test_loop, 'fp16', False)
        self._before_evaluation(runner.model, fp16)
        runner.logger.info(f'precision: {describe_evaluation(runner.model, fp16)}')

    def _before_evaluation(self, model: nn.Module, fp16: bool) -> None:
        # mmengine's autocast takes the device's own type, on a CPU bfloat16.
        if fp16 and torch.get_autocast_dtype(_device(model)) is torch.bfloat16:
            keep_operators_in_float32(_device(model))


def _device(model: nn.Module) -> str:
    return next(model.parameters()).device.type
