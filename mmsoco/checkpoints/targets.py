"""What other tools call the weights of a pretraining.

A target is a function from the pretraining's parameter names to those of a
tool. It accounts for every name: taken under a new one, or left for a reason;
a name that it does not know is an error.
"""

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from mmsoco.errors import UserError

#: (regular expression of whole names, their replacement or why they are left).
Rules = Sequence[tuple[str, str]]

_NORM = r'(?:weight|bias|running_mean|running_var|num_batches_tracked)'
#: mmdet's, mmpretrain's, torchvision's and timm's names of a ResNet without variations.
_RESNET = (
    rf'(?:conv1\.weight|bn1\.{_NORM}|layer[1-4]\.\d+\.'
    rf'(?:conv[1-3]\.weight|bn[1-3]\.{_NORM}|downsample\.(?:0\.weight|1\.{_NORM})))'
)


class Misfit(Exception):
    """Why a target cannot take a pretraining."""


@dataclass
class Renaming:
    """What becomes of each of a pretraining's parameters.

    Attributes:
        taken: The pretraining's name -> the target's.
        left: The pretraining's name -> why the target has no use for it.
    """

    taken: dict[str, str] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)


def _apply(names: Collection[str], takes: Rules, leaves: Rules = ()) -> Renaming:
    """Sort names by the first rule that matches, ``leaves`` before ``takes``."""
    renaming = Renaming()
    origins: dict[str, str] = {}
    for name in names:
        reason = next((why for pattern, why in leaves if re.fullmatch(pattern, name)), None)
        if reason is not None:
            renaming.left[name] = reason
            continue
        matches = ((re.fullmatch(pattern, name), new) for pattern, new in takes)
        renamed = next((match.expand(new) for match, new in matches if match), None)
        if renamed is None:
            raise Misfit(f'{name} has no place in it')
        if renamed in origins:
            raise Misfit(f'{origins[renamed]} and {name} would both become {renamed}')
        origins[renamed] = name
        renaming.taken[name] = renamed
    return renaming


def _require_resnet(names: Collection[str]) -> None:
    for name in names:
        if name.startswith('backbone.') and not re.fullmatch(rf'backbone\.{_RESNET}', name):
            raise Misfit(f'it is for ResNets, and the backbone here holds {name}; choose mmdet, mmdet-p3 or backbone')


def _levels(names: Collection[str], prefix: str) -> set[int]:
    """Indices of a list of modules."""
    return {int(name.removeprefix(prefix).split('.')[0]) for name in names if name.startswith(prefix)}


def _require_fpn(names: Collection[str]) -> None:
    """By its levels: an index says nothing about the stride, and the shapes of P2's and P3's layers are equal."""
    levels = _levels(names, 'neck.lateral_convs.')
    if not levels:
        raise Misfit('it needs an FPN, and this pretraining has none')
    if levels != {0, 1, 2, 3}:
        raise Misfit(f'it needs an FPN from C2 to C5, and the one here has {len(levels)} levels')


def _has_shared_head(names: Collection[str]) -> bool:
    """Whether it is a C4 pretraining."""
    return any(name.startswith('roi_head.shared_head.') for name in names)


def mmdet(names: Collection[str]) -> Renaming:
    """mmdet's two-stage detectors: backbone, FPN and box head, names as they are.

    Of a pretraining without FPN or head, what there is.
    """
    return Renaming({name: name for name in names})


def mmdet_c4(names: Collection[str]) -> Renaming:
    """mmdet's C4 detectors: backbone and roi_head.shared_head, names as they are.

    They need ``style='pytorch'`` in both, for mmdet's own C4 configs put the
    stride elsewhere, which no shape tells.
    """
    if not _has_shared_head(names):
        raise Misfit('it needs a C4 pretraining, and this one has no roi_head.shared_head; choose mmdet')
    return _apply(names, [(r'(?:backbone|roi_head\.shared_head)\..+', r'\g<0>')])


def mmdet_p3(names: Collection[str]) -> Renaming:
    """mmdet's detectors that start at C3 (RetinaNet, FCOS, ATSS): backbone and FPN.

    Their first FPN level is P3, so the pretraining's indices shift down by one.
    """
    _require_fpn(names)
    shift = [
        (rf'neck\.(lateral|fpn)_convs\.{level}\.(.+)', rf'neck.\1_convs.{level - 1}.\2')
        for level in sorted(_levels(names, 'neck.fpn_convs.') - {0})
    ]
    return _apply(
        names,
        takes=[(r'backbone\..+', r'\g<0>'), *shift],
        leaves=[
            (r'neck\.(?:lateral|fpn)_convs\.0\..+', 'detectors that start at C3 have no P2'),
            (r'roi_head\.bbox_head\..+', 'one-stage detectors have no box head'),
        ],
    )


def backbone(names: Collection[str]) -> Renaming:
    """The backbone by itself, as mmdet and mmpretrain name it, without a prefix.

    That of a C4 pretraining is made whole with its head, which is the fifth
    block, ``layer4``.
    """
    return _apply(
        names,
        takes=[(r'backbone\.(.+)', r'\1'), (r'roi_head\.shared_head\.(layer4\..+)', r'\1')],
        leaves=[(r'neck\..+', 'no part of the backbone'), (r'roi_head\.bbox_head\..+', 'no part of the backbone')],
    )


def torchvision(names: Collection[str]) -> Renaming:
    """torchvision's resnet50 and its kin: the backbone, with layer4 also from C4.

    ``fc.*`` stays new: load with ``strict=False``.
    """
    _require_resnet(names)
    return backbone(names)


def torchvision_fpn(names: Collection[str]) -> Renaming:
    """torchvision's maskrcnn_resnet50_fpn_v2 and fasterrcnn_resnet50_fpn_v2: backbone, FPN and box head.

    FPN and 4conv1fc head of these have BN, so they take everything; RPN, mask
    head and predictors stay new: load with ``strict=False``. The first versions
    (``maskrcnn_resnet50_fpn``) have biases instead of norms in their FPN and no
    convolution in their box head, hence no target, see :data:`REFUSED`.
    """
    _require_fpn(names)
    if _levels(names, 'roi_head.bbox_head.shared_convs.') != {0, 1, 2, 3}:
        raise Misfit('it needs a box head of four convolutions, and this pretraining has none')
    _require_resnet(names)
    head = r'roi_head\.bbox_head'
    return _apply(
        names,
        [
            (rf'backbone\.({_RESNET})', r'backbone.body.\1'),
            (r'neck\.lateral_convs\.([0-3])\.conv\.weight', r'backbone.fpn.inner_blocks.\1.0.weight'),
            (rf'neck\.lateral_convs\.([0-3])\.bn\.({_NORM})', r'backbone.fpn.inner_blocks.\1.1.\2'),
            (r'neck\.fpn_convs\.([0-3])\.conv\.weight', r'backbone.fpn.layer_blocks.\1.0.weight'),
            (rf'neck\.fpn_convs\.([0-3])\.bn\.({_NORM})', r'backbone.fpn.layer_blocks.\1.1.\2'),
            (rf'{head}\.shared_convs\.([0-3])\.conv\.weight', r'roi_heads.box_head.\1.0.weight'),
            (rf'{head}\.shared_convs\.([0-3])\.bn\.({_NORM})', r'roi_heads.box_head.\1.1.\2'),
            # 4 flattens.
            (rf'{head}\.shared_fcs\.0\.(weight|bias)', r'roi_heads.box_head.5.\1'),
        ],
    )


def timm(names: Collection[str]) -> Renaming:
    """timm's resnet50 and its kin: the backbone, with layer4 also from C4.

    ``timm.create_model('resnet50', num_classes=0, checkpoint_path=...)`` takes
    the file.
    """
    return torchvision(names)


def detectron2(names: Collection[str]) -> Renaming:
    """detectron2's detectors with FPN, or, from a C4 pretraining, its C4 ones.

    A backbone without FPN gets the names that it has in FPN detectors, which
    the paper's ablations fine-tune.

    Shapes do not tell everything: detectron2's defaults are BGR images, other
    means, strides in the 1x1 convolutions and two frozen stages. Set
    ``INPUT.FORMAT RGB``, ``MODEL.PIXEL_MEAN`` and ``PIXEL_STD`` to the
    pretraining's, ``MODEL.RESNETS.STRIDE_IN_1X1 False``,
    ``MODEL.BACKBONE.FREEZE_AT 0``, and ``NORM`` of ``MODEL.RESNETS``,
    ``MODEL.FPN`` and ``MODEL.ROI_BOX_HEAD`` (``FastRCNNConvFCHead``, 4 conv, 1
    fc) to ``SyncBN``.
    """
    _require_resnet(names)
    resnet = 'backbone'
    if not _has_shared_head(names):
        resnet = 'backbone.bottom_up'
        if any(name.startswith('neck.') for name in names):
            _require_fpn(names)
    takes = [
        (r'backbone\.conv1\.(weight)', rf'{resnet}.stem.conv1.\1'),
        (r'backbone\.bn1\.(.+)', rf'{resnet}.stem.conv1.norm.\1'),
    ]
    blocks = [(rf'backbone\.layer{i}', f'{resnet}.res{i + 1}') for i in range(1, 5)]
    for ours, theirs in (*blocks, (r'roi_head\.shared_head\.layer4', 'roi_heads.res5')):
        takes += [
            (rf'{ours}\.(\d+)\.(conv[1-3])\.(weight)', rf'{theirs}.\1.\2.\3'),
            (rf'{ours}\.(\d+)\.bn([1-3])\.(.+)', rf'{theirs}.\1.conv\2.norm.\3'),
            (rf'{ours}\.(\d+)\.downsample\.0\.(weight)', rf'{theirs}.\1.shortcut.\2'),
            (rf'{ours}\.(\d+)\.downsample\.1\.(.+)', rf'{theirs}.\1.shortcut.norm.\2'),
        ]
    # detectron2 numbers levels by their stride, and layers of the head from 1.
    layers = [(rf'neck\.lateral_convs\.{i}', f'backbone.fpn_lateral{i + 2}') for i in range(4)]
    layers += [(rf'neck\.fpn_convs\.{i}', f'backbone.fpn_output{i + 2}') for i in range(4)]
    head = r'roi_head\.bbox_head'
    for i in sorted(_levels(names, 'roi_head.bbox_head.shared_convs.')):
        layers.append((rf'{head}\.shared_convs\.{i}', f'roi_heads.box_head.conv{i + 1}'))
    for ours, theirs in layers:
        takes += [
            (rf'{ours}\.conv\.(weight|bias)', rf'{theirs}.\1'),
            (rf'{ours}\.bn\.({_NORM})', rf'{theirs}.norm.\1'),
        ]
    for i in sorted(_levels(names, 'roi_head.bbox_head.shared_fcs.')):
        takes.append((rf'{head}\.shared_fcs\.{i}\.(weight|bias)', rf'roi_heads.box_head.fc{i + 1}.\1'))
    return _apply(names, takes, leaves=[(r'.+\.num_batches_tracked', "detectron2's files hold no such counts")])


#: Target -> its function, whose first line says what it is for.
TARGETS: dict[str, Callable[[Collection[str]], Renaming]] = {
    'mmdet': mmdet,
    'mmdet-c4': mmdet_c4,
    'mmdet-p3': mmdet_p3,
    'backbone': backbone,
    'torchvision': torchvision,
    'torchvision-fpn': torchvision_fpn,
    'timm': timm,
    'detectron2': detectron2,
}
#: What cannot be a target, and why.
REFUSED = {
    'torchvision-fpn-v1': (
        "convolutions in the FPN of torchvision's first versions (maskrcnn_resnet50_fpn) have biases and no norm, so "
        "the pretrained norms have no home there; choose torchvision-fpn, which is maskrcnn_resnet50_fpn_v2's"
    )
}


def check_target(target: str) -> None:
    """Raise when there is no such target.

    Raises:
        UserError: Saying which there are, or why this one cannot be.
    """
    if target in REFUSED:
        raise UserError(f"target '{target}' cannot be: {REFUSED[target]}")
    if target not in TARGETS:
        raise UserError(f"target '{target}' is unknown; choose one of {', '.join(TARGETS)}")


def rename(names: Collection[str], target: str, source: str) -> Renaming:
    """Account for every name of a pretraining's detector parts.

    Args:
        names: Of :func:`~mmsoco.checkpoints.pretraining.detector_weights`.
        target: One of :data:`TARGETS`.
        source: Where the names came from, for the message.

    Raises:
        UserError: The target does not fit.
    """
    try:
        return TARGETS[target](names)
    except Misfit as reason:
        raise UserError(f"{source} does not fit target '{target}': {reason}") from None
