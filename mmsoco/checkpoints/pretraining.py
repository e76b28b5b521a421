"""What is in a pretraining checkpoint."""

import re
from collections.abc import Mapping

from torch import Tensor

from mmsoco.errors import UserError

#: Parts that only the pretraining has.
PRETRAINING_ONLY = ('projector.', 'predictor.', 'target.')
#: Parts that a detector takes.
DETECTOR_PARTS = ('backbone.', 'neck.', 'roi_head.')
#: What a pretraining shows its backbone: RGB, with ImageNet's mean and standard deviation.
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
#: Parts of models that were trained for a task, all but a classifier's ``head``.
_TASK = re.compile(r'roi_head\.|.*_head\.|.*\.fc_(cls|reg)\.')
#: What a trained detector has in the known parts, and necks that are no FPN.
_FOREIGN = re.compile(r'roi_head\..*(fc_cls|fc_reg|mask_head)\.|neck\.(?!.*_convs\.)')


def detector_weights(state_dict: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
    """The online network's weights of the parts that a detector has.

    The backbone is always among them; neck and head may be missing, for the
    paper's ablations pretrain without.

    Args:
        state_dict: Of a pretraining, or of what ``tools/extract_backbone.py``
            made of one.
        source: Where it came from, for the message.

    Raises:
        UserError: It is neither.
    """
    known = (*DETECTOR_PARTS, *PRETRAINING_ONLY)
    _check_tensors(state_dict, source)
    # Other parts by their names, of the known ones what a pretraining's have not.
    strangers = {name.split('.')[0] for name in state_dict if not name.startswith(known)}
    strangers |= {name for name in state_dict if name.startswith(known) and _FOREIGN.match(name)}
    if strangers or not any(name.startswith('backbone.') for name in state_dict):
        raise UserError(
            f'{source} is not a checkpoint of a SoCo pretraining: beside the backbone it may hold neck, roi_head, '
            f'projector, predictor and target, but it holds {", ".join(sorted(strangers)[:8]) or "no backbone"}'
        )
    # The target network has a twin of each: none may have been lost.
    twins = tuple(f'target.{part}' for part in DETECTOR_PARTS)
    lost = [name for name in state_dict if name.startswith(twins) and name.removeprefix('target.') not in state_dict]
    if lost:
        raise UserError(
            f'{source} has lost {lost[0].removeprefix("target.")} ({len(lost)} such tensors); copy it again'
        )
    return {name: tensor for name, tensor in state_dict.items() if name.startswith(DETECTOR_PARTS)}


def transferable_weights(state_dict: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
    """What a fine-tuning can begin from: a SoCo pretraining, or the backbone of an image-level one.

    Args:
        state_dict: Of a SoCo pretraining (see :func:`detector_weights`), or of a
            model of mmpretrain, whose backbone alone is taken.
        source: Where it came from, for the message.

    Raises:
        UserError: It is neither.
    """
    _check_tensors(state_dict, source)
    backbone = {name: tensor for name, tensor in state_dict.items() if name.startswith('backbone.')}
    soco = any(name.startswith(('neck.lateral_convs.', *PRETRAINING_ONLY)) for name in state_dict)
    others = [name for name in state_dict if name not in backbone]
    if backbone and others and not soco and not any(_TASK.match(name) for name in others):
        return backbone
    return detector_weights(state_dict, source)


def _check_tensors(state_dict: Mapping[str, Tensor], source: str) -> None:
    if not all(isinstance(name, str) and isinstance(value, Tensor) for name, value in state_dict.items()):
        raise UserError(f'{source} holds more than named tensors; give a checkpoint of a SoCo pretraining')
