import json

import pytest
from box_files import BOXES, EVERYTHING, SIZE, contents

from mmsoco.errors import UserError
from mmsoco.proposals.convert import export_boxes, import_boxes
from mmsoco.proposals.formats.coco import read_labelled


def test_coco_results_there_and_back(store, root, tmp_path):
    export_boxes(store, tmp_path / 'images.json', 'coco')
    export_boxes(store, tmp_path / 'results.json', 'coco', annotations=tmp_path / 'images.json')
    results = json.loads((tmp_path / 'results.json').read_text())
    assert [r['bbox'] for r in results] == [[0, 0, 30, 20], [5, 6, 35, 24], [1, 2, 2, 2]]
    with pytest.raises(UserError, match='name the file with their images by --annotations'):
        import_boxes(tmp_path / 'results.json', tmp_path / 'x.arrow', root)
    import_boxes(tmp_path / 'results.json', tmp_path / 'back.arrow', root, annotations=tmp_path / 'images.json')
    assert contents(tmp_path / 'back.arrow') == EVERYTHING


def coco(**changes):
    images = [dict(id=i, file_name=name, width=40, height=30) for i, name in enumerate(BOXES)]
    annotations = [
        dict(id=1, image_id=0, bbox=[0, 0, 30, 20]),
        dict(id=2, image_id=0, bbox=[0, 0, 9, 9], iscrowd=1),
        dict(id=3, image_id=1, bbox=[1, 2, 2, 2], segmentation=dict(counts='x', size=[30, 40])),
    ]
    return {**dict(images=images, annotations=annotations), **changes}


def test_crowds_are_no_instances(root, tmp_path):
    (tmp_path / 'c.json').write_text(json.dumps(coco()))
    import_boxes(tmp_path / 'c.json', tmp_path / 'a.arrow', root)
    boxes = {name: found for name, (_, _, found) in contents(tmp_path / 'a.arrow').items()}
    assert boxes == {'n01/n01_1.png': [[0, 0, 30, 20]], 'n01/n01_2.png': [[1, 2, 3, 4]], 'n02/n02_3.png': []}


@pytest.mark.parametrize(
    ('content', 'words'),
    [
        (
            coco(annotations=[dict(image_id=7, bbox=[0, 0, 1, 1])]),
            r'annotations\[0\]: its image_id is missing or',
        ),
        (coco(annotations=[dict(image_id=0)]), r'annotations\[0\]: its boxes are not rows of 4 numbers'),
        (coco(annotations=[dict(image_id=0, bbox=[])]), r'a bbox of n01/n01_1\.png is empty'),
        (coco(annotations=[dict(image_id=0, bbox=[0, 0, 50, 5])]), r'annotations\[0\]: .* leaves its image'),
        (coco(images=[dict(id=0, file_name='n01/n01_1.png')]), 'lacks file_name, width or height|missing or unknown'),
        (coco(images=None), 'its list of images is missing'),
        (coco(annotations=None), 'its annotations are not a list'),
        (coco(annotations=[dict(image_id=[0], bbox=[0, 0, 1, 1])]), r'annotations\[0\]: its image_id is missing or'),
        (
            coco(images=[dict(id=0, file_name='n01/n01_1.png', width=0, height=9)], annotations=[]),
            'cannot have a size of 0x9',
        ),
        ('text', 'is not like'),
    ],
)
def test_broken_coco_files(root, tmp_path, content, words):
    (tmp_path / 'c.json').write_text(json.dumps(content))
    with pytest.raises(UserError, match=words):
        import_boxes(tmp_path / 'c.json', tmp_path / 'a.arrow', root)


def test_labels_come_with_the_boxes(tmp_path):
    content = coco(categories=[dict(id=7, name='a'), dict(id=3, name='b')])
    for entry, kind in zip(content['annotations'], (3, 7, 7), strict=True):
        entry['category_id'] = kind
    (tmp_path / 'c.json').write_text(json.dumps(content))
    categories, images = read_labelled(tmp_path / 'c.json')
    assert categories == [7, 3]
    # The crowd is left out.
    assert [(entry.name, entry.labels, entry.size) for entry in images] == [
        (name, labels, SIZE) for name, labels in zip(BOXES, ([3], [7], []), strict=True)
    ]
    (tmp_path / 'c.json').write_text('[]')
    with pytest.raises(UserError, match='holds no COCO annotations'):
        read_labelled(tmp_path / 'c.json')
