"""What fine-tunings draw in a step."""

from mmengine.dist import get_rank
from mmengine.hooks import Hook

from mmsoco.engine.draws import seed_step
from mmsoco.engine.loops import PretrainLoop


class StepSeedHook(Hook):
    """Seed torch's generators before each batch of mmengine's loops, which draw alike in all processes otherwise.

    :func:`mmsoco.engine.launch.build_runner` adds it to every run; a
    :class:`~mmsoco.engine.loops.PretrainLoop` seeds by itself, as its steps have several
    batches.
    """

    # After all others, which may draw, too.
    priority = 'LOWEST'

    def before_train_iter(self, runner, batch_idx: int, data_batch=None) -> None:
        if not isinstance(runner.train_loop, PretrainLoop):
            # mmengine counts every batch, also those of one step.
            seed_step(runner.seed, get_rank(), runner.iter)
