"""What concerns all runs, found before the first one."""

import copy
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from types import SimpleNamespace

import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, HOOKS, MODELS
from mmengine.runner import CheckpointLoader
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmsoco.checkpoints.guard import guard_loading
from mmsoco.compare.plan import Init
from mmsoco.compare.schedules import bare_type
from mmsoco.errors import UserError, reason

#: Parameters of what a detector's weights are for; a teacher is frozen as it should be.
_BACKBONE = re.compile(r'((student|detector)\.)?backbone\.')


@contextmanager
def quiet() -> Iterator[None]:
    """Let libraries print nothing."""
    with open(os.devnull, 'w') as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        yield


def loaded_share(cfg: Config, init: Init, fit: bool = False) -> tuple[float, str]:
    """Build an arm's model and load its weights, as its runs will.

    Args:
        cfg: The arm's.
        init: The arm.
        fit: Whether the detector is fitted already.

    Returns:
        Share of the model's parameters that are loaded, and the table of what is.

    Raises:
        UserError: The model cannot be built, the weights do not fit, or random ones would stay as they are.
    """
    said: list[str] = []
    settings = copy.deepcopy(cfg.model)
    if cfg.get('data_preprocessor') is not None:
        settings.setdefault('data_preprocessor', cfg.data_preprocessor)
    with MODELS.switch_scope_and_registry(cfg.get('default_scope')) as registry:
        try:
            model = registry.build(settings)
        except UserError:
            raise
        except Exception as error:
            raise UserError(f'the model of {cfg.filename} cannot be built: {reason(error)}; correct it') from error
    parameters = {name: parameter.numel() for name, parameter in model.named_parameters()}
    if init.file is None:
        _require_learning(cfg, model)
        return 0.0, 'random weights'
    guard_loading(init.file)
    with quiet():
        checkpoint = CheckpointLoader.load_checkpoint(init.file, map_location='cpu', logger='silent')
    logger = SimpleNamespace(info=said.append)
    runner = SimpleNamespace(model=model, cfg=cfg, logger=logger, _resume=False, _load_from=init.file)
    try:
        transfer_hook(cfg).fill(runner, checkpoint, to_train=True)
    except UserError as error:
        words = str(error)
        hint = '; or let --fit give the detector of every arm the norms and the box head of a pretraining'
        if 'model: backbone.' in words or 'the backbones differ' in words:
            hint = '; of mmsoco::own/detectors, *_cpu.py fit pretrainings by mmsoco::own/*_cpu.py, *_gpu.py by *_gpu.py'
        elif fit:
            hint = ''
        raise UserError(f'--init {init.name}: {words}{hint}') from None
    state = checkpoint.get('state_dict', checkpoint)
    loaded = sum(count for name, count in parameters.items() if isinstance(state.get(name), torch.Tensor))
    return loaded / sum(parameters.values()), '\n'.join(said)


def _require_learning(cfg: Config, model: nn.Module) -> None:
    """Refuse what would keep random weights of the backbone as they are: then scratch is no scratch.

    Raises:
        UserError: Parts of the backbone are frozen, or its BN keeps the statistics that it begins with.
    """
    model.train()
    learning = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    frozen = [name for name, _ in model.named_parameters() if name not in learning]
    frozen += [name for name, part in model.named_modules() if isinstance(part, _BatchNorm) and not part.training]
    if found := next((name for name in frozen if _BACKBONE.match(name)), None):
        raise UserError(
            f'{cfg.filename} freezes parameters or statistics of the backbone ({found}), which from scratch would stay '
            'random; --fit lets all of it train in every arm, or --cfg-options model.backbone.frozen_stages=-1 '
            'model.backbone.norm_eval=False'
        )


def transfer_hook(cfg: Config):
    """The TransferHook of a config, built."""
    for hook in (*cfg.default_hooks.values(), *(cfg.get('custom_hooks') or ())):
        if hook is not None and bare_type(hook) == 'TransferHook':
            with HOOKS.switch_scope_and_registry('mmsoco') as registry:
                return registry.build(hook if '.' in str(hook['type']) else {**hook, 'type': 'mmsoco.TransferHook'})
    raise UserError('an arm with a file has no TransferHook; leave it in')


def build_dataset(cfg: Config, loader: str):
    """The data set of a loader, to be counted and listed.

    Raises:
        UserError: It cannot be built.
    """
    with DATASETS.switch_scope_and_registry(cfg.get('default_scope')) as registry:
        try:
            with quiet():
                dataset = registry.build(copy.deepcopy(cfg[loader].dataset))
                dataset.full_init()
        except UserError:
            raise
        except Exception as error:
            raise UserError(f'the data of {loader} cannot be read: {reason(error)}; correct {cfg.filename}') from error
    return dataset


def steps_of(cfg: Config, samples: int, processes: int = 1) -> int:
    """Optimizer steps, or iterations where batches are accumulated, of a training.

    Args:
        cfg: Of a run.
        samples: Of its data set.
    """
    if cfg.train_cfg.get('max_iters'):
        return cfg.train_cfg.max_iters
    loader = cfg.train_dataloader
    batch = loader.get('batch_size') or (loader.get('batch_sampler') or {}).get('batch_size') or 1
    return cfg.train_cfg.max_epochs * -(-samples // (batch * processes))
