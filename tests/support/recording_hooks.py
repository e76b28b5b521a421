"""Hooks that tests put into real runs, by ``custom_imports``."""

import hashlib
import json
import time
from pathlib import Path

import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from torch.nn.modules.batchnorm import _BatchNorm

from mmsoco.errors import UserError
from mmsoco.registry import HOOKS


def unwrapped(runner):
    return runner.model.module if is_model_wrapper(runner.model) else runner.model


def digest(tensors) -> str:
    sha = hashlib.sha256()
    for tensor in tensors:
        sha.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return sha.hexdigest()


@HOOKS.register_module()
class EvalNormsHook(Hook):
    """BN in eval mode: an image's embedding does not depend on the others in its batch."""

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        for module in runner.model.modules():
            if isinstance(module, _BatchNorm):
                module.eval()


@HOOKS.register_module()
class RecordHook(Hook):
    """Write what each process holds to ``record_RANK.json`` in the work folder."""

    priority = 'LOWEST'

    def before_train(self, runner):
        self.steps, self.losses = [], []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if outputs is not None:
            self.losses.append(float(outputs['loss']))

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        model = unwrapped(runner)
        online = [p for module in model.followed.values() for p in module.parameters()]
        target = list(model.target.parameters())
        self.steps.append(
            dict(
                iter=runner.iter,
                lr=runner.optim_wrapper.param_groups[0]['lr'],
                momentum=runner.message_hub.get_scalar('train/target_momentum').current(),
                target=digest(target),
                target_is_online=digest(online) == digest(target),
            )
        )

    def after_train(self, runner):
        model = unwrapped(runner)
        record = dict(
            steps=self.steps,
            losses=self.losses,
            device=str(next(model.parameters()).device),
            iter=runner.iter,
            online=digest(p for p in model.parameters() if p.requires_grad),
            target=digest(model.target.parameters()),
            random_state=digest([torch.get_rng_state()]),
        )
        Path(runner.work_dir, f'record_{get_rank()}.json').write_text(json.dumps(record))


@HOOKS.register_module()
class PoisonHook(Hook):
    """From the second step on, a gradient of the online network holds a NaN."""

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == 1:
            weight = unwrapped(runner).predictor.fc1.bias
            weight.register_hook(lambda grad: torch.full_like(grad, float('nan')))


@HOOKS.register_module()
class CollapseHook(Hook):
    """The target network gives the same embedding for every box."""

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        with torch.no_grad():
            unwrapped(runner).target.projector.fc1.weight.zero_()


@HOOKS.register_module()
class OtherWeightsHook(Hook):
    """The second process has a parameter of another last bit."""

    def before_train(self, runner):
        if get_rank() == 1:
            last = list(unwrapped(runner).parameters())[-1]
            last.data.view(-1).view(torch.int32)[-1] ^= 1


@HOOKS.register_module()
class SlowSaveHook(Hook):
    """Saving takes three seconds longer."""

    def before_save_checkpoint(self, runner, checkpoint):
        time.sleep(3)


@HOOKS.register_module()
class RefuseHook(Hook):
    """Some processes refuse to go on after the first step; the others go on until they wait for them.

    Args:
        ranks: Those that refuse.
    """

    def __init__(self, ranks):
        self.ranks = ranks

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if get_rank() in self.ranks:
            raise UserError('this is refused')
