import csv
import json
import os
import pickle
import shutil

import numpy as np
import pytest
from box_files import BOXES, EVERYTHING, SIZE, contents, official
from PIL import ExifTags, Image

from mmsoco.datasets import ProposalDataset
from mmsoco.errors import UserError
from mmsoco.images.lists import ImageList
from mmsoco.images.reading import Reading
from mmsoco.proposals.checks import kind_of_change
from mmsoco.proposals.convert import Choice, export_boxes, import_boxes
from mmsoco.proposals.filters import ProposalFilter, filter_folder
from mmsoco.proposals.source import read_raw
from mmsoco.proposals.store import ProposalRow, ProposalStore, write_proposals


@pytest.mark.parametrize(
    ('name', 'kind'), [('b.json', 'official'), ('b.json', 'coco'), ('b.pkl', 'mmdet'), ('b.csv', 'csv')]
)
def test_there_and_back(store, root, tmp_path, name, kind):
    assert export_boxes(store, tmp_path / name, kind) == 3
    done = import_boxes(tmp_path / name, tmp_path / 'back.arrow', root)
    assert (done.images, done.boxes, done.empty, done.without, done.failures) == (3, 3, 1, 0, {})
    assert contents(tmp_path / 'back.arrow') == EVERYTHING
    header = ProposalStore.open(tmp_path / 'back.arrow').header
    assert header['generator']['name'] == kind and header['generator']['file'] == name
    assert header['root'] == str(root)


def test_what_other_tools_get(store, root, tmp_path):
    export_boxes(store, tmp_path / 'b.json', 'official')
    official = json.loads((tmp_path / 'b.json').read_text())
    assert official == {'n01_1': [[0, 0, 30, 20], [5, 6, 35, 24]], 'n01_2': [[1, 2, 2, 2]], 'n02_3': []}
    export_boxes(store, tmp_path / 'b.pkl')
    mmdet = pickle.loads((tmp_path / 'b.pkl').read_bytes())
    assert list(mmdet) == list(BOXES)
    assert mmdet['n01/n01_1.png']['bboxes'].tolist() == BOXES['n01/n01_1.png']
    assert mmdet['n01/n01_1.png']['scores'].tolist() == [1, 1] and mmdet['n02/n02_3.png']['bboxes'].shape == (0, 4)
    export_boxes(store, tmp_path / 'b.csv')
    with (tmp_path / 'b.csv').open(newline='') as file:
        lines = list(csv.reader(file))
    assert lines[0] == ['file_name', 'width', 'height', 'x1', 'y1', 'x2', 'y2']
    assert lines[2] == ['n01/n01_1.png', '40', '30', '5', '6', '40', '30']
    export_boxes(store, tmp_path / 'c.json', 'coco')
    coco = json.loads((tmp_path / 'c.json').read_text())
    assert coco['images'][1] == dict(id=2, file_name='n01/n01_2.png', width=40, height=30)
    assert coco['annotations'][1]['area'] == 35 * 24 and coco['annotations'][2]['image_id'] == 2
    (tmp_path / 'images.json').write_text('[]')
    with pytest.raises(UserError, match='its list of images is missing'):
        export_boxes(store, tmp_path / 'x.json', 'coco', annotations=tmp_path / 'images.json')
    with pytest.raises(UserError, match=r'format of .*x\.json is not clear; name one by --format'):
        export_boxes(store, tmp_path / 'x.json')


def test_fractions_become_whole_pixels_without_duplicates(root, tmp_path):
    path = official(tmp_path, n01_1=[[0.4, 0.4, 29.7, 19.6], [0, 0, 30, 20], [39.9, 3, 0.1, 2], [7.5, 7.5, 0.2, 0.2]])
    import_boxes(path, tmp_path / 'a.arrow', root)
    boxes = contents(tmp_path / 'a.arrow')['n01/n01_1.png'][2]
    # What rounds to nothing keeps a pixel.
    assert boxes == [[0, 0, 30, 20], [8, 8, 9, 9], [39, 3, 40, 5]]


@pytest.mark.parametrize(
    ('boxes', 'words'),
    [
        (
            [[0, 0, 5, 5], [30, 20, 11, 10]],
            r'n01_1, box 2: the box \[30.0, 20.0, 41.0, 30.0\] .*leaves its image of 40x30',
        ),
        ([[0, 0, float('nan'), 1]], 'n01_1, box 1: .* is not made of finite numbers'),
        ([[0, 0, 5]], 'n01_1: its boxes are not rows of 4 numbers'),
        ([[0, 0, 5, 'x']], 'n01_1: its boxes are not rows of 4 numbers'),
        ('x', 'n01_1: its boxes are not rows of 4 numbers'),
    ],
)
def test_the_first_bad_box_is_named_and_nothing_is_written(root, tmp_path, boxes, words):
    path = official(tmp_path, n01_1=boxes)
    with pytest.raises(UserError, match=words):
        import_boxes(path, tmp_path / 'a.arrow', root)
    assert not (tmp_path / 'a.arrow').exists()


def test_files_without_boxes_and_boxes_in_parts_of_a_image_are_refused(root, tmp_path):
    path = official(tmp_path, n01_1=[], n01_2=[])
    with pytest.raises(UserError, match='has no box, or none that is chosen'):
        import_boxes(path, tmp_path / 'a.arrow', root)
    path = official(tmp_path, n01_1=[[0.1, 0.2, 0.5, 0.85]], n01_2=[])
    with pytest.raises(UserError, match='has no coordinate above 1: they are parts of the images'):
        import_boxes(path, tmp_path / 'a.arrow', root)
    assert not (tmp_path / 'a.arrow').exists()


def test_boxes_that_leave_their_image_can_be_cut(root, tmp_path):
    path = official(tmp_path, n01_1=[[-5, -5, 10, 10], [30, 20, 100, 100], [50, 50, 9, 9]])
    import_boxes(path, tmp_path / 'a.arrow', root, choice=Choice(clip=True))
    assert contents(tmp_path / 'a.arrow')['n01/n01_1.png'][2] == [[0, 0, 5, 5], [30, 20, 40, 30]]
    # Half a pixel is rounding.
    import_boxes(official(tmp_path, n01_1=[[-0.5, 0, 40.9, 30.4]]), tmp_path / 'a.arrow', root)
    assert contents(tmp_path / 'a.arrow')['n01/n01_1.png'][2] == [[0, 0, 40, 30]]


def test_scores_choose(root, tmp_path):
    path = official(tmp_path, n01_1=[[0, 0, 5, 5, 0.2], [1, 1, 5, 5, 0.9], [2, 2, 5, 5, 0.6]])
    with pytest.raises(UserError, match=r'has no scores for n01/n01_2\.png; leave --min-score out'):
        import_boxes(path, tmp_path / 'a.arrow', root, choice=Choice(min_score=0.5))
    only = ImageList('one', ['n01/n01_1.png'])
    for choice, kept in (
        (Choice(min_score=0.5), [[1, 1, 6, 6], [2, 2, 7, 7]]),
        (Choice(top=1), [[1, 1, 6, 6]]),
        (Choice(), [[0, 0, 5, 5], [1, 1, 6, 6], [2, 2, 7, 7]]),
    ):
        import_boxes(path, tmp_path / 'a.arrow', root, image_list=only, choice=choice)
        assert contents(tmp_path / 'a.arrow') == {'n01/n01_1.png': (*SIZE, kept)}


def test_images_and_entries_that_do_not_match(root, tmp_path):
    path = official(tmp_path, n09_9=[[0, 0, 5, 5]])
    with pytest.raises(UserError, match=r'has boxes of n09_9, which is not in .*; give the folder that such'):
        import_boxes(path, tmp_path / 'a.arrow', root)
    chosen = ImageList('two', ['n02/n02_3.png', 'n01/n01_2.png'])
    done = import_boxes(path, tmp_path / 'a.arrow', root, image_list=chosen)
    assert (done.images, done.without) == (2, 0)
    assert ProposalStore.open(tmp_path / 'a.arrow').header['list']['title'] == 'two'
    (tmp_path / 'official.json').write_text(json.dumps({'n01_2': [[1, 2, 2, 2]]}))
    done = import_boxes(path, tmp_path / 'a.arrow', root)
    assert (done.images, done.without) == (1, 2)
    with pytest.raises(UserError, match='is not a folder'):
        import_boxes(path, tmp_path / 'a.arrow', tmp_path / 'gone')


def test_names_that_a_format_cannot_tell_apart(root, store, tmp_path):
    copy = shutil.copytree(root, tmp_path / 'copy')
    shutil.copy(copy / 'n01/n01_1.png', copy / 'n02/n01_1.png')
    with pytest.raises(UserError, match=r'n01/n01_1\.png and n02/n01_1\.png, and .n01_1. may be either'):
        import_boxes(official(tmp_path), tmp_path / 'a.arrow', copy)
    rows = [*ProposalStore.open(store), ProposalRow('n02/n01_1.png', *SIZE, np.empty((0, 4), int))]
    write_proposals(tmp_path / 'twins.arrow', rows, dict(root=str(copy)))
    with pytest.raises(UserError, match='two images are called n01_1'):
        export_boxes(tmp_path / 'twins.arrow', tmp_path / 'b.json', 'official')
    assert not (tmp_path / 'b.json').exists()


def test_images_that_cannot_be_read_are_left_out(root, tmp_path):
    copy = shutil.copytree(root, tmp_path / 'copy')
    (copy / 'n01/n01_2.png').write_text('broken')
    done = import_boxes(official(tmp_path), tmp_path / 'a.arrow', copy, jobs=2)
    assert done.images == 2 and list(done.failures) == ['n01/n01_2.png']
    header, failures, _ = read_raw(tmp_path / 'a.arrow')
    assert header['failures'] == 1 and failures == done.failures
    # So a list of all images does not miss it.
    everything = ImageList('all', list(BOXES))
    assert sum(filter_folder(tmp_path / 'a.arrow', tmp_path / 'b.arrow', ProposalFilter(), everything).values()) == 2


def test_sizes_of_a_file_are_compared_with_the_images(store, root, tmp_path):
    export_boxes(store, tmp_path / 'c.json', 'coco')
    content = json.loads((tmp_path / 'c.json').read_text())
    content['images'][1]['width'] = 80
    (tmp_path / 'c.json').write_text(json.dumps(content))
    with pytest.raises(UserError, match=r'boxes for n01/n01_2\.png of 80x30, but in .* it is 40x30'):
        import_boxes(tmp_path / 'c.json', tmp_path / 'a.arrow', root)
    assert not (tmp_path / 'a.arrow').exists()


@pytest.fixture
def many(tmp_path):
    """30 images of 40x30 px, and annotations with sizes."""
    root = tmp_path / 'many'
    root.mkdir()
    entries = []
    for i in range(30):
        Image.new('RGB', (40, 30)).save(root / f'{i:02}.jpg')
        entries.append(dict(id=i, file_name=f'{i:02}.jpg', width=40, height=30))
    return root, dict(images=entries, annotations=[dict(image_id=i, bbox=[0, 0, 9, 9]) for i in range(30)])


def as_file(tmp_path, content):
    (tmp_path / 'c.json').write_text(json.dumps(content))
    return tmp_path / 'c.json'


def test_each_kind_of_other_size_is_named_and_counted(many, tmp_path):
    """Of all images, not of a sample."""
    root, content = many
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    for i in (3, 8, 27):
        Image.new('RGB', (40, 30)).save(root / f'{i:02}.jpg', exif=exif)
    Image.new('RGB', (81, 61)).save(root / '05.jpg')
    Image.new('RGB', (20, 15)).save(root / '06.jpg')
    Image.new('RGB', (40, 31)).save(root / '29.jpg')
    (root / '28.jpg').write_text('broken')
    with pytest.raises(UserError) as error:
        import_boxes(as_file(tmp_path, content), tmp_path / 'a.arrow', root)
    message = str(error.value)
    for words in (
        f'boxes for 03.jpg of 40x30, but in {root} it is 30x40: turned (3 of 30 images are turned)',
        f'boxes for 05.jpg of 40x30, but in {root} it is 81x61: resized by 2.025 (2 of 30 images are resized)',
        f'boxes for 29.jpg of 40x30, but in {root} it is 40x31: changed in another way (1 of 30 images are changed',
        'boxes must be of images as a viewer shows them, orientation from EXIF applied',
        'make boxes for these images, or give the original ones',
    ):
        assert words in message
    assert '--clip' not in message and '\n' not in message and not (tmp_path / 'a.arrow').exists()


def test_unreadable_images_do_not_pass_as_read(many, tmp_path):
    root, content = many
    (root / '28.jpg').write_text('broken')
    (root / '29.jpg').write_bytes(b'')
    content['annotations'].append(dict(image_id=29, bbox=[1, 1, 9, 9]))
    seen = []
    done = import_boxes(
        as_file(tmp_path, content), tmp_path / 'a.arrow', root, on_progress=lambda *progress: seen.append(progress)
    )
    assert (done.images, done.boxes, list(done.failures)) == (28, 28, ['28.jpg', '29.jpg'])
    assert done.left_out == {'of images that cannot be read': 3} and seen[-1] == (30, 30)
    assert ProposalStore.open(tmp_path / 'a.arrow').header['left_out'] == done.left_out


@pytest.mark.parametrize(
    ('size', 'kind'),
    [
        ((30, 40), 'turned'),
        ((80, 60), 'resized by 2'),
        ((20, 15), 'resized by 0.5'),
        ((27, 20), 'resized by 0.675'),
        ((60, 80), 'turned and resized by 2'),
        ((80, 30), 'changed in another way'),
        ((40, 33), 'changed in another way'),
    ],
)
def test_kinds_of_change(size, kind):
    assert kind_of_change((40, 30), size) == kind


def csv_of(tmp_path, boxes, name='b.csv'):
    lines = [f'{image},{",".join(map(str, box))}' for image, box in boxes]
    (tmp_path / name).write_text('\n'.join(['file_name,x1,y1,x2,y2', *lines, '']))
    return tmp_path / name


@pytest.mark.parametrize(
    ('boxes', 'words'),
    [
        # Of the image before it was turned.
        ([('00.jpg', (1, 1, 30, 40)), ('01.jpg', (0, 20, 20, 39))], 'fit these images when turned: boxes must be of'),
        ([('00.jpg', (1, 1, 80, 60)), ('01.jpg', (0, 20, 70, 30))], 'of images at least 2 times as large: make boxes'),
        ([('00.jpg', (20, 20, 15, 10)), ('01.jpg', (1, 1, 5, 5))], 'fit if its numbers are x, y, w, h'),
    ],
)
def test_right_boxes_are_not_to_be_cut(many, tmp_path, boxes, words):
    root, _ = many
    path = csv_of(tmp_path, [*boxes, ('02.jpg', (3, 3, 9, 9))])
    with pytest.raises(UserError, match=words) as error:
        import_boxes(path, tmp_path / 'a.arrow', root)
    assert '--clip' not in str(error.value)
    if 'x, y, w, h' in words:
        with pytest.raises(UserError, match=words):
            import_boxes(path, tmp_path / 'a.arrow', root, choice=Choice(clip=True))
    else:
        done = import_boxes(path, tmp_path / 'a.arrow', root, choice=Choice(clip=True))
        assert any(note.startswith('2 boxes leave their images and were cut (--clip); but ') for note in done.notes)


def test_slips_are_to_be_cut(many, tmp_path):
    root, _ = many
    boxes = [('00.jpg', (1, 1, 41, 30)), ('01.jpg', (-1, 2, 9, 9)), ('02.jpg', (3, 3, 9, 9))]
    with pytest.raises(
        UserError, match=r'line 2: the box .* \(and 1 more, in 2 images\) leaves .*cut such boxes by --clip'
    ):
        import_boxes(csv_of(tmp_path, boxes), tmp_path / 'a.arrow', root)
    many_slips = [(f'{i % 30:02}.jpg', (1, 1, 41, 10 + i % 7)) for i in range(60)]
    with pytest.raises(UserError, match=r'if the images were 1\.02 times as large, .*; if not, --clip cuts'):
        import_boxes(csv_of(tmp_path, many_slips), tmp_path / 'a.arrow', root)
    done = import_boxes(csv_of(tmp_path, boxes), tmp_path / 'a.arrow', root, choice=Choice(clip=True))
    assert done.notes[1:] == ['2 boxes leave their images and were cut (--clip)'] and done.boxes == 3


def test_no_box_disappears_uncounted(many, tmp_path):
    root, content = many
    (root / '29.jpg').write_text('broken')
    rng = np.random.default_rng(0)
    content['annotations'] = [
        dict(
            image_id=int(rng.integers(30)),
            bbox=[*rng.uniform(-5, 35, 2), *rng.uniform(0, 6, 2).round()],
            score=float(rng.random()),
            iscrowd=int(rng.random() < 0.1),
        )
        for _ in range(898)
    ]
    content['annotations'] += 2 * [dict(image_id=20, bbox=[1, 1, 9, 9], score=1.0, iscrowd=0)]
    names = ImageList('some', [f'{i:02}.jpg' for i in range(10, 30)])
    done = import_boxes(
        as_file(tmp_path, content),
        tmp_path / 'a.arrow',
        root,
        image_list=names,
        choice=Choice(min_score=0.3, top=10, clip=True),
    )
    assert list(done.left_out) == [
        'regions marked as crowds',
        'of images that the list does not have',
        'of images that cannot be read',
        'without area: no width or no height',
        'outside of their image',
        'with a score below 0.3',
        'beyond the best 10 of their image',
        'the same, in whole pixels, as another of their image',
    ]
    assert all(done.left_out.values()) and done.boxes + sum(done.left_out.values()) == 900


def test_numbers_that_are_none(root, tmp_path):
    path = official(tmp_path, n01_1=[[0, 0, 5, 5], [0, float('inf'), 1, 1], [float('nan')] * 4])
    with pytest.raises(UserError, match=r'n01_1, box 2: .* is not made of finite numbers \(2 boxes are such\)'):
        import_boxes(path, tmp_path / 'a.arrow', root)
    path = official(tmp_path, n01_1=[[0, 0, 5, 5, float('nan')]])
    with pytest.raises(UserError, match='n01_1, box 1: the score nan is not made of finite numbers'):
        import_boxes(path, tmp_path / 'a.arrow', root)


def test_images_are_found_by_any_usual_spelling(tmp_path):
    root = tmp_path / 'root'
    (root / 'a').mkdir(parents=True)
    for name in ('a/Shot 3.04\u202fPM.png', 'a/u\u0308.png', 'a/c.png'):
        Image.new('RGB', SIZE).save(root / name)
    (root / 'link').symlink_to('a')
    boxes = [
        ('.\\a\\Shot 3.04 PM.png', (1, 1, 5, 5)),
        ('./A/\u00fc.PNG', (2, 2, 5, 5)),
        (f'{root}/link/c.png', (3, 3, 5, 5)),
    ]
    names = ImageList('t', ['a/c.png', 'a\\\u00fc.png'])
    for chosen in (None, names):
        import_boxes(csv_of(tmp_path, boxes), tmp_path / 'a.arrow', root, image_list=chosen)
        found = {
            (root / name).resolve().relative_to(root).as_posix(): boxes
            for name, (_, _, boxes) in contents(tmp_path / 'a.arrow').items()
            if boxes
        }
        expected = {
            'a/Shot 3.04\u202fPM.png': [[1, 1, 5, 5]],
            'a/u\u0308.png': [[2, 2, 5, 5]],
            'a/c.png': [[3, 3, 5, 5]],
        }
        if chosen:
            del expected['a/Shot 3.04\u202fPM.png']
        assert found == expected


@pytest.mark.parametrize('name', ['gone.json', 'gone.csv', 'gone.pkl'])
def test_missing_files(root, tmp_path, name):
    with pytest.raises(UserError, match=f'{name.split(".")[0]}.* does not exist'):
        import_boxes(tmp_path / name, tmp_path / 'a.arrow', root)
    (tmp_path / 'bad.json').write_text('{')
    with pytest.raises(UserError, match='is not a JSON file'):
        import_boxes(tmp_path / 'bad.json', tmp_path / 'a.arrow', root)


def test_given_boxes_can_be_filtered(root, tmp_path):
    import_boxes(official(tmp_path), tmp_path / 'a.arrow', root)
    served = filter_folder(tmp_path / 'a.arrow', tmp_path / 'b.arrow', ProposalFilter(size=(0.5, 1.0), min_side=0))
    assert sum(served.values()) == 3
    assert contents(tmp_path / 'b.arrow')['n02/n02_3.png'] == (*SIZE, [[0, 0, 40, 30]])
    header = ProposalStore.open(tmp_path / 'b.arrow').header
    assert header['kind'] == 'filtered' and header['generator']['name'] == 'official'


def test_how_training_reads_the_images_is_in_the_file(store, root, tmp_path):
    export_boxes(store, tmp_path / 'b.csv')
    import_boxes(tmp_path / 'b.csv', tmp_path / 'a.arrow', root, reading=Reading(13, (0, 4095), (4, 3, 2)))
    assert Reading.of(ProposalStore.open(tmp_path / 'a.arrow').header) == Reading(13, (0, 4095), (4, 3, 2))
    filter_folder(tmp_path / 'a.arrow', tmp_path / 'f.arrow', ProposalFilter())
    assert Reading.of(ProposalStore.open(tmp_path / 'f.arrow').header).channels == 13
    import_boxes(tmp_path / 'b.csv', tmp_path / 'plain.arrow', root)
    assert 'reading' not in ProposalStore.open(tmp_path / 'plain.arrow').header


def deep_images(tmp_path, count):
    """Images of 16 bits, of which number i has values up to 1,000 + i, and a box in each."""
    root = tmp_path / 'deep'
    root.mkdir()
    for number in range(count):
        Image.fromarray(np.full((20, 30), 1000 + number, np.uint16)).save(root / f'{number:02}.png')
    lines = ['file_name,x1,y1,x2,y2', *(f'{path.name},1,2,20,15' for path in sorted(root.iterdir()))]
    (tmp_path / 'deep.csv').write_text('\n'.join(lines) + '\n')
    return root


def test_values_of_more_than_8_bits_are_told(tmp_path):
    root = deep_images(tmp_path, 20)
    done = import_boxes(tmp_path / 'deep.csv', tmp_path / 'a.arrow', root)
    filter_folder(tmp_path / 'a.arrow', tmp_path / 'f.arrow', ProposalFilter())
    # The first and the last among them; 10 bits hold values up to 1,023.
    met = {'uint16': {'images': 16, 'low': 1000, 'high': 1019, 'by': {'0..1023': 16}}}
    assert ProposalStore.open(tmp_path / 'f.arrow').header['met'] == met
    line = '16 images of uint16, values 1000 to 1019, scaled to 8 bits (16 by 0..1023)'
    assert done.notes[-1] == f'of 16 images looked at: {line}'
    # Detectors are compared with this.
    assert ProposalDataset(tmp_path / 'f.arrow', []).describe()['deep'] is True
    import_boxes(tmp_path / 'deep.csv', tmp_path / 'a.arrow', root, reading=Reading(value_range=(0, 2000)))
    assert ProposalStore.open(tmp_path / 'a.arrow').header['met']['uint16']['by'] == {'0..2000': 16}


def test_plain_images_have_no_such_values(store, root, tmp_path):
    export_boxes(store, tmp_path / 'b.csv')
    done = import_boxes(tmp_path / 'b.csv', tmp_path / 'a.arrow', root)
    assert 'met' not in ProposalStore.open(tmp_path / 'a.arrow').header
    assert not any('looked at' in note for note in done.notes)


def test_frames_and_broken_pixels_are_told(tmp_path):
    root = deep_images(tmp_path, 3)
    frames = [Image.new('RGB', (30, 20), color) for color in ('red', 'blue')]
    frames[0].save(root / '01.png', save_all=True, append_images=frames[1:])
    content = (root / '02.png').read_bytes()
    (root / '02.png').write_bytes(content[:-25])  # its header is whole
    done = import_boxes(tmp_path / 'deep.csv', tmp_path / 'a.arrow', root)
    told = [note.removeprefix('of 3 images looked at: ') for note in done.notes if 'looked at' in note]
    assert told[0].startswith('1 images of uint16')
    assert told[1].startswith('1 are in files of several frames')
    assert told[2].startswith('1 cannot be read, though their headers can; the first: ') and '02.png' in told[2]
    assert len(told) == 3 and done.images == 3


@pytest.mark.parametrize('ending', ['json', 'csv', 'pkl', 'txt'])
def test_a_pipe_is_not_waited_for(root, tmp_path, ending):
    os.mkfifo(tmp_path / f'b.{ending}')
    with pytest.raises(UserError, match=rf'b\.{ending} is no regular file'):
        import_boxes(tmp_path / f'b.{ending}', tmp_path / 'a.arrow', root)
