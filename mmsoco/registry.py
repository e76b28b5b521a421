"""Registries of the scope ``mmsoco``, children of mmengine's.

``dict(type='mmsoco.NAME')`` in any OpenMMLab config finds the parts below:
mmengine imports this module on the first such name, and each registry imports
its locations on first use: all files of a room, so that a new one is found.
From then on ``_base_ = 'mmsoco::own/100-pictures_cpu.py'`` is found, too.
"""

from pathlib import Path

from mmengine import registry as root
from mmengine.config.utils import MODULE2PACKAGE
from mmengine.registry import Registry

# What mmengine looks for configs in, by the folder that it is installed in. By a module's name that is the folder of
# the package that runs; by that of a distribution, the original line would look in site-packages, where an editable
# installation has none.
MODULE2PACKAGE['mmsoco'] = 'mmsoco.registry'


def _child(name: str, *locations: str) -> Registry:
    return Registry(
        name.lower().removesuffix('s').replace('_', ' '),
        parent=getattr(root, name),
        scope='mmsoco',
        locations=[f'mmsoco.{module}' for location in locations for module in _modules(location)],
    )


def _modules(location: str) -> list[str]:
    """A module, or a package and all modules in it."""
    package = Path(__file__).parent.joinpath(*location.split('.'))
    names = sorted(path.stem for path in package.glob('*.py') if path.stem != '__init__')
    return [location, *(f'{location}.{name}' for name in names)]


DATASETS = _child('DATASETS', 'datasets')
DATA_SAMPLERS = _child('DATA_SAMPLERS', 'datasets')
TRANSFORMS = _child('TRANSFORMS', 'datasets.transforms')
FUNCTIONS = _child('FUNCTIONS', 'datasets')
MODELS = _child('MODELS', 'models')
OPTIMIZERS = _child('OPTIMIZERS', 'engine')
OPTIM_WRAPPERS = _child('OPTIM_WRAPPERS', 'engine')
OPTIM_WRAPPER_CONSTRUCTORS = _child('OPTIM_WRAPPER_CONSTRUCTORS', 'engine')
HOOKS = _child('HOOKS', 'engine')
LOOPS = _child('LOOPS', 'engine')
RUNNERS = _child('RUNNERS', 'engine')
METRICS = _child('METRICS', 'evaluation.coco_metric', 'evaluation.lvis_metric')

# mmengine warns when a scope lacks a registry that it looks into, or a registry a place to import from.
for _name in (
    'EVALUATOR',
    'LOG_PROCESSORS',
    'MODEL_WRAPPERS',
    'PARAM_SCHEDULERS',
    'TASK_UTILS',
    'VISBACKENDS',
    'VISUALIZERS',
    'WEIGHT_INITIALIZERS',
):
    _child(_name, 'registry')
