"""Which parameters an optimizer gets, and in which groups."""

from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper
from torch import nn

from mmsoco.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS, OPTIMIZERS


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class PretrainOptimConstructor(DefaultOptimWrapperConstructor):
    """Two groups of the trainable parameters: 1-D ones without weight decay, then the rest.

    For any optimizer. mmengine's constructor would hand over the frozen target
    network, too, and names no group for all norms and biases.
    """

    #: What the group of 1-D parameters has besides.
    ONE_DIMENSIONAL = dict(weight_decay=0.0)

    def __call__(self, model: nn.Module) -> OptimWrapper:
        """Build the wrapper with its optimizer."""
        if self.paramwise_cfg:
            raise ValueError(f'{type(self).__name__} has its own two groups; leave paramwise_cfg out')
        model = getattr(model, 'module', model)
        trainable = [p for p in model.parameters() if p.requires_grad]
        groups = [
            dict(params=[p for p in trainable if p.ndim <= 1], **self.ONE_DIMENSIONAL),
            dict(params=[p for p in trainable if p.ndim > 1]),
        ]
        wrapper = dict(self.optim_wrapper_cfg)
        wrapper.setdefault('type', 'OptimWrapper')
        wrapper['optimizer'] = OPTIMIZERS.build({**self.optimizer_cfg, 'params': groups})
        return OPTIM_WRAPPERS.build(wrapper)


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class LARSConstructor(PretrainOptimConstructor):
    """The same for :class:`~mmsoco.engine.lars.LARS`, which does not adapt the rate of 1-D parameters either."""

    ONE_DIMENSIONAL = dict(weight_decay=0.0, adapt=False)
