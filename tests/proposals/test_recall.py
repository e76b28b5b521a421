import json

import numpy as np
import pytest

from mmsoco.errors import UserError
from mmsoco.proposals.recall import Labels, measure_recall
from mmsoco.proposals.store import ProposalRow, write_proposals


def write(tmp_path, proposals, objects, size=(400, 300)):
    """``a.jpg`` and so on: boxes as xyxy and as COCO's xywh."""
    rows = [ProposalRow(name, *size, np.array(boxes, int).reshape(-1, 4)) for name, boxes in proposals.items()]
    write_proposals(tmp_path / 'p.arrow', rows, dict(root='/images'))
    images = [dict(id=i, file_name=name, width=size[0], height=size[1]) for i, name in enumerate(objects)]
    annotations = [dict(image_id=i, bbox=box) for i, boxes in enumerate(objects.values()) for box in boxes]
    (tmp_path / 'l.json').write_text(json.dumps(dict(images=images, annotations=annotations)))
    return tmp_path / 'p.arrow', tmp_path / 'l.json'


def test_recall_and_overlaps_by_size(tmp_path):
    recall = measure_recall(
        *write(
            tmp_path,
            {'a.jpg': [[0, 0, 20, 20], [100, 100, 200, 200]], 'b.jpg': [], 'unlabelled.jpg': [[0, 0, 9, 9]]},
            # Small: exact, and 0.6; large: 0.8; medium, without proposals.
            {'a.jpg': [[0, 0, 20, 20], [0, 0, 20, 12], [100, 100, 100, 125]], 'b.jpg': [[0, 0, 50, 50]], 'c.jpg': []},
        )
    )
    assert (recall.images, recall.missing, recall.proposals) == (2, 0, 2)
    rows = {row['objects']: row for row in recall.table()}
    assert [rows[name]['count'] for name in ('all', 'small', 'medium', 'large')] == [4, 2, 1, 1]
    assert rows['all']['0.50'] == 3 / 4 and rows['all']['0.65'] == 2 / 4 and rows['all']['0.85'] == 1 / 4
    assert rows['all']['ABO'] == pytest.approx((1 + 0.6 + 0.8 + 0) / 4)
    # 0.6 is reached at 0.50, 0.55 and 0.60.
    assert rows['small']['AR'] == pytest.approx((1 + 3 / 10) / 2)
    assert rows['medium']['ABO'] == 0 and rows['large']['0.80'] == 1
    text = str(recall)
    assert '1.0 proposals an image, 2 images' in text and ' 75.0' in text


def test_sizes_without_objects_have_no_numbers(tmp_path):
    recall = measure_recall(*write(tmp_path, {'a.jpg': [[0, 0, 9, 9]]}, {'a.jpg': [[0, 0, 9, 9]]}))
    assert recall.table()[3]['AR'] is None
    assert json.loads(json.dumps(recall.table()))[0]['AR'] == 1
    assert str(recall).splitlines()[-1].split()[:3] == ['large', '0', '-']


def test_labelled_images_without_a_row_are_counted(tmp_path):
    recall = measure_recall(
        *write(tmp_path, {'a.jpg': [[0, 0, 9, 9]]}, {'a.jpg': [[0, 0, 9, 9]], 'b.jpg': [[1, 1, 2, 2]]})
    )
    assert (recall.images, recall.missing, len(recall.overlaps)) == (1, 1, 1)
    assert '1 labelled images have no proposals' in str(recall)


def test_other_images_are_refused(tmp_path):
    with pytest.raises(UserError, match='has none of the labelled images'):
        measure_recall(*write(tmp_path, {'a.jpg': [[0, 0, 9, 9]]}, {'x/a.jpg': [[0, 0, 9, 9]]}))
    proposals, labels = write(tmp_path, {'a.jpg': [[0, 0, 9, 9]]}, {'a.jpg': [[0, 0, 9, 9]]})
    labels.write_text(labels.read_text().replace('400', '401'))
    with pytest.raises(UserError, match=r'has 400x300 pixels in .*, but 401x300 in'):
        measure_recall(proposals, labels)
    labels.write_text('[]')
    with pytest.raises(UserError, match='holds no COCO annotations'):
        measure_recall(proposals, labels)


def test_labels_as_they_are_in_the_wild(tmp_path):
    """Names by where images were fetched, an image under two ids, crowds, and boxes without area."""
    proposals, labels = write(tmp_path, {'train/a.jpg': [[0, 0, 9, 9]], 'b.jpg': [[0, 0, 5, 5]]}, {})
    images = [
        dict(id=0, coco_url='http://x.org/train/a.jpg', width=400, height=300),
        dict(id=1, file_name='b.jpg', width=400, height=300),
        dict(id=2, file_name='b.jpg'),
    ]
    boxes = [(0, [0, 0, 9, 9]), (1, [0, 0, 5, 5]), (2, [0, 0, 10, 5]), (1, [3, 3, 0, 5]), (1, [3, 3, -1, 5])]
    annotations = [dict(image_id=i, bbox=box) for i, box in boxes] + [dict(image_id=0, bbox=[0, 0, 9, 9], iscrowd=1)]
    labels.write_text(json.dumps(dict(images=images, annotations=annotations)))
    recall = measure_recall(proposals, labels)
    assert recall.images == 2 and sorted(recall.overlaps) == [0.5, 1, 1]
    assert recall.left_out == {'regions marked as crowds': 1, 'without area': 1, 'with negative width or height': 1}
    assert '1 labelled boxes left out: without area' in str(recall)
    labels.write_text(json.dumps(dict(images=images, annotations=[annotations[0], annotations[-2]])))
    assert measure_recall(proposals, labels).left_out == {'with negative width or height': 1}
    images[1]['file_name'] = './TRAIN/a.jpg'
    labels.write_text(json.dumps(dict(images=images, annotations=annotations)))
    with pytest.raises(UserError, match=r"'train/a\.jpg' and './TRAIN/a\.jpg' of the labels are one image"):
        measure_recall(proposals, labels)


@pytest.mark.parametrize('folder', ['images.zip', 'a/train', 'sets/a.tar/train'])
def test_labels_may_be_relative_to_a_folder_below(folder, tmp_path):
    """Or to an archive, as those of a data set that lies beside other images."""
    labels = labels_of(tmp_path, ['one.jpg', 'x/two.jpg'])
    names = [f'{folder}/one.jpg', f'{folder}/x/two.jpg', f'{folder}/three.jpg', 'b/one.jpg', 'b/other.jpg']
    found = Labels.read(labels).by_image(names)
    assert {name: entry.name for name, entry in found.items()} == {names[0]: 'one.jpg', names[1]: 'x/two.jpg'}
    # Names as they are come first.
    assert list(Labels.read(labels).by_image([*names, 'one.jpg'])) == ['one.jpg']


def test_labels_that_may_be_of_two_folders(tmp_path):
    labels = Labels.read(labels_of(tmp_path, ['one.jpg']))
    with pytest.raises(UserError, match=r'may label the images of (a|b)/ or of (a|b)/; give one of these'):
        labels.by_image(['a/one.jpg', 'b/one.jpg'])


def labels_of(folder, names):
    """A file with an object in each of some images."""
    images = [dict(id=i, file_name=name, width=100, height=100) for i, name in enumerate(names)]
    boxes = [dict(id=i, image_id=i, category_id=1, bbox=[10, 10, 30, 30], area=900) for i in range(len(names))]
    path = folder / 'labels.json'
    path.write_text(json.dumps(dict(images=images, annotations=boxes, categories=[dict(id=1, name='one')])))
    return path
