"""What is in a pretraining checkpoint."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from mmsoco.checkpoints.naming import place_of
from mmsoco.checkpoints.written_config import literals
from mmsoco.errors import UserError
from mmsoco.images.reading import Reading

#: Where a checkpoint's ``meta`` says what :meth:`~mmsoco.models.MomentumPretraining.describe` gave.
KEY = 'pretraining'
#: Where a checkpoint's ``meta`` says what its run began from.
INIT = 'init'
#: What begins the names of the target network, a twin of all that it follows.
TARGET = 'target.'


@dataclass(frozen=True)
class Origin:
    """What a checkpoint says of its pretraining; the defaults are of those of earlier versions, which say nothing.

    Attributes:
        parts: Of the model, those that a detector takes.
        mean, std: Of the channels, on the scale 0 to 255.
        channels: ``'rgb'`` or ``'bgr'``, their order, or the number of other ones.
        method: Name of the model's class.
        reading: How the images were read.
        style: Which convolution of a ResNet's bottleneck has the stride: the 3 x 3 one, ``'pytorch'``, or the
            first, ``'caffe'``.
        deep: Whether some had samples of more than 8 bits, which other ways to read scale otherwise.
        said: Whether the checkpoint says it.
    """

    parts: tuple[str, ...] = ('backbone', 'neck', 'roi_head')
    mean: tuple[float, ...] = (123.675, 116.28, 103.53)
    std: tuple[float, ...] = (58.395, 57.12, 57.375)
    channels: str | int = 'rgb'
    method: str = 'SoCoAlgorithm'
    reading: Reading = field(default_factory=Reading)
    deep: bool = False
    style: str = 'pytorch'
    said: bool = field(default=False, compare=False)

    @property
    def reads_unlike_others(self) -> bool:
        """Whether a tool that reads 8 bits of RGB would see other images."""
        return self.deep or (self.reading.channels, self.reading.value_range) != (3, 'file')

    @classmethod
    def of(cls, checkpoint: Mapping[str, Any]) -> 'Origin':
        """That of a checkpoint, of the pretraining or extracted from one."""
        meta = checkpoint.get('meta')
        words = meta.get(KEY) if isinstance(meta, dict) else None
        if not isinstance(words, dict) or not words.keys() >= {'parts', 'mean', 'std', 'channels', 'method'}:
            return cls()
        parts, mean, std = (tuple(words[key]) for key in ('parts', 'mean', 'std'))
        try:
            reading = Reading.of(words)
        except (UserError, TypeError):  # of a later version, or damaged
            return cls()
        deep = bool(words.get('deep'))
        return cls(parts, mean, std, words['channels'], words['method'], reading, deep, said=True)

    @classmethod
    def assumed(cls, file: str) -> 'Origin':
        """That of a file that says nothing: ImageNet's images in RGB, or caffe's, where its name says so.

        As torchvision, timm and the authors of self-supervised methods show them; ``resnet50_caffe`` of mmdet and
        detectron2 is of BGR with a deviation of 1, and has the stride in the first convolution.
        """
        if 'caffe' in file.rpartition('/')[2].lower():
            return cls(mean=(103.53, 116.28, 123.675), std=(1.0, 1.0, 1.0), channels='bgr', style='caffe')
        return cls()

    @classmethod
    def of_config(cls, checkpoint: Mapping[str, Any]) -> 'Origin':
        """That of a model of mmdet or mmpretrain, from the config that its run wrote into the checkpoint.

        Where there is none, ``said`` is False.
        """
        meta = checkpoint.get('meta')
        text = (meta.get('cfg') or meta.get('config')) if isinstance(meta, Mapping) else None
        cfg = literals(text) if isinstance(text, str) else {}
        model = cfg.get('model') if isinstance(cfg.get('model'), dict) else {}
        # mmdet 2 had them beside the model; of models that wrap a detector nothing is told.
        shown = model.get('data_preprocessor') or cfg.get('data_preprocessor') or cfg.get('img_norm_cfg')
        if not isinstance(shown, dict) or not (_are_numbers(shown.get('mean')) and _are_numbers(shown.get('std'))):
            return cls()
        mean, std = tuple(shown['mean']), tuple(shown['std'])
        rgb = bool(shown.get('bgr_to_rgb') or shown.get('to_rgb'))
        if max(*mean, *std) < 1:  # mmselfsup 0: of torchvision's tensors from 0 to 1, which are RGB
            mean, std, rgb = tuple(255 * value for value in mean), tuple(255 * value for value in std), True
        backbone = model.get('backbone')
        style = backbone.get('style', 'pytorch') if isinstance(backbone, dict) else 'pytorch'
        channels = ('rgb' if rgb else 'bgr') if len(mean) == 3 else len(mean)
        return cls(mean=mean, std=std, channels=channels, method=str(model.get('type')), style=style, said=True)

    def describe(self) -> dict:
        """The same in plain values, for another file."""
        return {
            'method': self.method,
            'parts': list(self.parts),
            'mean': list(self.mean),
            'std': list(self.std),
            'channels': self.channels,
            'deep': self.deep,
            **self.reading.describe(),
        }


def _are_numbers(values: Any) -> bool:
    return isinstance(values, (list, tuple)) and all(isinstance(value, (int, float)) for value in values)


def detector_weights(state_dict: Mapping[str, Tensor], source: str, origin: Origin = Origin()) -> dict[str, Tensor]:
    """The online network's weights of the parts that a detector has.

    The backbone is always among them; neck and head may be missing, for the
    paper's ablations pretrain without.

    Args:
        state_dict: Of a pretraining, or of what ``tools/extract_backbone.py``
            made of one.
        source: Where it came from, for the message.
        origin: What the checkpoint says of itself. Where it says nothing, names have
            to tell.

    Raises:
        UserError: It is neither.
    """
    _check_tensors(state_dict, source)
    prefixes = tuple(f'{part}.' for part in origin.parts)
    strangers = set() if origin.said else _strangers(state_dict, prefixes)
    if strangers or not any(name.startswith('backbone.') for name in state_dict):
        raise UserError(
            f'{source} is not a checkpoint of a SoCo pretraining: beside the backbone it may hold neck, roi_head, '
            f'projector, predictor and target, but it holds {", ".join(sorted(strangers)[:8]) or "no backbone"}'
        )
    # The target network has a twin of each: none may have been lost.
    twins = tuple(TARGET + prefix for prefix in prefixes)
    lost = [name for name in state_dict if name.startswith(twins) and name.removeprefix(TARGET) not in state_dict]
    if lost:
        raise UserError(f'{source} has lost {lost[0].removeprefix(TARGET)} ({len(lost)} such tensors); copy it again')
    return {name: tensor for name, tensor in state_dict.items() if name.startswith(prefixes)}


#: Parts that SoCo's pretrainings have besides; their checkpoints of earlier versions are known by these.
PRETRAINING_ONLY = ('projector.', 'predictor.', TARGET)
#: Places that a trained detector has in the parts that a pretraining has, too.
_TASK = ('box_scores', 'box_deltas', 'mask')


def _strangers(names: Collection[str], prefixes: tuple[str, ...]) -> set[str]:
    """What no pretraining of an earlier version holds: other parts, and in the known ones a task's layers."""
    own = any(name.startswith(PRETRAINING_ONLY) for name in names)
    known = [name for name in names if name.startswith((*prefixes, *PRETRAINING_ONLY))]
    # A neck that is no FPN is a classifier's projector, where nothing speaks for a pretraining.
    foreign = {name for name in known if place_of(name).kind in (_TASK if own else (*_TASK, 'neck'))}
    return foreign | {name.split('.')[0] for name in set(names) - set(known)}


def transferable_weights(state_dict: Mapping[str, Tensor], source: str, origin: Origin = Origin()) -> dict[str, Tensor]:
    """What a fine-tuning can begin from: a pretraining of ours, or the backbone of an image-level one.

    Args:
        state_dict: Of a pretraining (see :func:`detector_weights`), or of a
            model of mmpretrain, whose backbone alone is taken.
        source: Where it came from, for the message.
        origin: See :func:`detector_weights`.

    Raises:
        UserError: It is neither.
    """
    _check_tensors(state_dict, source)
    backbone = {name: tensor for name, tensor in state_dict.items() if place_of(name).kind == 'backbone'}
    others = [name for name in state_dict if name not in backbone]
    ours = origin.said or any(name.startswith(TARGET) or place_of(name).kind == 'lateral' for name in others)
    if backbone and others and not ours and not any(is_of_a_task(name) for name in others):
        return backbone
    return detector_weights(state_dict, source, origin)


def is_of_a_task(name: str) -> bool:
    """Whether only a model trained for a task has it, all but a classifier's ``head``."""
    part = name.partition('.')[0]
    return part == 'roi_head' or part.endswith('_head') or place_of(name).kind in _TASK


def _check_tensors(state_dict: Mapping[str, Tensor], source: str) -> None:
    if not all(isinstance(name, str) and isinstance(value, Tensor) for name, value in state_dict.items()):
        raise UserError(f'{source} holds more than named tensors; give a checkpoint of a SoCo pretraining')
