import json

import numpy as np
import pytest
import torch
from PIL import Image

from mmsoco.boxes import iou
from mmsoco.errors import UserError
from mmsoco.probe.data import background_boxes, labelled_boxes, labelled_images, matched_views


@pytest.fixture(scope='module')
def matched(proposal_file, images):
    return matched_views(proposal_file, images, held_out=4, size=64, boxes=20, num_proposals=6)


def test_views_are_always_the_same(matched, proposal_file, images):
    again = matched_views(proposal_file, images, held_out=4, size=64, boxes=20, num_proposals=6)
    for one, two in zip((*matched.views, *matched.boxes), (*again.views, *again.boxes), strict=True):
        assert torch.equal(one, two)
    other = matched_views(proposal_file, images, held_out=4, size=64, boxes=20, num_proposals=6, seed=1)
    assert not torch.equal(matched.views[1][: len(other.views[1])], other.views[1][: len(matched.views[1])])


def test_held_out_images_ask_and_others_fill_up(matched):
    # Of eight images every fourth.
    assert matched.asks.sum() == 2 and matched.asks[:2].all()
    assert matched.distinct.sum() >= 20 > matched.distinct[:-1].sum()
    assert matched.views[0].shape[1:] == (64, 64, 3) and matched.views[0].dtype == torch.uint8


def test_boxes_to_find_lie_apart(matched):
    for rows, distinct in zip(matched.boxes[0], matched.distinct, strict=True):
        rows = rows[distinct].numpy()
        overlaps = iou(rows, rows) - np.eye(len(rows))
        assert overlaps.max(initial=0) <= 0.5 + 1e-6


def test_no_image_held_out(proposal_file, images):
    with pytest.raises(UserError, match='held_out=1 would leave nothing to train on'):
        matched_views(proposal_file, images, held_out=1)


@pytest.fixture
def labels(images, tmp_path):
    """Two kinds of objects and a crowd, in all images but one."""
    names = sorted(path.relative_to(images).as_posix() for path in images.glob('*/*'))
    sizes = [Image.open(images / name).size for name in names]
    images = [
        dict(id=i, file_name=n, width=w, height=h) for i, (n, (w, h)) in enumerate(zip(names, sizes, strict=True))
    ]
    annotations = [
        dict(image_id=i, category_id=7 + 4 * (k % 2), bbox=[5 + 20 * k, 5, 10, 20], iscrowd=int(k == 2))
        for i in range(len(names) - 1)
        for k in range(3)
    ]
    path = tmp_path / 'labels.json'
    categories = [dict(id=7, name='a'), dict(id=11, name='b')]
    path.write_text(json.dumps(dict(images=images, annotations=annotations, categories=categories)))
    return path


def test_labelled_boxes_have_background_beside_them(labels, images):
    data = labelled_boxes(labels, images, size=32)
    assert data.views.shape == (7, 32, 32, 3)
    assert data.teaches.sum() == 4
    for boxes, kinds in zip(data.boxes, data.labels, strict=True):
        assert len(boxes) == len(kinds) and kinds[:2].tolist() == [1, 2] and (kinds[2:] == 0).all()
        assert len(kinds) > 2
        assert iou(boxes[2:].numpy(), boxes[:2].numpy()).max() < 0.3


def test_background_has_the_sides_of_objects_and_stays_in_the_image():
    objects = np.array([[0.0, 0, 30, 10], [50, 50, 60, 90]])
    found = background_boxes(objects, 100, 100, np.random.default_rng(0))
    assert sorted((found[:, 2:] - found[:, :2]).round().tolist()) == [[10, 40], [30, 10]]
    assert found.min() >= 0 and found.max() <= 100
    # Where an object fills the image there is no other place.
    assert len(background_boxes(np.array([[0.0, 0, 100, 100]]), 100, 100, np.random.default_rng(0))) == 0


def test_labels_without_their_images(labels, tmp_path):
    with pytest.raises(UserError, match='give the folder that holds its images'):
        labelled_boxes(labels, tmp_path / 'elsewhere')


def test_labels_of_images_of_another_size(labels, images):
    content = json.loads(labels.read_text())
    for image in content['images']:
        image['width'], image['height'] = image['height'], image['width']
    labels.write_text(json.dumps(content))
    with pytest.raises(UserError, match='turned; boxes must be of images as a viewer shows them'):
        labelled_boxes(labels, images)


def test_labels_find_images_by_other_spellings(labels, images):
    expected = labelled_boxes(labels, images, size=32)
    content = json.loads(labels.read_text())
    for image in content['images']:
        image['coco_url'] = f'http://images.cocodataset.org/{image.pop("file_name")}'
    labels.write_text(json.dumps(content))
    found = labelled_boxes(labels, images, size=32)
    assert (found.views == expected.views).all()
    for image in content['images']:
        image['file_name'] = '.\\' + image.pop('coco_url').rpartition('.org/')[2].upper().replace('/', '\\')
    labels.write_text(json.dumps(content))
    assert sorted(len(boxes) for boxes in labelled_boxes(labels, images, size=32).boxes) == sorted(
        len(boxes) for boxes in expected.boxes
    )


def test_a_folder_a_class(images):
    data = labelled_images(images, size=32, each=4)
    # Five and three images in the two subfolders.
    assert data.labels.tolist() == [0] * 4 + [1] * 3 and data.teaches.sum() == 4
    with pytest.raises(UserError, match='a subfolder for each class'):
        labelled_images(images / 'first')


def test_a_box_of_an_unknown_category(labels, images):
    content = json.loads(labels.read_text())
    content['categories'] = content['categories'][:1]
    labels.write_text(json.dumps(content))
    with pytest.raises(UserError, match='has a box of category 11, which its categories lack; add it there'):
        labelled_boxes(labels, images)
