"""Loading a pretraining into a detector or a classifier, with nothing lost on the way."""

from collections.abc import Iterator, Mapping, Sequence

import torch
from mmengine.config import Config
from mmengine.runner import BaseLoop
from torch import Tensor

from mmsoco.checkpoints.pretraining import Origin
from mmsoco.checkpoints.recognition import recognise
from mmsoco.checkpoints.transfer import Transfer, plan_transfer, require_complete
from mmsoco.checkpoints.unwrapping import unwrap
from mmsoco.checkpoints.widening import channels_differ
from mmsoco.datasets.transforms.loading import LoadImageFromFile
from mmsoco.engine.hooks.loading import LoadingHook
from mmsoco.engine.model import bare_model
from mmsoco.errors import UserError
from mmsoco.images.reading import Reading
from mmsoco.registry import HOOKS, TRANSFORMS
from mmsoco.renamed import renamed_arguments


def check_images(model: torch.nn.Module, origin: Origin = Origin(), other_channels: bool = False) -> None:
    """Raise unless a model shows its backbone what the pretraining did, and strides as it did.

    Args:
        model: A detector of mmdet or a classifier of mmpretrain.
        origin: What the pretraining's checkpoint says of it.
        other_channels: Whether its images are meant to have others, and so are not compared.

    Raises:
        UserError: With what to set.
    """
    for name, module in model.named_modules():
        # Also of a detector in a model that wraps it.
        style = getattr(module, 'style', origin.style)
        if {'backbone', 'shared_head'} & {*name.split('.')} and style != origin.style:
            raise UserError(
                f"the model's ResNet is {style}-style, its features would be wrong; set style='{origin.style}'"
            )
    if other_channels:
        return
    preprocessor = model.data_preprocessor
    while hasattr(preprocessor, 'data_preprocessor'):  # that of several branches
        preprocessor = preprocessor.data_preprocessor
    rgb = getattr(preprocessor, '_channel_conversion', False) or getattr(preprocessor, 'to_rgb', False)
    given = {'mean': origin.mean, 'std': origin.std}
    same = all(_is_like(getattr(preprocessor, name, None), values) for name, values in given.items())
    if rgb != (origin.channels == 'rgb') or not same:
        raise UserError(
            'the model sees other images than the pretraining did; set in its data_preprocessor '
            f'mean={list(origin.mean)}, std={list(origin.std)} and {_order(origin)}, or say that it should: '
            'TransferHook(same_images=False)'
        )


def _is_like(buffer: torch.Tensor | None, values: Sequence[float]) -> bool:
    return (
        buffer is not None
        and buffer.numel() == len(values)
        and torch.allclose(buffer.flatten().cpu(), torch.tensor(values, dtype=buffer.dtype))
    )


def _order(origin: Origin) -> str:
    """What a data preprocessor is told beside mean and standard deviation."""
    if origin.channels in ('rgb', 'bgr'):
        return f'bgr_to_rgb={origin.channels == "rgb"}'
    return f"type='mmsoco.ChannelDetDataPreprocessor', which takes {origin.channels} channels, without bgr_to_rgb"


def check_loading(cfg: Config, origin: Origin) -> None:
    """Raise unless a detector's loaders read images as those of its pretraining were read.

    Args:
        cfg: The run's.
        origin: What the pretraining's checkpoint says of it.

    Raises:
        UserError: With the loader, and the step to set in its pipeline.
    """
    channels, value_range = origin.reading.channels, origin.reading.value_range
    with TRANSFORMS.switch_scope_and_registry(cfg.get('default_scope')) as registry:
        for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
            for step in _loading_steps(cfg.get(name)):
                kind = registry.get(step['type']) if isinstance(step['type'], str) else step['type']
                own = Reading(step.get('channels', 3), step.get('value_range', 'file'))
                if kind is not LoadImageFromFile or (own.channels, own.value_range) != (channels, value_range):
                    rule = value_range if isinstance(value_range, str) else list(value_range)
                    raise UserError(
                        f"{name} reads images otherwise than the pretraining's were read; set in its pipeline, instead "
                        f"of {step['type']}, dict(type='mmsoco.LoadImageFromFile', channels={channels}, "
                        f'value_range={rule!r}), or say that it should: TransferHook(same_images=False)'
                    )


def _loading_steps(node: object) -> Iterator[Mapping]:
    """The steps of a loader's config that read images, in whatever data sets and wrappers."""
    if isinstance(node, Mapping):
        kind = node.get('type', '')
        name = kind.rpartition('.')[2] if isinstance(kind, str) else kind.__name__
        if name.startswith(('LoadImageFrom', 'LoadMultiChannelImage')):
            yield node
        node = list(node.values())
    if isinstance(node, list | tuple):
        for part in node:
            yield from _loading_steps(part)


def _require_shapes(weights: Mapping[str, Tensor], own: Mapping[str, Tensor], source: str) -> None:
    """Refuse weights of a model of the same names, of which some have other shapes."""
    differing = [name for name in own if own[name].shape != weights[name].shape]
    if differing:
        raise UserError(
            f'{source} is of a detector like this one, but {differing[0]} is '
            f'{tuple(weights[differing[0]].shape)} there and {tuple(own[differing[0]].shape)} here; to begin from it '
            'with other classes leave TransferHook out: mmengine loads what has the same shape, and says what has not'
        )


@HOOKS.register_module()
class TransferHook(LoadingHook):
    """Make ``load_from`` of a pretraining checkpoint loud.

    mmengine only warns about tensors that are missing or of another shape. This
    hook prints a table of what is loaded and what stays new, and stops the run
    when something that should load does not, or when nothing is loaded at all.
    Checkpoints of the model itself, as ``--resume`` and testing load them,
    pass unchanged; where a training begins from one, its images are compared, too,
    if it says which it saw. From the hook's making on, weights are read by the rules of
    :func:`~mmsoco.checkpoints.guard.guard_loading`.

    It knows where mmdet's detectors have the pretrained parts: those that start
    at C3 (RetinaNet, FCOS) number their pyramid's convolutions from P3, C4 ones
    share the fifth block, a cascade has a box head for each stage. Of an
    image-level pretraining, one of mmpretrain, the backbone alone is taken. A model that
    wraps detectors, as student and teacher, has them all filled, and what wraps a
    checkpoint's names, as ``module.``, is taken off
    (:func:`~mmsoco.checkpoints.unwrapping.unwrap`). Where a detector has parts of its own, the
    error holds the ``new`` and ``leave`` that make it fit, to paste.

    Args:
        new: Beginnings of parameter names of the detector that may stay new,
            besides those that no pretraining has, for instance
            ``['neck.downsample_convs.', 'neck.pafpn_convs.']`` of a PAFPN.
        leave: Beginnings of parameter names of the pretraining that may be left
            behind, for instance ``['roi_head.bbox_head.']`` for a detector with
            another box head.
        same_images: Refuse a model that shows its backbone other images than
            the pretraining did (channels and their order, mean, standard deviation, and,
            where there are other than 8 bits of RGB, how files are read), or has
            the stride in another convolution: weights of the same shapes, of
            which features would be wrong.
        widen: Fit the first convolution to images of another number of channels, see
            :func:`~mmsoco.checkpoints.widening.widened`; these are then not the
            pretraining's, and not compared.

    Raises:
        UserError: The checkpoint is neither, or does not fit; there is none; or
            a pretraining is given where a trained model is tested.
    """

    @renamed_arguments(same_pictures='same_images')
    def __init__(
        self,
        new: Sequence[str] = (),
        leave: Sequence[str] = (),
        same_images: bool = True,
        widen: bool = False,
    ):
        super().__init__()
        if isinstance(new, str) or isinstance(leave, str):
            raise UserError("TransferHook's new and leave are lists of names' beginnings, such as ['neck.']")
        self.same_images = same_images
        self.widen = widen
        self.new = new
        self.leave = leave
        self._loaded = self._from_pretraining = False

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        # The loop is built before weights are loaded for it; for a test it is not.
        self.fill(runner, checkpoint, to_train=isinstance(runner._train_loop, BaseLoop))

    def fill(self, runner, checkpoint: dict, to_train: bool) -> None:
        """Make the checkpoint what the model takes of it.

        Args:
            runner: Or what has its model, logger and config, and knows whether it resumes, and from where.
            checkpoint: As it was loaded; changed in place.
            to_train: Whether the model is to begin from it, rather than to be tested.
        """
        model = bare_model(runner)
        own = model.state_dict()
        self._loaded = True
        if runner._resume:
            self.go_on(checkpoint)
        source = str(runner._load_from)
        state_dict = checkpoint.get('state_dict', checkpoint)
        if set(state_dict) != set(own):
            state_dict = unwrap(checkpoint, source).tensors
        if set(state_dict) == set(own):
            _require_shapes(state_dict, own, source)
            if to_train and not runner._resume:
                self._begin_as_it_is(runner, checkpoint, state_dict)
            checkpoint['state_dict'] = state_dict
            return
        if runner._resume:
            raise UserError('a pretraining cannot be resumed as a detector; give it as --cfg-options load_from=...')
        weights = recognise(checkpoint, source)
        origin = weights.origin
        if self.same_images:
            # Widened as the user says, or else about to be refused.
            other_channels = channels_differ(weights.tensors, own) is not None
            check_images(model, origin, other_channels)
            if origin.reads_unlike_others and not other_channels:
                check_loading(runner.cfg, origin)
        transfer = plan_transfer(
            weights.tensors, own, new=self.new, leave=self.leave, behind=weights.beside, widen=self.widen
        )
        for reason, tensors in weights.left.items():
            transfer.left.setdefault(reason, {}).update(tensors)
        given = {'same_images': self.same_images, 'widen': self.widen}
        usual = {'same_images': True, 'widen': False}
        require_complete(transfer, source, **{key: value for key, value in given.items() if value != usual[key]})
        self.note_beginning(runner, checkpoint, weights, transfer)
        runner.logger.info(f'Weights to begin from:\n{transfer.table()}')
        checkpoint['state_dict'] = transfer.loaded
        self._from_pretraining = True

    def _begin_as_it_is(self, runner, checkpoint: dict, state_dict: Mapping[str, Tensor]) -> None:
        """Of a trained model of the same build all is taken; it may have seen other images, and its labels are owed."""
        try:
            weights = recognise(checkpoint, str(runner._load_from))
        except UserError:  # of a model that has no backbone by that name
            return
        if self.same_images and weights.origin.said:
            check_images(bare_model(runner), weights.origin)
        transfer = Transfer(loaded=dict(state_dict))
        self.note_beginning(runner, checkpoint, weights, transfer)
        runner.logger.info(f'Weights to begin from:\n{transfer.table()}')

    def before_train(self, runner) -> None:
        if not self._loaded:
            raise UserError(
                'no pretraining is given; add --cfg-options load_from=work_dirs/NAME/epoch_100.pth, or leave '
                'TransferHook out to train from random weights'
            )

    def after_train(self, runner) -> None:
        self._from_pretraining = False

    def before_test(self, runner) -> None:
        if self._from_pretraining:
            raise UserError('the checkpoint is a pretraining, the model is not trained yet; fine-tune it first')
