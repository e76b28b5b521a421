"""Which tools take the weights."""

from dataclasses import dataclass

from mmsoco.pretrain.networks import RESNETS, Network


@dataclass(frozen=True)
class Export:
    """Weights for a tool.

    Attributes:
        tool: As tools/extract_backbone.py calls it; '' where there is none.
        file: Name of the file; '' where there is none.
        whom: Who loads it.
        what: What of the detector, or why nothing.
    """

    tool: str
    file: str
    whom: str
    what: str


def exports_for(network: Network) -> list[Export]:
    """Which tools take the weights, as which files, and which do not, and why."""
    if network.is_c4:
        exports = [Export('mmdet-c4', 'mmdet.pth', 'mmdet: Mask and Faster R-CNN C4', 'backbone, fifth block')]
    else:
        exports = [Export('mmdet', 'mmdet.pth', 'mmdet: Mask, Faster and Cascade R-CNN', 'backbone, FPN, box head')]
        one_stage = 'mmdet: RetinaNet, FCOS, ATSS'
        if network.backbone == 'vit-b':
            why = 'none: they take an FPN from P3 on, and a vit-b has maps that are made in another way'
            exports.append(Export('', '', one_stage, why))
        else:
            exports.append(Export('mmdet-p3', 'mmdet_one_stage.pth', one_stage, 'backbone, FPN from P3 on'))
    name = network.backbone
    if name is None:
        why = 'none: no model there has half the width of a ResNet-18; pretrain with --backbone resnet18'
        return [*exports, *(Export('', '', tool, why) for tool in ('torchvision', 'timm', 'detectron2'))]
    if name not in RESNETS:
        exports.append(Export('backbone', 'backbone.pth', 'mmdet, mmpretrain', f'the {name} alone'))
        why = f'none: only ResNets are renamed for it; the file of the {name} alone is a beginning'
        return [*exports, *(Export('', '', tool, why) for tool in ('torchvision', 'timm', 'detectron2'))]
    exports.append(Export('torchvision', 'torchvision.pth', f'torchvision: {name}', 'backbone'))
    if name == 'resnet50' and not network.is_c4:
        whom = 'torchvision: maskrcnn_resnet50_fpn_v2, fasterrcnn_resnet50_fpn_v2'
        exports.append(Export('torchvision-fpn', 'torchvision_fpn.pth', whom, 'backbone, FPN, box head'))
    exports.append(Export('timm', 'timm.pth', f'timm: {name}', 'backbone'))
    if network.is_c4 and name in ('resnet18', 'resnet34'):
        exports.append(
            Export('', '', 'detectron2', f'none: its C4 head is made of bottleneck blocks, which a {name} has not')
        )
    else:
        head = 'C4' if network.is_c4 else 'FPN'
        what = 'backbone, fifth block' if network.is_c4 else 'backbone, FPN, box head'
        exports.append(Export('detectron2', 'detectron2.pkl', f'detectron2: R-CNN with {head}', what))
    return exports
