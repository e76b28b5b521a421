"""mmengine's Runner, with ways to run a model that mmengine does not have."""

import mmengine.runner
from torch import nn

from mmsoco.models.sync_bn import synchronise
from mmsoco.registry import RUNNERS


@RUNNERS.register_module()
class Runner(mmengine.runner.Runner):
    """As mmengine's; ``sync_bn='mmsoco'`` means :class:`~mmsoco.models.SyncBatchNorm`.

    mmdet's own tools build it, too, where a config says ``runner_type = 'mmsoco.Runner'``.
    """

    def wrap_model(self, model_wrapper_cfg: dict | None, model: nn.Module) -> nn.Module:
        """Move the model to its device and, among several processes, synchronise its BN and distribute it."""
        if self.cfg.get('sync_bn') != 'mmsoco':
            return super().wrap_model(model_wrapper_cfg, model)
        # mmengine knows two other ways, and would refuse this one.
        self.cfg.sync_bn = None
        try:
            wrapped = super().wrap_model(model_wrapper_cfg, model)
        finally:
            self.cfg.sync_bn = 'mmsoco'
        # Last: on a CPU DDP refuses what calls itself a SyncBatchNorm.
        return synchronise(wrapped) if self.distributed else wrapped
