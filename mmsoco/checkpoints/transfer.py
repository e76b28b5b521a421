"""From a pretraining into one of mmdet's detectors."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from mmsoco.checkpoints.report import format_table, summarise
from mmsoco.errors import UserError

#: Parts of a detector that a pretraining does not have, and why.
NEW_BY_DESIGN = {
    'rpn_head.': 'new: not part of the pretraining',
    'roi_head.mask_head.': 'new: not part of the pretraining',
    'roi_head.bbox_head.fc_cls.': 'new: depends on the classes',
    'roi_head.bbox_head.fc_reg.': 'new: depends on the classes',
}


@dataclass
class Transfer:
    """What becomes of each tensor of a detector.

    Attributes:
        loaded: Detector's name -> pretrained tensor.
        new: Detector's name -> its own tensor, for those that stay as initialised.
        problems: What should have been loaded and was not, one line each.
    """

    loaded: dict[str, Tensor] = field(default_factory=dict)
    new: dict[str, Tensor] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def table(self) -> str:
        """Text for the log: part, tensors, values, what became of them."""
        rows = summarise(self.loaded, 'loaded')
        for prefix, reason in NEW_BY_DESIGN.items():
            rows += summarise({name: t for name, t in self.new.items() if name.startswith(prefix)}, reason)
        return format_table(rows)


def plan_transfer(pretrained: Mapping[str, Tensor], detector: Mapping[str, Tensor]) -> Transfer:
    """Match a pretraining's weights with a detector's parameters and buffers.

    Args:
        pretrained: Of the parts that detectors have, see
            :func:`~mmsoco.checkpoints.pretraining.detector_weights`.
        detector: The detector's state dict.
    """
    transfer = Transfer()
    for name, own in detector.items():
        if name in pretrained:
            if pretrained[name].shape == own.shape:
                transfer.loaded[name] = pretrained[name]
            else:
                transfer.problems.append(
                    f'{name} is {tuple(own.shape)} in the detector, {tuple(pretrained[name].shape)} in the pretraining'
                )
        elif name.startswith(tuple(NEW_BY_DESIGN)):
            transfer.new[name] = own
        else:
            transfer.problems.append(f'{name} of the detector is not in the pretraining')
    transfer.problems += [f'{name} has no place in the detector' for name in pretrained if name not in detector]
    return transfer


def require_complete(transfer: Transfer, source: str) -> None:
    """Raise when something that should load did not.

    Raises:
        UserError: Naming the first such tensor and how many there are.
    """
    if transfer.problems:
        raise UserError(
            f'{source} does not fit this detector: {transfer.problems[0]} '
            f'({len(transfer.problems)} such tensors); use the backbone, FPN and box head of the pretraining, '
            'with norm_cfg in the FPN and the heads, as configs/transfer does'
        )
