"""What other tools call the weights of a pretraining.

A tool's function takes the pretraining's parameter names and accounts for every
one: taken under a new name, or left for a reason; a name that it does not know
is an error.
"""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from mmsoco.checkpoints.naming import Layout, Place, place_of, prefix_of
from mmsoco.errors import UserError

_NORM = r'(?:weight|bias|running_mean|running_var|num_batches_tracked)'
#: mmdet's, mmpretrain's, torchvision's and timm's names of a ResNet without variations.
_RESNET = re.compile(
    rf'(?:conv1\.weight|bn1\.{_NORM}|layer[1-4]\.\d+\.'
    rf'(?:conv[1-3]\.weight|bn[1-3]\.{_NORM}|downsample\.(?:0\.weight|1\.{_NORM})))'
)


class Misfit(Exception):
    """Why a tool cannot take a pretraining."""


class Left(str):
    """Why a tool has no use for a parameter."""


@dataclass
class Renaming:
    """What becomes of each of a pretraining's parameters.

    Attributes:
        taken: The pretraining's name -> the tool's.
        left: The pretraining's name -> why the tool has no use for it.
    """

    taken: dict[str, str] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)


#: The tool's name for a parameter, why it is left, or None where the tool has no place for it.
Home = Callable[[Place], str | Left | None]


def _apply(names: Collection[str], home: Home) -> Renaming:
    """Sort names by what a tool says of each."""
    renaming = Renaming()
    origins: dict[str, str] = {}
    for name in names:
        renamed = home(place_of(name))
        if renamed is None:
            raise Misfit(f'{name} has no place in it')
        if isinstance(renamed, Left):
            renaming.left[name] = str(renamed)
            continue
        if renamed in origins:
            raise Misfit(f'{origins[renamed]} and {name} would both become {renamed}')
        origins[renamed] = name
        renaming.taken[name] = renamed
    return renaming


def _require_resnet(names: Collection[str]) -> None:
    for name in names:
        place = place_of(name)
        if place.kind == 'backbone' and not _RESNET.fullmatch(place.tensor):
            raise Misfit(f'it is for ResNets, and the backbone here holds {name}; choose mmdet, mmdet-p3 or backbone')


def _require_fpn(layout: Layout) -> None:
    """By its levels: an index says nothing about the stride, and the shapes of P2's and P3's layers are equal."""
    levels = layout.layers('lateral')
    if not levels:
        raise Misfit('it needs an FPN, and this pretraining has none')
    if levels != {0, 1, 2, 3}:
        raise Misfit(f'it needs an FPN from C2 to C5, and the one here has {len(levels)} levels')


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
    if not Layout.of(names).is_c4:
        part = prefix_of('shared_block').rstrip('.')
        raise Misfit(f'it needs a C4 pretraining, and this one has no {part}; choose mmdet')
    return _apply(names, lambda place: place.name if place.kind in ('backbone', 'shared_block') else None)


def mmdet_p3(names: Collection[str]) -> Renaming:
    """mmdet's detectors that start at C3 (RetinaNet, FCOS, ATSS): backbone and FPN.

    Their first FPN level is P3, so the pretraining's indices shift down by one.
    """
    _require_fpn(Layout.of(names))

    def home(place: Place) -> str | None:
        if place.kind == 'backbone':
            return place.name
        if place.kind in ('lateral', 'output'):
            if place.index == 0:
                return Left('detectors that start at C3 have no P2')
            return Place(place.kind, place.tensor, place.index - 1).name
        return Left('one-stage detectors have no box head') if place.kind in _BOX_HEAD else None

    return _apply(names, home)


_BOX_HEAD = ('box_conv', 'box_fc', 'box_head')


def backbone(names: Collection[str]) -> Renaming:
    """The backbone by itself, as mmdet and mmpretrain name it, without a prefix.

    That of a C4 pretraining is made whole with its head, which is the fifth
    block, ``layer4``.
    """

    def home(place: Place) -> str | None:
        if place.kind in ('backbone', 'shared_block'):
            return place.tensor
        return Left('no part of the backbone') if place.kind in ('lateral', 'output', 'neck', *_BOX_HEAD) else None

    return _apply(names, home)


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
    convolution in their box head, hence no tool, see :data:`REFUSED`.
    """
    layout = Layout.of(names)
    _require_fpn(layout)
    if layout.layers('box_conv') != {0, 1, 2, 3}:
        raise Misfit('it needs a box head of four convolutions, and this pretraining has none')
    _require_resnet(names)
    lists = {
        'lateral': 'backbone.fpn.inner_blocks',
        'output': 'backbone.fpn.layer_blocks',
        'box_conv': 'roi_heads.box_head',
    }

    def home(place: Place) -> str | None:
        if place.kind == 'backbone':
            return f'backbone.body.{place.tensor}'
        if place.kind in lists:
            layer, _, rest = place.tensor.partition('.')
            number = {'conv.weight': 0}.get(place.tensor, 1 if layer == 'bn' else None)
            return None if number is None else f'{lists[place.kind]}.{place.index}.{number}.{rest}'
        # Of the box head's five parts after the convolutions' four, the first flattens.
        return f'roi_heads.box_head.5.{place.tensor}' if place.kind == 'box_fc' and place.index == 0 else None

    return _apply(names, home)


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
    layout = Layout.of(names)
    if layout.has_neck:
        _require_fpn(layout)
    resnet = 'backbone' if layout.is_c4 else 'backbone.bottom_up'
    # detectron2 numbers levels by their stride, and layers of the head from 1.
    layers = {
        'lateral': ('backbone.fpn_lateral', 2),
        'output': ('backbone.fpn_output', 2),
        'box_conv': ('roi_heads.box_head.conv', 1),
        'box_fc': ('roi_heads.box_head.fc', 1),
    }

    def home(place: Place) -> str | None:
        if place.tensor.endswith('num_batches_tracked'):
            return Left("detectron2's files hold no such counts")
        if place.kind in ('backbone', 'shared_block'):
            return _detectron2_resnet(place.tensor, resnet)
        if place.kind not in layers:
            return None
        prefix, first = layers[place.kind]
        rest = place.tensor if place.kind == 'box_fc' else _without_module(place.tensor)
        return None if rest is None else f'{prefix}{place.index + first}.{rest}'

    return _apply(names, home)


def _without_module(tensor: str) -> str | None:
    """A convolution with norm in detectron2's words: its own tensors bare, the norm's under ``norm``."""
    module, _, rest = tensor.partition('.')
    return {'conv': rest, 'bn': f'norm.{rest}'}.get(module)


def _detectron2_resnet(tensor: str, prefix: str) -> str:
    """A ResNet's parameter in detectron2, where the fifth block of a C4 detector is the head's."""
    stem = re.fullmatch(r'(conv|bn)1\.(.+)', tensor)
    if stem:
        return f'{prefix}.stem.conv1.{"norm." if stem[1] == "bn" else ""}{stem[2]}'
    stage, block, rest = re.fullmatch(r'layer(\d)\.(\d+)\.(.+)', tensor).groups()
    home = 'roi_heads.res5' if stage == '4' and prefix == 'backbone' else f'{prefix}.res{int(stage) + 1}'
    for pattern, name in (
        (r'downsample\.0\.(.+)', r'shortcut.\1'),
        (r'downsample\.1\.(.+)', r'shortcut.norm.\1'),
        (r'bn(\d)\.(.+)', r'conv\1.norm.\2'),
    ):
        rest = re.sub(pattern, name, rest)
    return f'{home}.{block}.{rest}'


#: Tool -> its function, whose first line says what it is for.
TOOLS: dict[str, Callable[[Collection[str]], Renaming]] = {
    'mmdet': mmdet,
    'mmdet-c4': mmdet_c4,
    'mmdet-p3': mmdet_p3,
    'backbone': backbone,
    'torchvision': torchvision,
    'torchvision-fpn': torchvision_fpn,
    'timm': timm,
    'detectron2': detectron2,
}
#: What cannot be a tool, and why.
REFUSED = {
    'torchvision-fpn-v1': (
        "convolutions in the FPN of torchvision's first versions (maskrcnn_resnet50_fpn) have biases and no norm, so "
        "the pretrained norms have no home there; choose torchvision-fpn, which is maskrcnn_resnet50_fpn_v2's"
    )
}


def check_tool(tool: str) -> None:
    """Raise when there is no such tool.

    Raises:
        UserError: Saying which there are, or why this one cannot be.
    """
    if tool in REFUSED:
        raise UserError(f"tool '{tool}' cannot be: {REFUSED[tool]}")
    if tool not in TOOLS:
        raise UserError(f"tool '{tool}' is unknown; choose one of {', '.join(TOOLS)}")


def rename(names: Collection[str], tool: str, source: str) -> Renaming:
    """Account for every name of a pretraining's detector parts.

    Args:
        names: Of :func:`~mmsoco.checkpoints.pretraining.detector_weights`.
        tool: One of :data:`TOOLS`.
        source: Where the names came from, for the message.

    Raises:
        UserError: The tool does not fit.
    """
    try:
        return TOOLS[tool](names)
    except Misfit as reason:
        raise UserError(f"{source} does not fit tool '{tool}': {reason}") from None
