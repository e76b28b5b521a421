import json

import pytest

from mmsoco.errors import UserError
from mmsoco.proposals.convert import import_boxes

LABELME = dict(version='5.0', flags={}, shapes=[], imagePath='1.jpg', imageData=None)
VIA = {'1.jpg99': dict(filename='1.jpg', size=99, regions=[])}
MASK = dict(segmentation={}, area=3, bbox=[1, 2, 3, 4], predicted_iou=0.9, stability_score=1.0, crop_box=[0, 0, 9, 9])
FILES = {
    'b.json': [
        (LABELME, "LabelMe's annotation of one image; save it as COCO JSON"),
        ([LABELME], "LabelMe's annotation"),
        (VIA, 'VGG Image Annotator'),
        ({'_via_settings': {}, '_via_img_metadata': VIA}, 'VGG Image Annotator'),
        ([MASK], "Segment Anything's mask generator, which does not say which image its masks are of; write"),
        ([dict(id=1, data=dict(image='/x.jpg'), annotations=[])], "Label Studio's export"),
        ([dict(name='1.jpg', labels=[dict(box2d={})])], "BDD100K's"),
        (dict(size=dict(height=1), objects=[]), "Supervisely's"),
        (dict(type='FeatureCollection', features=[]), 'GeoJSON'),
        (
            dict(annotations=[dict(image_id=1, bbox=[1, 2, 3, 4])]),
            'like COCO annotations, but without its list of images',
        ),
        ([dict(a=1)], 'holds neither COCO annotations nor results'),
    ],
    'b.xml': [
        ('<annotation><object/></annotation>', "Pascal VOC's annotation of one image"),
        ("<?xml version='1.0'?>\n<annotations/>", "CVAT's annotations"),
        ('<a/>', 'an XML file'),
    ],
    'b.txt': [('0 0.5 0.5 0.25 0.25\n', "YOLO's labels of one image"), ('a.jpg\n', 'a text file; name it .csv')],
    'b.jsonl': [('{}', 'JSON a line')],
    'b.mat': [('x', 'a MATLAB file; save its boxes as CSV')],
    'b.zip': [('x', 'an archive; unpack it')],
}


@pytest.mark.parametrize(
    ('name', 'content', 'words'), [(name, *case) for name, cases in FILES.items() for case in cases]
)
def test_what_is_known_is_named(root, tmp_path, name, content, words):
    (tmp_path / 'folder/deep').mkdir(parents=True)
    path = tmp_path / 'folder/deep' / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(UserError, match=words) as error:
        import_boxes(path, tmp_path / 'a.arrow', root)
    assert '\n' not in str(error.value)
    if 'holds neither' not in words:
        with pytest.raises(UserError, match=f'is a folder of files such as {name}, which is .*{words}'):
            import_boxes(tmp_path / 'folder', tmp_path / 'a.arrow', root)


def test_folders_without_boxes(root, tmp_path):
    (tmp_path / 'folder').mkdir()
    with pytest.raises(UserError, match='is a folder without files of boxes'):
        import_boxes(tmp_path / 'folder', tmp_path / 'a.arrow', root)
