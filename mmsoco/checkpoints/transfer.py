"""From a pretraining into one of mmdet's detectors or mmpretrain's classifiers."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from mmsoco.checkpoints.report import format_table, summarise
from mmsoco.errors import UserError

#: Parts of a model that a pretraining does not have, and why.
NEW_BY_DESIGN = {
    'rpn_head.': 'new: not part of the pretraining',
    'roi_head.mask_head.': 'new: not part of the pretraining',
    'roi_head.bbox_head.fc_cls.': 'new: depends on the classes',
    'roi_head.bbox_head.fc_reg.': 'new: depends on the classes',
    'head.': 'new: depends on the classes',
}
#: Parts that only some pretrainings have (paper, table 4): new where the whole part is missing.
OPTIONAL_PARTS = ('neck.', 'roi_head.bbox_head.')


@dataclass
class Transfer:
    """What becomes of each tensor of a pretraining and of the model that it fills.

    Attributes:
        loaded: Model's name -> pretrained tensor.
        new: Why -> (model's name -> its own tensor), for those that stay as initialised.
        left: Pretraining's name -> tensor, for those that the model has no use for.
        problems: What should have been loaded and was not, one line each.
    """

    loaded: dict[str, Tensor] = field(default_factory=dict)
    new: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    left: dict[str, Tensor] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def table(self) -> str:
        """Text for the log: part, tensors, values, what became of them."""
        rows = summarise(self.loaded, 'loaded')
        for reason, tensors in self.new.items():
            rows += summarise(tensors, reason)
        rows += summarise(self.left, 'left: a classifier has no such part')
        return format_table(rows)


def _for_classifier(pretrained: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The backbone, with the fifth block that C4 detectors have as their head; and what is left."""
    taken, left = {}, {}
    for name, tensor in pretrained.items():
        name = name.replace('roi_head.shared_head.', 'backbone.')
        (taken if name.startswith('backbone.') else left)[name] = tensor
    return taken, left


def plan_transfer(pretrained: Mapping[str, Tensor], model: Mapping[str, Tensor]) -> Transfer:
    """Match a pretraining's weights with a model's parameters and buffers.

    Args:
        pretrained: Of the parts that detectors have, see
            :func:`~mmsoco.checkpoints.pretraining.detector_weights`.
        model: State dict of a detector, or of a classifier: a model of
            ``backbone`` and ``head`` alone.
    """
    transfer = Transfer()
    if all(name.startswith(('backbone.', 'head.')) for name in model):
        pretrained, transfer.left = _for_classifier(pretrained)
    new = dict(NEW_BY_DESIGN)
    for part in OPTIONAL_PARTS:
        if not any(name.startswith(part) for name in pretrained):
            new[part] = 'new: this pretraining has none'
    for name, own in model.items():
        reason = next((why for prefix, why in new.items() if name.startswith(prefix)), None)
        if name in pretrained:
            if pretrained[name].shape == own.shape:
                transfer.loaded[name] = pretrained[name]
            else:
                transfer.problems.append(
                    f'{name} is {tuple(own.shape)} in the model, {tuple(pretrained[name].shape)} in the pretraining'
                )
        elif reason is not None:
            transfer.new.setdefault(reason, {})[name] = own
        else:
            transfer.problems.append(f'{name} of the model is not in the pretraining')
    transfer.problems += [f'{name} has no place in the model' for name in pretrained if name not in model]
    return transfer


def require_complete(transfer: Transfer, source: str) -> None:
    """Raise when something that should load did not.

    Raises:
        UserError: Naming the first such tensor and how many there are.
    """
    if transfer.problems:
        raise UserError(
            f'{source} does not fit this model: {transfer.problems[0]} ({len(transfer.problems)} such tensors); use '
            'the backbone, FPN and box head of the pretraining, with norm_cfg in the FPN and the heads, as '
            'configs/transfer does'
        )
