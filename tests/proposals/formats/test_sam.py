import json

import pytest
from box_files import BOXES, EVERYTHING, contents, xywh

from mmsoco.errors import UserError
from mmsoco.proposals.convert import Choice, find_format, import_boxes
from mmsoco.proposals.formats.base import BoxFile


def sam(name, boxes):
    """As SA-1B has an image."""
    masks = [
        dict(
            id=i,
            bbox=xywh(box),
            predicted_iou=1 - i / 4,
            stability_score=0.9,
            segmentation=dict(counts='x', size=[30, 40]),
        )
        for i, box in enumerate(boxes)
    ]
    return dict(image=dict(image_id=1, width=40, height=30, file_name=name), annotations=masks)


@pytest.fixture
def folder(tmp_path):
    """One file an image, some deeper, beside something else."""
    (tmp_path / 'sam/deep').mkdir(parents=True)
    for i, (name, boxes) in enumerate(BOXES.items()):
        path = tmp_path / 'sam' / ('deep' if i else '') / f'sa_{i}.json'
        path.write_text(json.dumps(sam(name, boxes)))
    (tmp_path / 'sam/README.md').touch()
    return tmp_path / 'sam'


def test_a_folder_of_files(folder, root, tmp_path):
    done = import_boxes(folder, tmp_path / 'a.arrow', root)
    assert contents(tmp_path / 'a.arrow') == EVERYTHING and (done.images, done.boxes, done.left_out) == (3, 3, {})
    # What the model thinks of a mask is its score.
    done = import_boxes(folder, tmp_path / 'a.arrow', root, choice=Choice(min_score=0.9))
    assert contents(tmp_path / 'a.arrow')['n01/n01_1.png'][2] == [[0, 0, 30, 20]]
    assert done.left_out == {'with a score below 0.9': 1}


def test_single_files_and_lists(root, tmp_path):
    for content in (sam('n01/n01_1.png', BOXES['n01/n01_1.png']), [sam(name, boxes) for name, boxes in BOXES.items()]):
        (tmp_path / 'b.json').write_text(json.dumps(content))
        assert find_format(BoxFile(tmp_path / 'b.json'), to_read=True) == 'coco'
        import_boxes(tmp_path / 'b.json', tmp_path / 'a.arrow', root)
        assert contents(tmp_path / 'a.arrow')['n01/n01_1.png'] == EVERYTHING['n01/n01_1.png']


def test_broken_files(folder, root, tmp_path):
    (folder / 'sa_3.json').write_text('[1]')
    with pytest.raises(UserError, match=r'sa_3\.json, image 1 is not like .*leave only files'):
        import_boxes(folder, tmp_path / 'a.arrow', root)
    for change, words in (
        (dict(image=dict(file_name='x')), r'sa_3\.json: its image lacks file_name, width or height'),
        (dict(annotations=None), r'sa_3\.json is not like'),
        (dict(annotations=[dict(bbox=[0, 0, 99, 9])]), r'sa_3\.json, annotations\[0\]: the box .* leaves its image'),
        (dict(annotations=[dict(bbox=[0, 0])]), r'sa_3\.json, annotations\[0\]: its boxes are not rows of 4 numbers'),
        (dict(annotations=[7]), r'sa_3\.json, annotations\[0\]: it is no object with a bbox'),
    ):
        (folder / 'sa_3.json').write_text(json.dumps(sam('n02/n02_3.png', []) | change))
        with pytest.raises(UserError, match=words):
            import_boxes(folder, tmp_path / 'a.arrow', root)
    assert not (tmp_path / 'a.arrow').exists()
