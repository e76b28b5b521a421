"""Parts of labels: nested, seeded, with every class that has room."""

import json
from itertools import pairwise

from mmsoco.compare.fractions import count, draw, order_of_images, write


def whole(images=50, classes=5):
    """Class 0 is everywhere, class k on every (10 k)-th image; the last image of all is empty."""
    annotations = []
    for image in range(images - 1):
        for category in range(classes):
            if category == 0 or image % (10 * category) == 7:
                annotations.append(dict(id=len(annotations), image_id=image, category_id=category, bbox=[0, 0, 9, 9]))
    names = [dict(id=category, name=f'class {category}') for category in range(classes)]
    return dict(
        images=[dict(id=i, file_name=f'{i}.jpg') for i in range(images)], annotations=annotations, categories=names
    )


def ids(part):
    return {image['id'] for image in part['images']}


def test_a_smaller_part_is_in_each_larger_one_and_seeds_differ():
    labels = whole()
    for seed in range(3):
        parts = [ids(draw(labels, fraction, seed)) for fraction in (0.01, 0.1, 0.3, 0.62, 1.0)]
        assert [len(part) for part in parts] == [1, 5, 15, 31, 50]
        assert all(small < large for small, large in pairwise(parts))
    assert ids(draw(labels, 0.3, 0)) != ids(draw(labels, 0.3, 1))


def test_the_order_of_the_file_does_not_matter():
    labels = whole()
    turned = labels | {'images': labels['images'][::-1], 'annotations': labels['annotations'][::-1]}
    assert order_of_images(labels, 3) == order_of_images(turned, 3)
    assert sorted(order_of_images(labels, 3)) == list(range(50))


def test_every_class_appears_where_it_can():
    labels = whole()
    for seed in range(10):
        assert all(count(draw(labels, 0.1, seed))['classes'].values())
        # One image, of the rarest class and not the empty one.
        assert count(draw(labels, 0.01, seed))['classes']['class 3'] == 1
    # Crowds are not trained on.
    for annotation in labels['annotations']:
        annotation['iscrowd'] = int(annotation['category_id'] == 3)
    assert (order_of_images(whole(), 1)[0], order_of_images(labels, 1)[0] in (7, 47)) == (37, True)


def test_classes_that_a_config_does_not_name_do_not_count():
    counted = count(draw(whole(), 0.1, 0, ('class 1', 'class 2')), ('class 1', 'class 2'))
    assert set(counted['classes']) == {'class 1', 'class 2'} and all(counted['classes'].values())
    assert counted['boxes'] == sum(counted['classes'].values()) and counted['images'] == 5


def test_a_part_holds_what_belongs_to_its_images(tmp_path):
    labels = whole() | {'licenses': ['any']}
    part = draw(labels, 0.2, 0)
    assert {a['image_id'] for a in part['annotations']} <= ids(part) and part['licenses'] == ['any']
    expected = [a for a in labels['annotations'] if a['image_id'] in ids(part)]
    assert part['annotations'] == expected and part['categories'] == labels['categories']
    write(part, tmp_path / 'labels' / 'part.json')
    assert json.loads((tmp_path / 'labels' / 'part.json').read_text()) == part
    before = (tmp_path / 'labels' / 'part.json').stat().st_mtime_ns
    write(part, tmp_path / 'labels' / 'part.json')
    assert (tmp_path / 'labels' / 'part.json').stat().st_mtime_ns == before
