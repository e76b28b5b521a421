"""Saving checkpoints that are whole, plain and resumable."""

import inspect
import io
from collections import deque
from pathlib import Path
from typing import Any

import mmengine.hooks
import numpy as np
import torch
from mmengine.dist import is_main_process
from mmengine.fileio import LocalBackend, register_backend

from mmsoco.checkpoints.pretraining import KEY
from mmsoco.engine.model import bare_model
from mmsoco.errors import UserError
from mmsoco.files import atomic_path
from mmsoco.keys import did_you_mean
from mmsoco.models.base import MomentumPretraining
from mmsoco.registry import HOOKS


class AtomicLocalBackend(LocalBackend):
    """Local files, written to a temporary name, synced and renamed."""

    def put(self, obj: bytes | io.BytesIO, filepath: str | Path) -> None:
        """Write bytes to a file; a reader sees the old content or the new, nothing between."""
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
    """mmengine's hook, with four differences.

    - Files are written to a temporary name and renamed, and an old checkpoint
      goes only when the new one is there.
    - A checkpoint loads with ``weights_only``: of mmengine's message hub it
      keeps plain values, not the history of the log.
    - The random state of torch is saved and, when a run resumes, restored.
    - That of a pretraining says what a detector has to know of it.

    Raises:
        UserError: An argument is unknown.
    """

    def __init__(self, *args, backend_args: dict | None = None, **kwargs):
        # mmengine keeps what it does not know until the first checkpoint is saved.
        known = inspect.signature(mmengine.hooks.CheckpointHook).parameters
        if unknown := sorted(kwargs.keys() - known.keys()):
            raise UserError(f'CheckpointHook takes no {unknown[0]}{did_you_mean(unknown[0], known)}')
        super().__init__(*args, backend_args=backend_args or dict(backend='atomic'), **kwargs)
        self._random_state = None

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        checkpoint['message_hub'].update(log_scalars={}, resumed_keys={})
        checkpoint['message_hub'] = plain(checkpoint['message_hub'])
        model = bare_model(runner)
        if isinstance(model, MomentumPretraining):
            dataset = runner.train_dataloader.dataset
            shown = dataset.describe() if hasattr(dataset, 'describe') else {}
            checkpoint['meta'][KEY] = {**model.describe(), **shown}
        checkpoint['meta'] = plain(checkpoint['meta'])
        checkpoint['random_state'] = {'cpu': torch.get_rng_state()}
        if torch.cuda.is_available():
            checkpoint['random_state']['cuda'] = torch.cuda.get_rng_state()

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        self._random_state = checkpoint.get('random_state')

    def before_train(self, runner) -> None:
        super().before_train(runner)
        # Without mmengine's bound, which forgets a checkpoint before it is deleted.
        self.keep_ckpt_ids = deque(getattr(self, 'keep_ckpt_ids', ()))
        if runner.iter > 0 and self._random_state is not None:
            torch.set_rng_state(self._random_state['cpu'].cpu())
            if torch.cuda.is_available() and 'cuda' in self._random_state:
                torch.cuda.set_rng_state(self._random_state['cuda'].cpu())

    def _save_checkpoint_with_step(self, runner, step: int, meta: dict) -> None:
        if step not in self.keep_ckpt_ids:
            self.keep_ckpt_ids.append(step)
        outdated = []
        if self.max_keep_ckpts > 0:
            while len(self.keep_ckpt_ids) > self.max_keep_ckpts:
                outdated.append(self.keep_ckpt_ids.popleft())
        runner.message_hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))

        name = self.filename_tmpl.format(step)
        self.last_ckpt = str(Path(self.out_dir, name))
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        runner.save_checkpoint(
            self.out_dir,
            name,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            meta=meta,
            by_epoch=self.by_epoch,
            backend_args=self.backend_args,
            **self.args,
        )
        if is_main_process():
            with atomic_path(Path(runner.work_dir, 'last_checkpoint')) as temporary:
                temporary.write_text(self.last_ckpt)
            for old in outdated:
                Path(self.out_dir, self.filename_tmpl.format(old)).unlink(missing_ok=True)
