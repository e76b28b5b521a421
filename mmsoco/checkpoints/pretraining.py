"""What is in a pretraining checkpoint."""

from collections.abc import Mapping

from torch import Tensor

from mmsoco.errors import UserError

#: Parts that only the pretraining has.
PRETRAINING_ONLY = ('projector.', 'predictor.', 'target.')
#: Parts that a detector takes.
DETECTOR_PARTS = ('backbone.', 'neck.', 'roi_head.')
#: Parts that make a checkpoint a detector's or a segmenter's.
TASK_PARTS = ('rpn_head.', 'roi_head.', 'bbox_head.', 'mask_head.', 'decode_head.')


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
    ours = all(name.startswith(known) for name in state_dict) and any(
        name.startswith('backbone.') for name in state_dict
    )
    if not ours:
        found = sorted({name.split('.')[0] for name in state_dict})
        raise UserError(
            f'{source} is not a checkpoint of a SoCo pretraining: beside the backbone it may hold neck, roi_head, '
            f'projector, predictor and target, but it holds {", ".join(found[:8]) or "nothing"}'
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
    backbone = {name: tensor for name, tensor in state_dict.items() if name.startswith('backbone.')}
    image_level = any(not name.startswith((*DETECTOR_PARTS, *PRETRAINING_ONLY)) for name in state_dict)
    if backbone and image_level and not any(name.startswith(TASK_PARTS) for name in state_dict):
        return backbone
    return detector_weights(state_dict, source)
