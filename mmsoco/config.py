"""Reading configs, and what they say."""

import os
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import MODELS
from mmengine.utils import import_modules_from_strings

from mmsoco.errors import UserError
from mmsoco.models.base import MomentumPretraining

#: The names that mmengine's Runner has in ``default_hooks`` by itself.
MMENGINE_HOOKS = ('runtime_info', 'timer', 'sampler_seed', 'logger', 'param_scheduler', 'checkpoint')


def read_config(path: str | os.PathLike, options: dict | None = None, work_dir: str | None = None) -> Config:
    """Read a config, apply ``--cfg-options``, and settle its hooks and the work folder.

    Raises:
        UserError: There is no such file.
    """
    if not Path(path).is_file():
        raise UserError(f'{path} does not exist; configs are in configs/')
    cfg = Config.fromfile(path)
    cfg.merge_from_dict(options or {})
    if 'custom_imports' in cfg:  # fromfile has seen the file's, not the options'
        import_modules_from_strings(**cfg.custom_imports)
    settle_hooks(cfg)
    cfg.work_dir = work_dir or cfg.get('work_dir') or f'work_dirs/{Path(path).stem}'
    return cfg


def is_pretraining(cfg: Config) -> bool:
    """Whether a config's model is a :class:`~mmsoco.models.MomentumPretraining`, of whatever method."""
    # Where the Runner will look for it: in the config's scope, or in the one that its name says.
    with MODELS.switch_scope_and_registry(cfg.get('default_scope')) as registry:
        model = cfg.get('model', {}).get('type')
        model = registry.get(model) if isinstance(model, str) else model
    return isinstance(model, type) and issubclass(model, MomentumPretraining)


def settle_hooks(cfg: Config) -> None:
    """Let ``custom_hooks`` replace the named hooks of the same type, and None take a named hook away.

    The configs here name their hooks in ``default_hooks``, where a config that
    inherits them changes one by its name. mmengine would run a hook twice that
    ``custom_hooks`` list, too, and accepts None for its own names only.

    Args:
        cfg: Config of a Runner; changed in place.
    """
    listed = {_type_name(hook) for hook in cfg.get('custom_hooks') or ()}
    for name, hook in list((cfg.get('default_hooks') or {}).items()):
        if name not in MMENGINE_HOOKS and (hook is None or _type_name(hook) in listed):
            del cfg.default_hooks[name]


def _type_name(hook: object) -> str:
    """The name of a hook's class, without its scope; of its settings or of itself."""
    kind = hook['type'] if isinstance(hook, dict) else type(hook)
    return kind.__name__ if isinstance(kind, type) else kind.rpartition('.')[2]


def hold_out(cfg: Config) -> None:
    """Leave the images that a ProbeHook measures on out of the training data.

    Raises:
        UserError: The config holds out others.
    """
    dataset = cfg.get('train_dataloader', {}).get('dataset', {})
    for hook in (*cfg.get('default_hooks', {}).values(), *(cfg.get('custom_hooks') or ())):
        if hook is not None and str(hook.get('type')).rpartition('.')[2] == 'ProbeHook':
            images = hook.get('images', hook.get('pictures'))
            held_out = dataset.get('held_out') or images
            if held_out != images:
                raise UserError(
                    f'the data set holds out {held_out!r}, ProbeHook {images!r}; hold out the same, or leave '
                    'held_out of the data set away'
                )
            dataset.held_out = held_out
