"""Where mmdet's detectors, and so our pretrainings, keep their parts.

All that the project knows of mmdet's parameter names is the table here. Export
to other tools, transfer and the official code's checkpoints speak of
:class:`Place` s. (Where a model is run, its modules are reached by their attributes.)
"""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from functools import cache

#: Kind of place -> its names; the first that fits counts. ``stage`` is of a cascade, which has a box head for each.
KINDS = {
    'backbone': 'backbone.{tensor}',
    # Of an FPN, from its finest level on.
    'lateral': 'neck.lateral_convs.{index}.{tensor}',
    'output': 'neck.fpn_convs.{index}.{tensor}',
    'neck': 'neck.{tensor}',
    # The head of C4 detectors: a ResNet's fifth block, and a norm that some have after it.
    'shared_norm': 'roi_head.shared_head.norm.{tensor}',
    'shared_block': 'roi_head.shared_head.{tensor}',
    # The box head's layers that do not depend on the classes, and those that do.
    'box_conv': 'roi_head.bbox_head.{stage}shared_convs.{index}.{tensor}',
    'box_fc': 'roi_head.bbox_head.{stage}shared_fcs.{index}.{tensor}',
    'box_scores': 'roi_head.bbox_head.{stage}fc_cls.{tensor}',
    'box_deltas': 'roi_head.bbox_head.{stage}fc_reg.{tensor}',
    'box_head': 'roi_head.bbox_head.{stage}{tensor}',
    'mask': 'roi_head.mask_head.{tensor}',
    'roi_head': 'roi_head.{tensor}',
    'rpn': 'rpn_head.{tensor}',
    'dense_head': 'bbox_head.{tensor}',  # of detectors with one stage
    'classifier': 'head.{tensor}',  # of mmpretrain
    'other': '{tensor}',
}
_GROUPS = {'stage': r'(?:(?P<stage>\d+)\.)?', 'index': r'(?P<index>\d+)', 'tensor': r'(?P<tensor>.+)'}
_PATTERNS = {
    kind: re.compile(re.sub(r'\\\{(\w+)\\\}', lambda match: _GROUPS[match[1]], re.escape(name)))
    for kind, name in KINDS.items()
}


@dataclass(frozen=True)
class Place:
    """Where a parameter stands.

    Attributes:
        kind: One of :data:`KINDS`.
        tensor: Its name in the layer or part.
        index: Number of the layer in its list, where it stands in one.
        stage: Of a cascade's box heads, where there are several.
    """

    kind: str
    tensor: str
    index: int | None = None
    stage: int | None = None

    @property
    def name(self) -> str:
        """Its name in mmdet."""
        stage = '' if self.stage is None else f'{self.stage}.'
        return KINDS[self.kind].format(stage=stage, index=self.index, tensor=self.tensor)


@cache
def place_of(name: str) -> Place:
    """The place of a name."""
    for kind, pattern in _PATTERNS.items():
        if match := pattern.fullmatch(name):
            found = match.groupdict()
            index, stage = (int(found[key]) if found.get(key) else None for key in ('index', 'stage'))
            return Place(kind, found['tensor'], index, stage)
    raise ValueError(f'{name!r} is no name')


def prefix_of(kind: str) -> str:
    """What names of a kind begin with."""
    return KINDS[kind].partition('{')[0]


@dataclass
class Layout:
    """What a model consists of, as its parameters' names tell.

    Attributes:
        kinds: The kinds of places that it has.
        indices: Kind -> the numbers of its layers.
        stages: Box heads of a cascade; 0 where the box head is the only one.
    """

    kinds: set[str] = field(default_factory=set)
    indices: dict[str, set[int]] = field(default_factory=dict)
    stages: int = 0

    @classmethod
    def of(cls, names: Iterable[str]) -> 'Layout':
        """That of a model with these names."""
        layout, stages = cls(), set()
        for place in map(place_of, names):
            layout.kinds.add(place.kind)
            layout.indices.setdefault(place.kind, set()).add(place.index)
            stages.add(place.stage)
        layout.stages = len(stages - {None})
        return layout

    def layers(self, kind: str) -> set[int]:
        """Numbers of the layers of a kind; empty where there are none."""
        return self.indices.get(kind, set())

    @property
    def levels(self) -> int:
        """Levels of the FPN that come from the backbone; 0 without one."""
        return len(self.layers('lateral'))

    @property
    def is_c4(self) -> bool:
        """Whether its head is the backbone's last block."""
        return 'shared_block' in self.kinds

    @property
    def is_classifier(self) -> bool:
        """Whether it is a model of mmpretrain: a backbone, and perhaps a classifier."""
        return self.kinds <= {'backbone', 'classifier'}

    @property
    def is_two_stage(self) -> bool:
        """Whether boxes have a head of their own."""
        return any(KINDS[kind].startswith('roi_head.') for kind in self.kinds)

    @property
    def has_neck(self) -> bool:
        """Whether there is a neck, of whatever kind."""
        return bool(self.kinds & {'lateral', 'output', 'neck'})


def of_kinds(names: Collection[str], *kinds: str) -> list[str]:
    """Those names that have a place of one of the kinds."""
    return [name for name in names if place_of(name).kind in kinds]
