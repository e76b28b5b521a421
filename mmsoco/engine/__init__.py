from mmsoco.engine import hooks
from mmsoco.engine.lars import LARS
from mmsoco.engine.loops import PretrainLoop
from mmsoco.engine.optim_constructor import PretrainOptimConstructor
from mmsoco.engine.optim_wrappers import (
    AutocastOptimWrapper,
    BFloat16OptimWrapper,
    FiniteAmpOptimWrapper,
    FiniteOptimWrapper,
)

__all__ = [
    'LARS',
    'AutocastOptimWrapper',
    'BFloat16OptimWrapper',
    'FiniteAmpOptimWrapper',
    'FiniteOptimWrapper',
    'PretrainLoop',
    'PretrainOptimConstructor',
    'hooks',
]
