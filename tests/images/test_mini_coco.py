"""Drawing a part of COCO."""

import json
import random
import runpy
import sys

import pytest

from mmsoco.errors import UserError
from mmsoco.images.mini_coco import default_out, sample, sample_file


def coco(count=200):
    """Annotations of some images: image i has i % 3 boxes; ids far apart."""
    images = [dict(id=1000 + 7 * i, file_name=f'{i}.jpg', width=64, height=48) for i in range(count)]
    owners = [image['id'] for i, image in enumerate(images) for _ in range(i % 3)]
    return dict(
        info=dict(description='COCO', year=2017),
        licenses=[dict(id=1, name='by')],
        images=images,
        annotations=[dict(id=k, image_id=owner, category_id=1, bbox=[0, 0, 9, 9]) for k, owner in enumerate(owners)],
        categories=[dict(id=1, name='person'), dict(id=2, name='bicycle')],
    )


def ids(part):
    return {image['id'] for image in part['images']}


@pytest.fixture
def annotations(tmp_path):
    path = tmp_path / 'instances_train2017.json'
    path.write_text(json.dumps(coco()))
    return path


def test_a_part_holds_its_images_with_all_that_is_theirs():
    whole = coco()
    part = sample(whole, 10)
    assert len(part['images']) == 20 and all(image in whole['images'] for image in part['images'])
    assert part['annotations'] == [a for a in whole['annotations'] if a['image_id'] in ids(part)]
    assert any(image['id'] not in {a['image_id'] for a in part['annotations']} for image in part['images'])
    assert part['categories'] == whole['categories'] and part['licenses'] == whole['licenses']
    drawn = part['info'].pop('drawn')
    assert part['info'] == whole['info']
    assert {key: drawn[key] for key in ('percent', 'seed', 'images', 'of')} == dict(
        percent=10, seed=0, images=20, of=200
    )
    assert whole == coco(), 'the whole should stay as it is'


def test_the_seed_alone_decides():
    whole = coco()
    shuffled = coco()
    random.Random(3).shuffle(shuffled['images'])
    random.Random(4).shuffle(shuffled['annotations'])
    assert ids(sample(whole, 10)) == ids(sample(shuffled, 10))
    assert ids(sample(whole, 10)) != ids(sample(whole, 10, seed=1))
    assert ids(sample(whole, 5)) < ids(sample(whole, 10)) < ids(sample(whole, 50))


def test_the_draw_is_the_same_for_ever():
    """Another draw under the same seed would be another benchmark."""
    # Where the four smallest of random.Random(0)'s first 20 numbers stand.
    assert sorted(ids(sample(coco(20), 20))) == [1000 + 7 * i for i in (3, 7, 12, 15)]


def test_numbers_of_images():
    assert len(sample(coco(118), 5)['images']) == 6
    assert len(sample(coco(3), 1)['images']) == 1
    assert len(sample(coco(7), 100)['images']) == 7
    assert len(sample(coco(200), 0.5)['images']) == 1


def test_draws_are_even_over_the_file():
    """Each image comes up in a fifth of the draws, wherever it stands."""
    counts = dict.fromkeys(ids(coco(20)), 0)
    for seed in range(1000):
        for id_ in ids(sample(coco(20), 20, seed)):
            counts[id_] += 1
    assert 150 < min(counts.values()) and max(counts.values()) < 250


def test_files_without_info():
    whole = coco()
    del whole['info']
    assert list(sample(whole, 50)['info']) == ['drawn']
    assert list(sample(whole | {'info': 'mine'}, 50)['info']) == ['drawn']


def test_default_name(annotations):
    out, part = sample_file(annotations, None, 5)
    assert out == annotations.with_name('instances_train2017_5percent_seed0.json')
    assert json.loads(out.read_text()) == part and part['info']['drawn']['from'] == annotations.name
    assert default_out('a/b.json', 12.5, 3).as_posix() == 'a/b_12.5percent_seed3.json'
    assert {path.name for path in annotations.parent.iterdir()} == {annotations.name, out.name}


@pytest.mark.parametrize('percent', [0, -5, 100.1, float('nan'), float('inf')])
def test_percents_that_are_none(annotations, percent):
    with pytest.raises(UserError, match=r'percent cannot be drawn; give a number above 0 and up to 100'):
        sample_file(annotations, None, percent)
    with pytest.raises(UserError, match='cannot be drawn'):
        sample(coco(), percent)


def broken(**changes):
    return json.dumps(coco(3) | changes)


@pytest.mark.parametrize(
    'content, message',
    [
        (None, 'does not exist'),
        ('', 'not JSON, or cut off'),
        (broken()[:-40], 'not JSON, or cut off'),
        ('[' * 100_000, 'not JSON, or cut off'),
        (b'\xff\xd8\xff\xe0', 'not JSON, or cut off'),
        ('[1, 2]', 'should hold the lists images, annotations, categories'),
        (broken(images={}), 'should hold the lists'),
        (broken(categories=None), 'should hold the lists'),
        (broken(annotations=[1]), 'should hold the lists'),
        (broken(images=[dict(file_name='a.jpg')]), 'an entry of its images has no id'),
        (broken(annotations=[dict(id=1)]), 'an entry of its annotations has no image_id'),
        (broken(images=[]), 'has no images'),
        (broken(images=[dict(id=1), dict(id=1)]), 'the same id'),
        (broken(images=[dict(id=1), dict(id='2')]), 'ids of different kinds'),
    ],
)
def test_files_that_are_not_coco(tmp_path, content, message):
    path = tmp_path / 'a.json'
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError, match=message) as error:
        sample_file(path, tmp_path / 'out.json', 50)
    assert str(path) in str(error.value) and '\n' not in str(error.value)
    assert not (tmp_path / 'out.json').exists()


def test_folders_and_the_file_itself(annotations, tmp_path):
    before = annotations.read_bytes()
    with pytest.raises(UserError, match='is a folder; name a file in it'):
        sample_file(annotations, tmp_path, 50)
    with pytest.raises(UserError, match='is the file that is drawn from'):
        sample_file(annotations, tmp_path / '.' / annotations.name, 50)
    with pytest.raises(UserError, match='cannot be read: is a folder'):
        sample_file(tmp_path, tmp_path / 'out.json', 50)
    assert annotations.read_bytes() == before


def call(root, monkeypatch, capsys, *args):
    monkeypatch.setattr(sys, 'argv', ['mini_coco.py', *map(str, args)])
    with pytest.raises(SystemExit) as stop:
        runpy.run_path(str(root / 'data_pipelines/mini_coco.py'), run_name='__main__')
    captured = capsys.readouterr()
    return stop.value.code or 0, captured.out, captured.err


def test_the_tool(root, annotations, tmp_path, monkeypatch, capsys):
    status, out, _ = call(root, monkeypatch, capsys, annotations, '--percent', 5)
    assert status == 0 and out.endswith('5percent_seed0.json: 10 of 200 images, 8 annotations\n')
    mine = tmp_path / 'new/mine.json'
    status, out, _ = call(root, monkeypatch, capsys, annotations, mine, '--percent', 5, '--seed', 1)
    assert status == 0 and len(json.loads(mine.read_text())['images']) == 10
    status, _, err = call(root, monkeypatch, capsys, annotations, '--percent', 0)
    assert status == 2 and err == 'error: 0 percent cannot be drawn; give a number above 0 and up to 100\n'
    status, _, err = call(root, monkeypatch, capsys, tmp_path / 'gone.json', '--percent', 5)
    assert status == 2 and 'gone.json does not exist' in err and err.count('\n') == 1
