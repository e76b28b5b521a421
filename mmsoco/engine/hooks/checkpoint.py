"""Saving checkpoints that are whole, plain and resumable."""

import inspect
import io
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import mmengine.hooks
import numpy as np
import torch
from mmengine.dist import get_rank, is_main_process
from mmengine.fileio import LocalBackend, register_backend
from torch import nn

from mmsoco.checkpoints.files import read_meta
from mmsoco.checkpoints.pretraining import KEY
from mmsoco.checkpoints.seal import seal
from mmsoco.engine.loops import ends_epoch
from mmsoco.engine.model import bare_model
from mmsoco.engine.resuming import POINTER, SavedCheckpoints
from mmsoco.engine.together import Together
from mmsoco.errors import UserError
from mmsoco.files import atomic_path, finishing
from mmsoco.keys import did_you_mean
from mmsoco.models.base import MomentumPretraining
from mmsoco.registry import HOOKS


class AtomicLocalBackend(LocalBackend):
    """Local files, written to a temporary name, synced and renamed; checkpoints with a digest of their bytes."""

    def put(self, obj: bytes | io.BytesIO, filepath: str | Path) -> None:
        """Write bytes to a file; a reader sees the old content or the new, nothing between."""
        if Path(filepath).suffix == '.pth':
            obj = seal(obj.getvalue() if isinstance(obj, io.BytesIO) else obj)
        with atomic_path(filepath) as temporary:
            super().put(obj, temporary)


register_backend('atomic', AtomicLocalBackend, force=True)


def plain(value: Any) -> Any:
    """Numbers, strings, tensors and containers of them; everything else becomes a string.

    Such a value loads with ``torch.load(weights_only=True)``.
    """
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        items = [plain(item) for item in value]
        return tuple(items) if type(value) is tuple else items
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value)
    if isinstance(value, (bool, int, float, str, torch.Tensor)) or value is None:
        return value
    return str(value)


@HOOKS.register_module()
class CheckpointHook(mmengine.hooks.CheckpointHook):
    """mmengine's hook, with these differences.

    - Files are written to a temporary name and renamed, and an old checkpoint
      goes only when the new one is there. What is in the folder counts for
      ``max_keep_ckpts``, also what a run that was killed left.
    - It saves by time, too, and when a run is told to stop: such checkpoints
      between two regular ones, ``iter_N.pth``, go when the next one is there.
    - A checkpoint loads with ``weights_only``: of mmengine's message hub it
      keeps plain values, not the history of the log.
    - The random state of torch and what else differs from process to process
      (statistics of BN that is not synchronised) is saved and, when a run resumes,
      restored. What a model draws does not need the former, see :mod:`mmsoco.engine.draws`;
      what draws between steps does, such as an epoch's loader of mmengine, which takes
      the seed of its workers from torch.
    - That of a pretraining says what a detector has to know of it.

    Args:
        every_minutes: Save when the last checkpoint is so old; None for never.
        args, backend_args, kwargs: mmengine's.

    Raises:
        UserError: An argument is unknown, or a run resumes from what is no checkpoint of a run.
    """

    def __init__(self, *args, every_minutes: float | None = 30, backend_args: dict | None = None, **kwargs):
        # mmengine keeps what it does not know until the first checkpoint is saved.
        known = {*inspect.signature(mmengine.hooks.CheckpointHook).parameters, 'every_minutes'}
        if unknown := sorted(kwargs.keys() - known):
            raise UserError(f'CheckpointHook takes no {unknown[0]}{did_you_mean(unknown[0], known)}')
        super().__init__(*args, backend_args=backend_args or dict(backend='atomic'), **kwargs)
        self.every_minutes = every_minutes
        self._together = Together()
        self._processes: list[dict] = []
        self._saved_step: int | None = None
        self._restored: dict | None = None

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        checkpoint['message_hub'].update(log_scalars={}, resumed_keys={})
        checkpoint['message_hub'] = plain(checkpoint['message_hub'])
        model = bare_model(runner)
        if isinstance(model, MomentumPretraining):
            dataset = runner.train_dataloader.dataset
            shown = dataset.describe() if hasattr(dataset, 'describe') else {}
            checkpoint['meta'][KEY] = {**model.describe(), **shown}
        checkpoint['meta'] = plain(checkpoint['meta'])
        first, *others = self._processes or [process_state(model)]
        checkpoint['random_state'] = first['random_state']
        for other in others:
            same = [name for name, buffer in other['buffers'].items() if torch.equal(buffer, first['buffers'][name])]
            for name in same:
                del other['buffers'][name]
        checkpoint['other_processes'] = others
        self._processes = []

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        if runner._resume:
            check_resumable(checkpoint, runner._load_from)
        first = {'random_state': checkpoint['random_state'], 'buffers': {}} if 'random_state' in checkpoint else None
        self._restored = dict(enumerate([first, *checkpoint.get('other_processes', ())])).get(get_rank(), first)

    def before_train(self, runner) -> None:
        # mmengine would delete by the list of the checkpoint that was loaded.
        runner.message_hub.runtime_info.pop('keep_ckpt_ids', None)
        super().before_train(runner)
        # Name -> whether it is between two regular ones, in order; the first process removes the old ones.
        self._kept = was_between(SavedCheckpoints(Path(self.out_dir), self.filename_tmpl)) if is_main_process() else {}
        if self._kept:  # what a run was killed over that it wanted to remove
            self._remove_old(*list(self._kept.items())[-1])
        self._last_time = time.monotonic()
        if runner.iter > 0 and self._restored is not None:
            restore_process_state(bare_model(runner), self._restored)

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        super().after_train_iter(runner, batch_idx, data_batch, outputs)
        # The end of an epoch has its own.
        if self.every_minutes is None or ends_epoch(runner):
            return
        late = time.monotonic() - self._last_time > 60 * self.every_minutes
        # The first process' clock decides, and all have a part in saving.
        if self._together.highest(int(late and is_main_process())):
            self.save_now(runner, runner.iter + 1, runner.epoch)

    def save_now(self, runner, steps: int, epochs: int) -> str:
        """Save between two regular checkpoints; to be called in all processes.

        Args:
            steps, epochs: That are done.

        Returns:
            The file; that of a regular checkpoint, if the last step had one.
        """
        if self._saved_step != steps:
            runner.logger.info(f'Saving checkpoint at {steps} iterations')
            self._save(runner, f'iter_{steps}.pth', dict(epoch=epochs, iter=steps, between=True))
        return self.last_ckpt

    def _save_checkpoint_with_step(self, runner, step: int, meta: dict) -> None:
        self._save(runner, self.filename_tmpl.format(step), meta)

    def _save(self, runner, name: str, meta: dict) -> None:
        self._saved_step = meta['iter']
        self.last_ckpt = str(Path(self.out_dir, name))
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        self._processes = self._together.gather(process_state(bare_model(runner))) or []
        with finishing():
            runner.save_checkpoint(
                self.out_dir,
                name,
                save_optimizer=self.save_optimizer,
                save_param_scheduler=self.save_param_scheduler,
                meta=meta,
                backend_args=self.backend_args,
                **self.args,
            )
            if is_main_process():
                with atomic_path(Path(runner.work_dir, POINTER)) as temporary:
                    temporary.write_text(self.last_ckpt)
                self._remove_old(name, between=meta.get('between', False))
        self._last_time = time.monotonic()

    def _remove_old(self, newest: str, between: bool) -> None:
        """Remove checkpoints between regular ones, and the oldest ones beyond ``max_keep_ckpts``."""
        others = {name: it_is for name, it_is in self._kept.items() if name != newest}
        kept = [name for name, it_is in others.items() if not it_is]
        if self.max_keep_ckpts > 0:
            kept = kept[max(0, len(kept) + 1 - self.max_keep_ckpts) :]
        self._kept = dict.fromkeys(kept, False) | {newest: between}
        for name in others.keys() - set(kept):
            Path(self.out_dir, name).unlink(missing_ok=True)


def was_between(saved: SavedCheckpoints) -> dict[str, bool]:
    """Name -> whether it was saved between two regular ones, by their steps; damaged ones are left out, and alone."""
    found = []
    for path in saved:
        with suppress(UserError):
            meta = read_meta(path)
            found.append((meta.get('iter', 0), path.stat().st_mtime, path.name, meta.get('between', False)))
    return {name: between for *_, name, between in sorted(found)}


def process_state(model: nn.Module) -> dict:
    """What one process alone knows: its random state, and the model's buffers, on the CPU.

    Not those of SyncBN, which are the same in all processes.
    """
    random_state = {'cpu': torch.get_rng_state()}
    if torch.cuda.is_available():
        random_state['cuda'] = torch.cuda.get_rng_state()
    buffers = {name: buffer.detach().cpu() for name, buffer in _own_buffers(model)}
    return {'random_state': random_state, 'buffers': buffers}


def _own_buffers(model: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    for path, module in model.named_modules():
        if not isinstance(module, nn.SyncBatchNorm):
            for name, buffer in module.named_buffers(recurse=False):
                yield f'{path}.{name}' if path else name, buffer


@torch.no_grad()
def restore_process_state(model: nn.Module, state: dict) -> None:
    """The reverse of :func:`process_state`."""
    torch.set_rng_state(state['random_state']['cpu'].cpu())
    if torch.cuda.is_available() and 'cuda' in state['random_state']:
        torch.cuda.set_rng_state(state['random_state']['cuda'].cpu())
    for name, buffer in _own_buffers(model):
        # A run whose BN was not synchronised may go on with BN that is.
        if name in state['buffers']:
            buffer.copy_(state['buffers'][name])


def check_resumable(checkpoint: dict, source: str) -> None:
    """Refuse to go on from what is no checkpoint of a run.

    Args:
        checkpoint: What was loaded.
        source: The file, for the message.

    Raises:
        UserError: With what is missing.
    """
    missing = {'meta', 'message_hub', 'state_dict', 'optimizer'} - checkpoint.keys()
    if missing:
        raise UserError(
            f'{source} cannot be resumed from, it has no {min(missing)}: it is of weights alone; begin from it by '
            f'--cfg-options load_from={source}'
        )
