from mmsoco.engine.hooks import *  # noqa: F401, F403
from mmsoco.engine.hooks import __all__ as _hooks
from mmsoco.engine.lars import LARS, LARSConstructor
from mmsoco.engine.loops import PretrainLoop
from mmsoco.engine.optim_wrappers import CPUAmpOptimWrapper

__all__ = ['CPUAmpOptimWrapper', 'LARS', 'LARSConstructor', 'PretrainLoop', *_hooks]
