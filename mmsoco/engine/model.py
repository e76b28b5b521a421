"""The model of a run, and whether it is a pretraining."""

from mmengine.config import Config
from mmengine.model import is_model_wrapper
from mmengine.registry import MODELS
from mmengine.runner import Runner
from torch import nn

from mmsoco.models.base import MomentumPretraining


def bare_model(runner: Runner) -> nn.Module:
    """The model itself, without what distributes it."""
    return runner.model.module if is_model_wrapper(runner.model) else runner.model


def is_pretraining(cfg: Config) -> bool:
    """Whether a config's model is a :class:`~mmsoco.models.MomentumPretraining`, of whatever method."""
    # Where the Runner will look for it: in the config's scope, or in the one that its name says.
    with MODELS.switch_scope_and_registry(cfg.get('default_scope')) as registry:
        model = cfg.model['type']
        model = registry.get(model) if isinstance(model, str) else model
    return isinstance(model, type) and issubclass(model, MomentumPretraining)
