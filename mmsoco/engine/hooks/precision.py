"""What a run computes in."""

from mmengine.hooks import Hook

from mmsoco.engine.full_precision import keep_operators_in_float32
from mmsoco.engine.precision import describe_evaluation, describe_precision, is_in_bfloat16


class PrecisionHook(Hook):
    """Log the precision that runs, by what was built, before the first step; keep out of bfloat16 what has none.

    :func:`mmsoco.engine.launch.build_runner` adds it to every run.
    """

    def before_train(self, runner) -> None:
        if is_in_bfloat16(runner.model, runner.optim_wrapper):
            keep_operators_in_float32(next(runner.model.parameters()).device.type)
        runner.logger.info(f'precision: {describe_precision(runner.model, runner.optim_wrapper)}')

    def before_test(self, runner) -> None:
        runner.logger.info(f'precision: {describe_evaluation(runner.model, getattr(runner.test_loop, "fp16", False))}')
