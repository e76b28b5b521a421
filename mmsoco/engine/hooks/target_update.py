"""Moving the target network."""

from mmengine.hooks import Hook

from mmsoco.checkpoints.official import kept_of
from mmsoco.engine.model import bare_model
from mmsoco.models.momentum import momentum_at, momentum_for
from mmsoco.registry import HOOKS


@HOOKS.register_module()
class TargetUpdateHook(Hook):
    """Move the target network before each optimizer step's forward.

    The momentum is a cosine over optimizer steps, see
    :func:`~mmsoco.models.momentum.momentum_at`. Before the first step the target
    is made equal to the online network, whatever was loaded. A checkpoint that was
    converted from the official code counts epochs only; the step to go on from
    follows from them and the data at hand.

    Args:
        base_momentum: Momentum at the first step (paper: 0.99); None for
            :func:`~mmsoco.models.momentum.momentum_for`.
    """

    def __init__(self, base_momentum: float | None = 0.99):
        self.base_momentum = base_momentum

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        if kept_of(checkpoint) is not None:
            checkpoint['meta']['iter'] = runner.train_loop.steps(checkpoint['meta']['epoch'])

    def before_train(self, runner) -> None:
        if runner.iter == 0:
            bare_model(runner).reset_target()

    def before_train_iter(self, runner, batch_idx: int, data_batch=None) -> None:
        base = momentum_for(runner.max_iters) if self.base_momentum is None else self.base_momentum
        momentum = momentum_at(runner.iter, runner.max_iters, base)
        bare_model(runner).update_target(momentum)
        runner.message_hub.update_scalar('train/target_momentum', momentum)
