import json

import pytest
from box_files import BOXES, EVERYTHING, SIZE, contents
from PIL import Image

from mmsoco.errors import UserError
from mmsoco.proposals.convert import Choice, export_boxes, import_boxes
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


def convert(root, tmp_path, content, **options):
    (tmp_path / 'c.json').write_text(json.dumps(content))
    return import_boxes(tmp_path / 'c.json', tmp_path / 'a.arrow', root, **options)


def test_crowds_are_no_instances(root, tmp_path):
    assert convert(root, tmp_path, coco()).left_out == {'regions marked as crowds': 1}
    whole = coco()
    for flag, is_crowd in (('1', 1), ('0', 0), ('0.0', 0), (0.0, 0), ('false', 0), (None, 0), (True, 1)):
        whole['annotations'][1]['iscrowd'] = flag
        assert sum(convert(root, tmp_path, whole).left_out.values()) == is_crowd, flag


def test_ids_that_were_in_a_table_with_gaps(root, tmp_path):
    whole = coco()
    for entry in whole['annotations']:
        entry['image_id'] = float(entry['image_id'])
    assert convert(root, tmp_path, whole).boxes == 2
    whole['annotations'][0]['image_id'] = 0.5
    with pytest.raises(UserError, match=r'annotations\[0\]: its image_id is missing or unknown'):
        convert(root, tmp_path, whole)
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


def test_an_image_that_is_there_twice(root, tmp_path):
    expected = convert(root, tmp_path, coco()).boxes
    images = coco()['images']
    # With another date it is the same one.
    assert convert(root, tmp_path, coco(images=[*images, images[0] | dict(date_captured=1)])).boxes == expected
    with pytest.raises(
        UserError,
        match=r"images\[0\] and images\[3\] have the same id, 0, but not the same file_name: 'n01/n01_1.*'x.png'",
    ):
        convert(root, tmp_path, coco(images=[*images, images[0] | dict(file_name='x.png')]))
    # Under two ids, and two spellings.
    for name in ('n01/n01_1.png', './n01//N01_1.PNG', str(root / 'n01/n01_1.png')):
        twin = dict(id=9, file_name=name, width=40, height=30)
        more = [*coco()['annotations'], dict(image_id=9, bbox=[5, 6, 35, 24]), dict(image_id=9, bbox=[0, 0, 30, 20])]
        done = convert(root, tmp_path, coco(images=[*images, twin], annotations=more))
        assert contents(tmp_path / 'a.arrow')['n01/n01_1.png'][2] == [[0, 0, 30, 20], [5, 6, 40, 30]]
        assert done.left_out['the same, in whole pixels, as another of their image'] == 1
        with pytest.raises(UserError, match=r'has an image twice, of 40x30 .* and of 30x40'):
            convert(root, tmp_path, coco(images=[*images, twin | dict(width=30, height=40)], annotations=more))


@pytest.mark.parametrize('place', ['train2017/1.png', '1.png'])
def test_lvis_names_images_by_where_they_were_fetched(tmp_path, place):
    root = tmp_path / 'root'
    (root / place).parent.mkdir(parents=True)
    Image.new('RGB', SIZE).save(root / place)
    image = dict(id=1, coco_url='http://images.cocodataset.org/train2017/1.png?x=1', width=40, height=30)
    content = dict(images=[image], annotations=[dict(image_id=1, bbox=[1, 2, 3, 4])])
    convert(root, tmp_path, content)
    assert contents(tmp_path / 'a.arrow') == {place: (*SIZE, [[1, 2, 4, 6]])}
    for other in ('train2017/1.png', '1.png'):
        (root / other).parent.mkdir(exist_ok=True)
        Image.new('RGB', SIZE).save(root / other)
    with pytest.raises(UserError, match=r'has 1\.png and train2017/1\.png, and .* may be either'):
        convert(root, tmp_path, content)
    del image['coco_url']
    with pytest.raises(UserError, match='image 1 lacks file_name, and coco_url'):
        convert(root, tmp_path, content)


def test_boxes_without_area_are_counted(root, tmp_path):
    """As in COCO's own training annotations."""
    boxes = ([1, 2, 3, 0], [1, 2, 0, 3], [5, 5, 0, 0], [5, 5, -1, 2], [9, 9, 3, -2], [9, 9, -1, 0])
    flat = [dict(image_id=1, bbox=box) for box in boxes]
    done = convert(root, tmp_path, coco(annotations=[*coco()['annotations'], *flat]))
    assert done.boxes == 2
    assert done.left_out['without area: no width or no height'] == done.left_out['with negative width or height'] == 3
    with pytest.raises(UserError, match=r'has no box, or none .*; 3 left out: without area: no width or no height'):
        convert(root, tmp_path, coco(annotations=flat))


def test_sizes_may_be_those_of_the_images(root, tmp_path):
    images = [{key: value for key, value in image.items() if key != 'width'} for image in coco()['images']]
    with pytest.raises(UserError, match='image 0 lacks width or height'):
        convert(root, tmp_path, coco(images=images))
    for image in images:
        del image['height']
    convert(root, tmp_path, coco(images=images))
    assert {row[:2] for row in contents(tmp_path / 'a.arrow').values()} == {SIZE}
    with pytest.raises(UserError, match='they are no whole numbers'):
        convert(root, tmp_path, coco(images=[image | dict(width='x', height=30) for image in images]))


def test_boxes_of_outlines(root, tmp_path):
    outlines = [
        dict(image_id=0, segmentation=[[5, 6, 40, 6, 40, 30]]),
        dict(image_id=1, segmentation=dict(counts=[33, 2, 28, 2, 1135], size=[30, 40]), bbox=None),
        dict(image_id=1, segmentation=[[3, 4, 9, 4, 9, 8]], bbox=[]),
        dict(image_id=1, bbox=[0, 0, 9, 9], segmentation=[[5, 6, 40, 6, 40, 30]]),
    ]
    done = convert(root, tmp_path, coco(annotations=outlines))
    boxes = contents(tmp_path / 'a.arrow')
    assert boxes['n01/n01_1.png'][2] == [[5, 6, 40, 30]]
    assert boxes['n01/n01_2.png'][2] == [[0, 0, 9, 9], [1, 3, 3, 5], [3, 4, 9, 8]]
    assert done.notes == ['3 boxes taken from their outlines, as they have no bbox']
    for entry, words in (
        (dict(caption='a cat'), r'annotations\[0\]: it is of captions and no boxes'),
        (dict(segments_info=[]), r'annotations\[0\]: it is of COCO panoptic annotations'),
        (dict(bbox=[], segmentation=[]), r'annotations\[0\]: a bbox of n01/n01_1.png is empty'),
        (dict(segmentation='x'), r'annotations\[0\]: it has no bbox, and its segmentation is neither'),
    ):
        with pytest.raises(UserError, match=words):
            convert(root, tmp_path, coco(annotations=[dict(image_id=0, **entry)]))


def test_annotations_may_have_scores(root, tmp_path):
    scored = [entry | dict(score=i / 3) for i, entry in enumerate(coco()['annotations'])]
    assert convert(root, tmp_path, coco(annotations=scored), choice=Choice(min_score=0.5)).boxes == 1
    with pytest.raises(UserError, match='has no scores'):
        convert(root, tmp_path, coco(), choice=Choice(min_score=0.5))


def test_what_json_would_drop_in_silence(root, tmp_path):
    (tmp_path / 'b.json').write_text('{"n01_1": [[0, 0, 5, 5]], "n01_1": [[1, 1, 5, 5]]}')
    with pytest.raises(UserError, match=r"is not a JSON file .*has the key 'n01_1' twice"):
        import_boxes(tmp_path / 'b.json', tmp_path / 'a.arrow', root)


def test_corners_in_the_place_of_sides(root, tmp_path):
    """Each box fits as corners: w = 40 and h = 30 are no sides."""
    corners = [dict(image_id=0, bbox=[20, 10, 40, 30]), dict(image_id=1, bbox=[1, 2, 30, 20])]
    with pytest.raises(
        UserError, match=r'annotations\[0\]: .* fit if its numbers are corners and not x, y, w, h'
    ) as error:
        convert(root, tmp_path, coco(annotations=corners))
    assert '--clip' not in str(error.value)
