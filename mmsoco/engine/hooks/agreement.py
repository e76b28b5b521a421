"""All processes train one model."""

import socket

from mmengine.hooks import Hook
from torch.nn.parallel import DistributedDataParallel

from mmsoco.engine.agreement import parts_of, require_same
from mmsoco.engine.model import bare_model
from mmsoco.engine.together import Together
from mmsoco.registry import HOOKS


@HOOKS.register_module()
class AgreementHook(Hook):
    """Before the first step compare what processes hold: steps done, parameters, optimizer.

    What was loaded or drawn differently would be averaged step by step without a
    word. :func:`mmsoco.engine.launch.build_runner` adds this hook to every run.

    Raises:
        UserError: Some process holds something else.
    """

    # After all others: what they restore is compared.
    priority = 'LOWEST'

    def before_train(self, runner) -> None:
        # What divides parameters among processes says itself what belongs together.
        if not isinstance(runner.model, DistributedDataParallel):
            return
        wrapper = runner.optim_wrapper
        optimizers = [part.optimizer for part in getattr(wrapper, 'optim_wrappers', {'': wrapper}).values()]
        parts = {'step': runner.iter, **parts_of(bare_model(runner), optimizers)}
        advice = 'give all machines the same files, and the same config with its randomness.seed'
        if runner.iter:
            advice = f'{runner._load_from} has to be the same file on all machines, as in a work folder that they share'
        require_same(Together().share((socket.gethostname(), parts)), advice)
