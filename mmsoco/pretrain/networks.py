"""Choosing what is pretrained."""

from dataclasses import dataclass

from mmsoco.errors import UserError
from mmsoco.pretrain.asked import Asked, Machine, Row
from mmsoco.resources import PREFIX

#: The whole detectors that can be asked for, in three families.
DETECTORS = ('mask-rcnn', 'faster-rcnn', 'retinanet', 'fcos', 'c4')
ONE_STAGE = ('retinanet', 'fcos')
RESNETS = ('resnet18', 'resnet34', 'resnet50', 'resnet101')
BACKBONES = (*RESNETS, 'convnext-t', 'swin-t', 'vit-b')
#: Detector and backbone (None: the narrow one) -> the config of configs/own/detectors that takes all of it.
FITTING = {
    ('mask-rcnn', None): 'mask-rcnn_r18fpn_cpu',
    ('faster-rcnn', None): 'faster-rcnn_r18fpn_cpu',
    ('retinanet', None): 'retinanet_r18fpn_cpu',
    ('mask-rcnn', 'resnet50'): 'mask-rcnn_r50fpn_gpu',
    ('faster-rcnn', 'resnet50'): 'faster-rcnn_r50fpn_gpu',
}


@dataclass(frozen=True)
class Network:
    """What is pretrained.

    Attributes:
        detector: One of :data:`DETECTORS`.
        backbone: One of ``BACKBONES``; None for the narrow one of the recipes for CPUs.
    """

    detector: str
    backbone: str | None

    @property
    def is_c4(self) -> bool:
        """Whether the head is the backbone's fifth block."""
        return self.detector == 'c4'

    @property
    def fitting(self) -> str | None:
        """Name of a config of a detector that takes all of it; None where there is none."""
        name = FITTING.get((self.detector, self.backbone))
        return name and f'{PREFIX}own/detectors/{name}.py'


def network_for(asked: Asked, machine: Machine) -> tuple[Network, Row]:
    """Backbone and head.

    Raises:
        UserError: They do not go together, or not with the weights to begin with.
    """
    backbone = asked.backbone
    if asked.detector == 'c4' and backbone not in (None, *RESNETS):
        raise UserError(
            f'--detector c4 takes a ResNet, whose fifth block is its head; give one of {", ".join(RESNETS)}'
        )
    if asked.detector in ONE_STAGE and backbone == 'vit-b':
        raise UserError(
            f"--detector {asked.detector} takes the maps from P3 on of an FPN, and vit-b's are made in another way; "
            'give mask-rcnn or faster-rcnn'
        )
    if backbone is None and machine.gpus:
        backbone, why = 'resnet50', "the recipe's, and what most detectors have"
    elif backbone is None and asked.detector == 'c4':
        backbone, why = 'resnet18', 'the smallest, as this is a CPU'
    elif backbone is None:
        if asked.init:
            raise UserError(
                "--init needs --backbone here: a CPU's recipe has a ResNet-18 of half the width, which no weights fit"
            )
        why = "the recipe's for a CPU; --backbone resnet18 is whole, loads into all tools, and is several times as slow"
        return Network(asked.detector, None), Row('network', f'{asked.detector}, ResNet-18 at half its width', why)
    else:
        why = '--backbone'
    parts = 'with its fifth block as head' if asked.detector == 'c4' else 'with FPN and box head'
    if asked.detector in ONE_STAGE:
        why += f'; the box head only trains, {asked.detector} has none'
    return Network(asked.detector, backbone), Row('network', f'{asked.detector}, {backbone} {parts}', why)
