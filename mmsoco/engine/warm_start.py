"""What a run is told of the weights that it begins from."""

from collections.abc import Sequence

from mmengine.config import Config
from mmengine.runner import CheckpointLoader

from mmsoco.checkpoints.files import read_meta
from mmsoco.checkpoints.pretraining import INIT
from mmsoco.config import has_hook, is_pretraining
from mmsoco.engine.hooks.warm_start import WarmStartHook
from mmsoco.engine.model import bare_model
from mmsoco.engine.runner import Runner
from mmsoco.errors import UserError

_CONSTRUCTORS = ('PretrainOptimConstructor', 'LARSConstructor')


def settle_init(
    cfg: Config, init: str | None = None, freeze: Sequence[str] = (), loaded_lr: float | None = None
) -> None:
    """Let a config say what its run begins from, and how.

    A pretraining gets a :class:`~mmsoco.engine.hooks.WarmStartHook`, also where its ``load_from`` comes from its
    config; another run that has ``init`` gets a :class:`~mmsoco.engine.hooks.TransferHook`, unless it has one.

    Args:
        cfg: Of the run; changed in place.
        init: Weights, in the place of ``load_from``.
        freeze: Parts of the model that are not trained.
        loaded_lr: Factor of the rate of what is loaded.

    Raises:
        UserError: The run cannot have these.
    """
    if init == '':
        raise UserError("--init '' is no file; name one, or leave it out")
    if init is not None:
        cfg.load_from = init
    if not is_pretraining(cfg):
        if freeze or loaded_lr is not None:
            raise UserError(
                '--freeze and --loaded-lr are for pretraining; for a detector set model.backbone.frozen_stages and '
                'optim_wrapper.paramwise_cfg'
            )
        if init is not None and not has_hook(cfg, 'TransferHook'):
            cfg.custom_hooks = [*(cfg.get('custom_hooks') or ()), dict(type='mmsoco.TransferHook')]
        return
    if not has_hook(cfg, 'WarmStartHook'):
        cfg.merge_from_dict({'default_hooks.warm_start': dict(type='mmsoco.WarmStartHook')})
    if freeze:
        cfg.model.frozen = list(freeze)
    if loaded_lr is not None:
        given = cfg.optim_wrapper.get('paramwise_cfg') or {}
        cfg.optim_wrapper.paramwise_cfg = {**given, 'loaded_lr': loaded_lr}
    factor = _loaded_lr(cfg)
    if factor is None:
        return
    if str(cfg.optim_wrapper.get('constructor')).rpartition('.')[2] not in _CONSTRUCTORS:
        raise UserError("loaded_lr needs optim_wrapper.constructor='PretrainOptimConstructor'; set it, or leave it out")
    if not factor > 0:
        raise UserError(f'loaded_lr is {factor}, a factor above 0; to leave a part as it is: --freeze backbone')


def _loaded_lr(cfg: Config) -> float | None:
    return (cfg.optim_wrapper.get('paramwise_cfg') or {}).get('loaded_lr')


def expect_loaded(runner: Runner, trust: bool = False) -> None:
    """Tell a model which of its parameters will be loaded, where its optimizer, which is not built yet, is to know.

    Of a run that goes on its checkpoint says so.

    Args:
        runner: Of any run.
        trust: Whether the checkpoint may run code.

    Raises:
        UserError: Nothing will be; or the weights do not fit.
    """
    cfg, model = runner.cfg, bare_model(runner)
    if not is_pretraining(cfg) or _loaded_lr(cfg) is None:
        return
    if runner._load_from is None:
        raise UserError('--loaded-lr is of what is loaded, and nothing is; give weights by --init, or leave it out')
    if runner._resume:
        began = read_meta(runner._load_from, trust).get(INIT) or {}
        beginnings = tuple(began.get('loaded', ()))
        model.loaded = frozenset(name for name, _ in model.named_parameters() if name.startswith(beginnings))
        return
    hook = next(hook for hook in runner.hooks if isinstance(hook, WarmStartHook))
    checkpoint = CheckpointLoader.load_checkpoint(runner._load_from, map_location='cpu')
    _, transfer = hook.plan(model, checkpoint, str(runner._load_from))
    model.loaded = frozenset(transfer.loaded)
