"""Which parameters an optimizer gets, in which groups, at which rates."""

from typing import Any

from mmengine.model import is_model_wrapper
from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper
from torch import nn

from mmsoco.engine.layer_depth import layer_depths
from mmsoco.errors import UserError
from mmsoco.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS, OPTIMIZERS


# LARS had one of its own in earlier versions.
@OPTIM_WRAPPER_CONSTRUCTORS.register_module(name=['PretrainOptimConstructor', 'LARSConstructor'])
class PretrainOptimConstructor(DefaultOptimWrapperConstructor):
    """Groups of the trainable parameters: those without weight decay, which have one dimension, then the others.

    For any optimizer. mmengine's constructor would hand over the frozen target
    network, too, and names no group for all norms and biases. An optimizer that
    treats 1-D parameters in a way of its own, such as
    :class:`~mmsoco.engine.lars.LARS`, says so by ``ONE_DIMENSIONAL``.

    Args:
        optim_wrapper_cfg: As mmengine's.
        paramwise_cfg: mmengine's options (``custom_keys``, ``norm_decay_mult``, ...),
            which come before the rule for 1-D parameters, and

            - ``layer_decay_rate``: a rate r of the backbone's layers (BEiT, ViTDet): of
              D depths (see :func:`~mmsoco.engine.layer_depth.layer_depths`) the one
              at depth d learns at lr * r ** (D - 1 - d); neck, head and all else at lr.
            - ``loaded_lr``: a factor of the rate of what a warm start fills, beside what is new; see
              :class:`~mmsoco.engine.hooks.WarmStartHook`.

    Raises:
        UserError: There is a ``loaded_lr``, and the model is not told what will be loaded.
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None):
        paramwise_cfg = dict(paramwise_cfg or {})
        self.layer_decay_rate = paramwise_cfg.pop('layer_decay_rate', 1.0)
        self.loaded_lr = paramwise_cfg.pop('loaded_lr', 1.0)
        super().__init__(optim_wrapper_cfg, paramwise_cfg)

    def __call__(self, model: nn.Module) -> OptimWrapper:
        """Build the wrapper with its optimizer."""
        model = model.module if is_model_wrapper(model) else model
        optimizer_type = OPTIMIZERS.get(self.optimizer_cfg['type'])
        groups = self.param_groups(model, getattr(optimizer_type, 'ONE_DIMENSIONAL', {}))
        wrapper = dict(self.optim_wrapper_cfg)
        wrapper.setdefault('type', 'OptimWrapper')
        wrapper['optimizer'] = OPTIMIZERS.build({**self.optimizer_cfg, 'params': groups})
        return OPTIM_WRAPPERS.build(wrapper)

    def param_groups(self, model: nn.Module, one_dimensional: dict) -> list[dict]:
        """One group for each set of options that some parameters share; those of 1-D parameters first."""
        given, scales = self._given(model), self._scales(model)
        groups: dict[tuple, dict] = {}
        trainable = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
        for name, parameter in sorted(trainable, key=lambda entry: entry[1].ndim > 1):
            options = {'weight_decay': 0.0, **one_dimensional} if parameter.ndim <= 1 else {}
            options |= given.get(id(parameter), {})
            if name in scales:
                options['lr'] = options.get('lr', self.base_lr) * scales[name]
            key = parameter.ndim <= 1, *sorted(options.items())
            groups.setdefault(key, {'params': [], **options})['params'].append(parameter)
        return list(groups.values())

    def _given(self, model: nn.Module) -> dict[int, dict[str, Any]]:
        """What mmengine's options say of single parameters, by their identity."""
        if not self.paramwise_cfg:
            return {}
        single: list[dict] = []
        own = nn.Module()
        own._parameters.update(model.named_parameters(recurse=False))
        for name, part in (('', own), *model.named_children()):
            # Not the target network: each of its parameters would be logged as skipped.
            if any(p.requires_grad for p in part.parameters()):
                self.add_params(single, part, prefix=name)
        given = {}
        for group in single:
            options = {k: v for k, v in group.items() if k not in ('params', 'lr_mult', 'decay_mult')}
            # mmengine writes the decay of a custom key, whether it is asked for or not.
            if 'lr_mult' in group and 'decay_mult' not in group:
                options.pop('weight_decay', None)
            given[id(group['params'][0])] = options
        return given

    def _scales(self, model: nn.Module) -> dict[str, float]:
        """Name -> factor of the rate, for the backbone's parameters and those that are loaded."""
        scales = {}
        if self.layer_decay_rate != 1:
            depths, count = layer_depths(model.backbone)
            scales = {
                f'backbone.{name}': self.layer_decay_rate ** (count - 1 - depth) for name, depth in depths.items()
            }
        if self.loaded_lr != 1:
            if not (loaded := getattr(model, 'loaded', ())):
                raise UserError(
                    'loaded_lr is of what is loaded, and nothing says what will be; begin by mmsoco train --init, or '
                    'leave it out'
                )
            scales |= {name: self.loaded_lr * scales.get(name, 1.0) for name in loaded}
        return scales
