import itertools

import pytest

from mmsoco.checkpoints.tools import TOOLS
from mmsoco.pretrain.exports import exports_for
from mmsoco.pretrain.networks import BACKBONES, RESNETS, Network


@pytest.mark.parametrize(('detector', 'backbone'), itertools.product(('mask-rcnn', 'fcos', 'c4'), (None, *BACKBONES)))
def test_each_of_the_four_tools_has_a_file_or_a_reason(detector, backbone):
    if detector == 'c4' and backbone not in RESNETS:
        return
    exports = exports_for(Network(detector, backbone))
    for tool in ('mmdet', 'torchvision', 'timm', 'detectron2'):
        own = [export for export in exports if export.whom.startswith(tool)]
        assert own and all(export.tool in TOOLS if export.tool else 'none: ' in export.what for export in own)
    files = [export.file for export in exports if export.tool]
    assert len(set(files)) == len(files)
    assert all(
        file.endswith('.pkl' if export.tool == 'detectron2' else '.pth')
        for file, export in zip(files, [export for export in exports if export.tool], strict=True)
    )
    whole = backbone in RESNETS
    assert ('timm.pth' in files) is whole
    assert ('mmdet_one_stage.pth' in files) is (detector != 'c4' and backbone != 'vit-b')
    assert ('torchvision_fpn.pth' in files) is (backbone == 'resnet50' and detector != 'c4')
