"""What a run computes in, in its log."""

from mmengine.hooks import Hook

from mmsoco.engine.precision import describe_evaluation, describe_precision


class PrecisionHook(Hook):
    """Log the precision that runs, by what was built, before the first step.

    :func:`mmsoco.engine.launch.build_runner` adds it to every run.
    """

    def before_train(self, runner) -> None:
        runner.logger.info(f'precision: {describe_precision(runner.model, runner.optim_wrapper)}')

    def before_test(self, runner) -> None:
        runner.logger.info(f'precision: {describe_evaluation(runner.model, getattr(runner.test_loop, "fp16", False))}')
