"""From a config file to a running Runner, with or without CUDA."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import torch
from mmengine import hooks
from mmengine.config import Config
from mmengine.dist import get_world_size, is_main_process
from mmengine.registry import DATASETS

from mmsoco.checkpoints.files import read_meta
from mmsoco.checkpoints.guard import guard_loading
from mmsoco.config import FORMER_HOOKS, hold_out, is_pretraining, read_config, read_files, require
from mmsoco.engine.base_batch import settle_rate
from mmsoco.engine.batch import divide_batch
from mmsoco.engine.definition import contents, define, require_same_run
from mmsoco.engine.gathering import gather_without_files
from mmsoco.engine.hooks.agreement import AgreementHook
from mmsoco.engine.hooks.definition import DefinitionHook
from mmsoco.engine.hooks.precision import PrecisionHook
from mmsoco.engine.hooks.preparation import PreparationHook
from mmsoco.engine.hooks.step_seed import StepSeedHook
from mmsoco.engine.interruption import shielded, stop_signals
from mmsoco.engine.photometry import place_photometry
from mmsoco.engine.precision import set_amp, set_tf32
from mmsoco.engine.processes import in_company, join, require_devices
from mmsoco.engine.resuming import SavedCheckpoints
from mmsoco.engine.runner import Runner
from mmsoco.engine.shared_memory import check_shared_memory
from mmsoco.engine.together import Together, everywhere, first_decides
from mmsoco.engine.warm_start import expect_loaded, settle_init
from mmsoco.errors import UserError
from mmsoco.evaluation.columns import format_columns, paper_columns
from mmsoco.files import atomic_path, check_folder, check_out, remove_leftovers
from mmsoco.keys import unread_keys
from mmsoco.run_lock import RunLock


def prepare_processes(cfg: Config, launcher: str, tool: str = 'train') -> list[str]:
    """Join the other processes, try their devices, and fit the config to a machine without CUDA.

    Returns:
        What was changed, to be logged.

    Raises:
        UserError: See :mod:`mmsoco.engine.processes`; or a GPU is there and cannot be used.
    """
    cfg.launcher = launcher
    notes = []
    require_devices(launcher, tool)
    join(cfg, launcher)
    set_tf32(cfg.get('env_cfg', {}).get('tf32'))
    if not torch.cuda.is_available():
        if cfg.get('sync_bn') is not None:
            cfg.sync_bn = 'mmsoco'  # the others need CUDA
        if launcher != 'none':
            cfg.model_wrapper_cfg = dict(
                type='MMDistributedDataParallel',
                device_ids=None,
                broadcast_buffers=False,
                gradient_as_bucket_view=True,
            )
            notes.append('no CUDA: processes talk by gloo')
    if get_world_size() > 1:
        notes.append(f'BN is {"not " if cfg.get("sync_bn") is None else ""}synchronised over processes')
    return notes


def build_runner(cfg: Config, notes: list[str], whole: bool) -> Runner:
    """Build the Runner and log what the config was changed to; ``whole``: its checkpoint has to be of its model."""
    gather_without_files()
    runner = Runner.from_cfg(cfg)
    runner.build_dataloader = shielded(runner.build_dataloader)
    for hook in (PreparationHook(whole), AgreementHook(), PrecisionHook(), StepSeedHook()):
        runner.register_hook(hook)
    for note in notes:
        runner.logger.info(note[0].upper() + note[1:])
    return runner


def prepare_data(cfg: Config) -> None:
    """Give sampler and data set of a pretraining the run's seed, and refuse data before anything is written.

    A data set that has ``prepare``, as :class:`~mmsoco.datasets.ProposalDataset`
    has, does both itself.

    Raises:
        UserError: Of the data set.
    """
    loader, seed = cfg.train_dataloader, cfg.randomness.seed
    # One seed for the order of images and what is done to them.
    loader.sampler.seed = seed
    with DATASETS.switch_scope_and_registry(cfg.get('default_scope')) as registry:
        prepare = getattr(registry.get(loader.dataset.type), 'prepare', None)
    if prepare is not None:
        prepare(loader.dataset, seed)


def was_restarted() -> bool:
    """Whether a launcher, of whichever node, has started this run before, and a process of it was lost."""
    here = 'MMSOCO_STARTED_BEFORE' in os.environ or int(os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)) > 0
    return bool(Together().highest(int(here)))


def settle_saving(cfg: Config) -> None:
    """Let a run save by our CheckpointHook, also that of a config that knows mmengine's alone, and when it is stopped.

    Args:
        cfg: Of a run; changed in place.
    """
    mine = dict(interruption=dict(type='mmsoco.InterruptionHook'))
    saving = cfg.get('default_hooks', {}).get('checkpoint', dict(type='CheckpointHook', interval=1))
    if saving is not None and saving['type'] in ('CheckpointHook', 'mmengine.CheckpointHook', hooks.CheckpointHook):
        mine['checkpoint'] = {**saving, 'type': 'mmsoco.CheckpointHook'}
    cfg.merge_from_dict({'default_hooks': mine})


def find_checkpoint(cfg: Config, resume: str | None, restarted: bool = False) -> tuple[str | None, list[str]]:
    """What a run goes on from.

    To be called by the process that has the work folder's lock.

    Args:
        cfg: Of the run.
        resume: See :func:`train`.
        restarted: Whether a launcher starts the run once more.

    Returns:
        The checkpoint, None where the run begins, and what was passed over, to be logged.

    Raises:
        UserError: None that is there is whole.
    """
    saved = SavedCheckpoints.of(cfg)
    remove_leftovers(cfg.work_dir)
    remove_leftovers(saved.folder)
    if resume != 'auto' and not restarted:
        return resume, []
    # One that is older than a launch that was not told to resume is of another run.
    since = 0 if resume == 'auto' else float(os.environ.get('MMSOCO_LAUNCHED', 0))
    newest, passed = saved.newest_whole(since)
    if newest is None:
        return None if resume == 'auto' else resume, []
    return str(newest), [f'passed over: {words}' for words in passed]


def define_run(cfg: Config, resume: str | None, anyway: bool, trust: bool) -> tuple[dict, list[str]]:
    """What defines a run, and that a checkpoint to go on from is of one that was defined alike.

    Args:
        cfg: Settled.
        resume: The checkpoint; None where the run begins.
        anyway: Go on where it is of another one.
        trust: Whether the checkpoint may run code.

    Returns:
        The settings, see :func:`~mmsoco.engine.definition.define`, and what is to be logged.

    Raises:
        UserError: It is of another one.
    """
    pretraining = is_pretraining(cfg)
    settings = define(cfg, pretraining, get_world_size()) | contents(cfg)
    notes = []
    if resume is not None:
        notes = require_same_run(resume, read_meta(resume, trust), settings, pretraining, anyway)
    return settings, notes


@contextmanager
def sole_run(*folders: str | os.PathLike) -> Iterator[None]:
    """Hold the :class:`~mmsoco.run_lock.RunLock` of folders, for all processes of a run.

    Raises:
        UserError: Another run has one; in all processes.
    """
    with ExitStack() as stack:
        for folder in dict.fromkeys(map(os.path.abspath, folders)):
            lock = RunLock(folder)
            first_decides(lock.acquire)
            if is_main_process():
                stack.callback(lock.release)
        yield


def train(
    config: str | os.PathLike,
    work_dir: str | None = None,
    resume: str | None = None,
    amp: bool | str | None = None,
    accumulate: int = 1,
    options: dict | None = None,
    launcher: str = 'none',
    progress: bool = False,
    trust_checkpoint: bool = False,
    auto_scale_lr: bool = False,
    resume_anyway: bool = False,
    compile_parts: bool = False,
    recompute: Sequence[str] = (),
    init: str | None = None,
    freeze: Sequence[str] = (),
    loaded_lr: float | None = None,
) -> Runner:
    """Train a config of mmsoco, mmdet or mmpretrain.

    Args:
        config: Path of the config.
        work_dir: Folder for logs and checkpoints; ``work_dirs/NAME`` by default.
        resume: 'auto' goes on from the newest checkpoint in the work folder or,
            if there is none, begins; a path goes on from that file.
        amp: Mixed precision, see :func:`~mmsoco.engine.precision.set_amp`; None means for
            pretraining on CUDA only.
        accumulate: Micro-batches for an optimizer step (pretraining only).
        options: What ``--cfg-options`` gave.
        launcher: Who started the processes, one of :data:`~mmsoco.engine.processes.LAUNCHERS`.
        progress: Show a progress bar on stderr.
        trust_checkpoint: Allow code in the file that it begins with or goes on from.
        auto_scale_lr: Scale a fine-tuning's learning rate to its batch.
        resume_anyway: Go on also from a checkpoint of a run with another schedule or other
            samples, see :func:`~mmsoco.engine.definition.define`.
        compile_parts: Compile backbone, neck and head.
        recompute: Parts of the model whose activations are computed again in the backward pass.
        init: Weights to begin from, see :func:`~mmsoco.engine.warm_start.settle_init`; a run that goes on does not
            look at them.
        freeze: Parts of a pretraining that stay as they are loaded.
        loaded_lr: A factor of the rate of what is loaded, of a pretraining.

    Returns:
        The Runner, trained.

    Raises:
        UserError: Something that was given is wrong, or another run is in the folder.
        Interrupted: SIGTERM or Ctrl-C came; what was done is saved.
    """
    with stop_signals, in_company(launcher):
        cfg = read_config(config, options, work_dir)
        require(cfg, 'model', 'train_dataloader', 'train_cfg', 'optim_wrapper')
        check_folder(cfg.work_dir)
        if 'train_dataloader.batch_size' in (options or {}) and is_pretraining(cfg):
            raise UserError('a pretraining divides total_batch_size over processes; set that, not batch_size')
        notes = prepare_processes(cfg, launcher)
        if resume is None and cfg.get('resume'):
            resume = (init is None and cfg.get('load_from')) or 'auto'
        settle_init(cfg, init, freeze=freeze, loaded_lr=loaded_lr)
        notes += settle(
            cfg,
            amp=amp,
            accumulate=accumulate,
            progress=progress,
            auto_scale_lr=auto_scale_lr,
            options=options,
            compile_parts=compile_parts,
            recompute=recompute,
        )
        if is_pretraining(cfg):
            notes += check_shared_memory(cfg.train_dataloader, patience=10 if was_restarted() else 0)
        if resume_anyway and resume is None:
            raise UserError('--resume-anyway is for runs that go on; add --resume, or leave it out')
        saved = SavedCheckpoints.of(cfg)
        check_folder(saved.folder)
        # Work folders of one name may share the folder of their checkpoints.
        with sole_run(cfg.work_dir, saved.folder):
            resume, passed = first_decides(find_checkpoint, cfg, resume, was_restarted())
            cfg.resume = resume is not None
            cfg.load_from = resume or cfg.get('load_from')
            everywhere(guard_loading, cfg.load_from, trust_checkpoint)
            settings, differing = first_decides(define_run, cfg, resume, resume_anyway, trust_checkpoint)
            moved = first_decides(saved.set_aside, resume, cfg.load_from, trust_checkpoint)
            runner = build_runner(cfg, notes + passed + differing + moved, whole=cfg.resume)
            runner.register_hook(DefinitionHook(settings))
            if init is not None and cfg.resume:
                runner.logger.info(f'{init} is not looked at: the run goes on from {resume}')
            everywhere(expect_loaded, runner, trust_checkpoint)
            runner.train()
    return runner


def settle(
    cfg: Config,
    amp: bool | str | None,
    accumulate: int,
    progress: bool,
    auto_scale_lr: bool = False,
    options: dict | None = None,
    compile_parts: bool = False,
    recompute: Sequence[str] = (),
) -> list[str]:
    """Let a config say all that a training of it is to be; the arguments are those of :func:`train`.

    Returns:
        What was changed, to be logged.

    Raises:
        UserError: It cannot be trained so.
    """
    notes = [f'nothing reads {key} of the config' for key in unread_keys(cfg)]
    if named := [name for name in FORMER_HOOKS if 'custom_hooks' in cfg and name in cfg.get('default_hooks', {})]:
        notes.append(f'beside custom_hooks run the named hooks {", ".join(named)}; default_hooks.NAME=None drops one')
    if is_pretraining(cfg):
        if auto_scale_lr:
            raise UserError(
                '--auto-scale-lr is for fine-tuning; a pretraining has the same total_batch_size whatever the number '
                'of processes, and its learning rate with it: leave it out'
            )
        notes.append('batch: ' + divide_batch(cfg, get_world_size(), accumulate))
        if accumulate > 1:
            notes.append('accumulated batches: boxes are compared with those of their own batch, each a part of a step')
        hold_out(cfg)
        prepare_data(cfg)
        notes += place_photometry(cfg)
    elif accumulate > 1:
        raise UserError(
            '--accumulate is for pretraining; in an mmdet config set optim_wrapper.accumulative_counts, and multiply '
            'its iterations: mmengine counts every batch'
        )
    else:
        notes.append(settle_rate(cfg, get_world_size(), auto_scale_lr, options))
    if progress:
        cfg.custom_hooks = [*(cfg.get('custom_hooks') or ()), dict(type='mmsoco.ProgressBarHook')]
    if compile_parts:
        cfg.merge_from_dict({'default_hooks.compile': dict(type='mmsoco.CompileHook')})
    if recompute:
        cfg.merge_from_dict({'default_hooks.recompute': dict(type='mmsoco.RecomputeHook', parts=list(recompute))})
    settle_saving(cfg)
    set_amp(cfg, amp)
    return notes


def test(
    config: str | os.PathLike,
    checkpoint: str,
    work_dir: str | None = None,
    out: str | os.PathLike | None = None,
    options: dict | None = None,
    launcher: str = 'none',
    trust_checkpoint: bool = False,
) -> dict[str, float]:
    """Evaluate a detector's checkpoint by its config, and print the columns of the paper's tables.

    Args:
        config: Path of the detector's config.
        checkpoint: Path of the detector's checkpoint.
        work_dir: Folder for logs; ``work_dirs/NAME`` by default.
        out: File for the metrics, as JSON; ``columns`` holds those that the paper's
            tables have, in percent.
        options: What ``--cfg-options`` gave.
        launcher: Who started the processes, one of :data:`~mmsoco.engine.processes.LAUNCHERS`.
        trust_checkpoint: Allow code in the checkpoint.

    Returns:
        Name -> value of each metric.

    Raises:
        UserError: The config or the checkpoint does not exist, or they do not fit.
    """
    with in_company(launcher):
        cfg = read_config(config, options, work_dir)
        if is_pretraining(cfg):
            raise UserError(
                f'{config} is a pretraining, which has nothing to test; mmsoco probe measures what it knows'
            )
        require(cfg, 'model', 'test_dataloader', 'test_evaluator', 'test_cfg')
        check_folder(cfg.work_dir)
        if out is not None:
            check_out(out, checkpoint, *read_files(cfg))
        notes = prepare_processes(cfg, launcher, 'test')
        everywhere(guard_loading, checkpoint, trust_checkpoint)
        cfg.load_from = checkpoint
        metrics = build_runner(cfg, notes, whole=True).test()
        columns = paper_columns(metrics)
        if is_main_process():
            print(format_columns(columns))
            if out is not None:
                with atomic_path(out) as temporary:
                    temporary.write_text(json.dumps({**metrics, 'columns': columns}, indent=2))
        return metrics
