"""Beginning a pretraining from weights that are there, with nothing lost on the way."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from mmsoco.checkpoints.pretraining import Origin
from mmsoco.checkpoints.recognition import Weights, recognise
from mmsoco.checkpoints.transfer import Transfer, require_complete
from mmsoco.checkpoints.warm_start import plan_warm_start
from mmsoco.checkpoints.widening import channels_differ
from mmsoco.engine.hooks.loading import LoadingHook
from mmsoco.engine.model import bare_model
from mmsoco.errors import UserError
from mmsoco.registry import HOOKS

_HOW = 'or say that it should: --cfg-options default_hooks.warm_start.same_images=False'


def check_shown(model: nn.Module, origin: Origin, source: str, other_channels: bool = False) -> None:
    """Raise unless a pretraining shows its backbone what the weights have learned from, and strides as they do.

    Args:
        model: The pretraining's.
        origin: What the weights' file says of the images.
        source: What the weights are called in messages.
        other_channels: Whether its images have others, of which mean and deviation are not compared.

    Raises:
        UserError: With what to do.
    """
    if origin.channels == 'bgr' or origin.style != 'pytorch':
        raise UserError(
            f'{source} is caffe-style (BGR images, or the stride in the first convolution of a block), and a '
            'pretraining shows RGB: its features would be wrong; give weights with style=pytorch and bgr_to_rgb=True, '
            f"as mmdet's configs without caffe in their names make them, {_HOW}"
        )
    for module in model.modules():
        if getattr(module, 'style', 'pytorch') != origin.style:
            raise UserError(
                f"the pretraining's ResNet is {module.style}-style, these weights are not; set style='pytorch'"
            )
    if other_channels:
        return
    shown = model.data_preprocessor.describe()
    same = all(
        len(shown[key]) == len(values) and all(abs(a - b) < 1e-3 for a, b in zip(shown[key], values, strict=True))
        for key, values in (('mean', origin.mean), ('std', origin.std))
    )
    if not same or shown['channels'] != origin.channels:
        values = f'model.data_preprocessor.mean={list(origin.mean)} and std={list(origin.std)}'
        if not origin.said:
            raise UserError(
                f"{source} does not say what images it saw, and the pretraining shows others than ImageNet's; where it "
                f'saw those of ImageNet set {values}; where it saw these, {_HOW.removeprefix("or ")}'
            )
        raise UserError(f'{source} has seen other images than the pretraining shows; set {values}, {_HOW}')


@HOOKS.register_module()
class WarmStartHook(LoadingHook):
    """Fill a pretraining from ``load_from``: weights of any kind that is known.

    See :func:`~mmsoco.checkpoints.recognition.recognise`. It prints a table of what is loaded and what stays new or
    is left, and why; it stops the run with one line when anything that should load does not, when images or strides are
    others, or when a part is frozen that nothing fills. :class:`~mmsoco.engine.hooks.TargetUpdateHook` makes the
    target network a copy. :func:`mmsoco.engine.launch.train` adds it to every pretraining. Where a run resumes, it
    does nothing.

    Args:
        new: Beginnings of the model's names that may stay new.
        leave: Beginnings of the weights' names, as mmdet has them, that may be left, such as ``['neck.']``.
        same_images: Refuse weights that have learned from other images, or with the stride elsewhere.
        widen: Fit the first convolution to images of another number of channels, see
            :func:`~mmsoco.checkpoints.widening.widened`; these are then not compared.
    """

    def __init__(
        self, new: Sequence[str] = (), leave: Sequence[str] = (), same_images: bool = True, widen: bool = False
    ):
        super().__init__()
        if isinstance(new, str) or isinstance(leave, str):
            raise UserError("WarmStartHook's new and leave are lists of names' beginnings, such as ['neck.']")
        self.new = new
        self.leave = leave
        self.same_images = same_images
        self.widen = widen
        self._filled: set[str] = set()

    def plan(self, model: nn.Module, checkpoint: Mapping[str, Any], source: str) -> tuple[Weights, Transfer]:
        """What weights would fill.

        Args:
            model: The pretraining's.
            checkpoint: The weights' file.
            source: What it is called in messages.

        Raises:
            UserError: They do not fit.
        """
        weights = recognise(checkpoint, source)
        own = model.state_dict()
        if self.same_images:
            check_shown(model, weights.origin, source, channels_differ(weights.tensors, own) is not None)
        parts = model.describe()['parts']
        transfer = plan_warm_start(weights, own, parts, new=self.new, leave=self.leave, widen=self.widen)
        require_complete(transfer, source, hook='WarmStartHook')
        return weights, transfer

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        if runner._resume:
            self.go_on(checkpoint)
            return
        model = bare_model(runner)
        weights, transfer = self.plan(model, checkpoint, str(runner._load_from))
        self.note_beginning(runner, checkpoint, weights, transfer)
        runner.logger.info(f'Weights to begin from:\n{transfer.table()}')
        self._filled = set(transfer.loaded)
        # What stays new as it is: else mmengine warns of each.
        checkpoint['state_dict'] = {**model.state_dict(), **transfer.loaded}

    def before_train(self, runner) -> None:
        if runner.iter:
            return
        model = bare_model(runner)
        for name, part in model.named_children():
            init_cfg = getattr(part, 'init_cfg', None)
            if isinstance(init_cfg, Mapping) and init_cfg.get('type') == 'Pretrained':
                runner.logger.warning(
                    f'What init_cfg of {name} loads is not compared with the model, and no checkpoint will tell it; '
                    f'give {init_cfg["checkpoint"]} by --init'
                )
        for part in model.frozen:
            # What no file has of a part, such as norms of a classifier's maps, does nothing as it begins.
            if not any(name.startswith(f'{part}.') for name in self._filled):
                raise UserError(
                    f'{part} is frozen, and nothing is loaded into it; give weights that have it by --init, or leave '
                    f'{part} out of --freeze'
                )
