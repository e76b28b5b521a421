import gzip
import json
import zipfile

import cv2
import numpy as np
import pytest
from scripts import load_script

from mmsoco.errors import UserError

sample_data = load_script('data_pipelines/sample_data.py')


def table(count=40):
    """Lines of 64 values from 0 to 16 and a label; digit i is a bar of i + 1 rows."""
    lines = []
    for i in range(count):
        ink = np.zeros((8, 8), int)
        ink[: 1 + i % 7, 2:6] = 16
        lines.append(','.join(f'{value}.0' for value in [*ink.flatten(), i % 10]))
    return '\n'.join(lines).encode()


def write_wheel(path, content=None):
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr(sample_data.DIGITS if content is None else 'other', gzip.compress(content or table()))
    return path


@pytest.fixture
def few(monkeypatch):
    """Splits small enough for a test."""
    splits = {'train': sample_data.Split(6, 2, slice(0, 30)), 'val': sample_data.Split(3, 3, slice(30, None))}
    monkeypatch.setattr(sample_data, 'SPLITS', splits)


@pytest.fixture
def made(few, tmp_path):
    counts = sample_data.make_sample_data(tmp_path / 'new' / 'data', write_wheel(tmp_path / 'digits.whl'))
    return tmp_path / 'new' / 'data', counts


def test_the_folder_holds_the_sheets_and_two_annotation_files(made):
    out, counts = made
    assert sorted(path.name for path in out.iterdir()) == ['train', 'train.json', 'val', 'val.json']
    assert [path.name for path in out.parent.iterdir()] == ['data']
    assert len(list((out / 'train').iterdir())) == 6 and len(list((out / 'val').iterdir())) == 3
    assert counts['train'][:2] == (6, 2) and counts['val'][:2] == (3, 3)
    for split in ('train', 'val'):
        coco = json.loads((out / f'{split}.json').read_text())
        assert len(coco['annotations']) == counts[split][2] > 0
        assert [image['file_name'] for image in coco['images']] == [f'{i:04d}.jpg' for i in range(counts[split][1])]
        assert len({entry['id'] for entry in coco['annotations']}) == len(coco['annotations'])
        assert [kind['name'] for kind in coco['categories']] == list('0123456789')


def test_it_is_always_the_same(made, tmp_path):
    out, _ = made
    sample_data.make_sample_data(tmp_path / 'again', write_wheel(tmp_path / 'digits.whl'))
    for path in out.rglob('*.*'):
        assert path.read_bytes() == (tmp_path / 'again' / path.relative_to(out)).read_bytes()


def test_boxes_hold_the_ink(made):
    """A box is dark inside and light around, on the sheets as they are decoded."""
    out, _ = made
    coco = json.loads((out / 'val.json').read_text())
    for annotation in coco['annotations']:
        x, y, w, h = map(int, annotation['bbox'])
        sheet = cv2.imread(str(out / 'val' / f'{annotation["image_id"] - 1:04d}.jpg')).astype(int).mean(axis=2)
        assert sheet.shape == (sample_data.SHEET, sample_data.SHEET)
        inside, around = sheet[y : y + h, x : x + w], sheet[max(y - 2, 0) : y + h + 2, max(x - 2, 0) : x + w + 2]
        assert inside.mean() + 10 < np.median([*around[0], *around[-1]])
        assert annotation['area'] == annotation['bbox'][2] * annotation['bbox'][3]


def test_digits_lie_apart_and_inside():
    digits, _ = digits_and_labels()
    rng = np.random.default_rng(0)
    counts = set()
    for _ in range(20):
        sheet, boxes, chosen = sample_data.draw_sheet(rng, digits)
        counts.add(len(boxes))
        assert sheet.shape == (sample_data.SHEET, sample_data.SHEET, 3) and sheet.dtype == np.uint8
        assert len(chosen) == len(boxes)
        assert boxes.min() >= 0 and boxes.max() <= sample_data.SHEET
        for i, a in enumerate(boxes):
            for b in boxes[:i]:
                assert (np.maximum(a[:2], b[:2]) - np.minimum(a[2:], b[2:]) >= 3).any()
    assert counts <= {1, 2, 3, 4, 5, 6, 7} and len(counts) > 2


def digits_and_labels():
    import io

    with zipfile.ZipFile(write_wheel(io.BytesIO())) as archive:
        return sample_data.read_digits(archive)


def test_digits_are_read_as_ink_and_labels():
    digits, labels = digits_and_labels()
    assert digits.shape == (40, 8, 8) and digits.min() == 0 and digits.max() == 1
    assert labels.tolist() == [i % 10 for i in range(40)]
    assert (digits[3] > 0).sum() == 4 * 4


def test_no_digit_is_in_both_splits():
    train, val = sample_data.SPLITS['train'].digits, sample_data.SPLITS['val'].digits
    assert not set(range(1797)[train]) & set(range(1797)[val])


def test_an_existing_folder_is_refused_and_left_alone(tmp_path):
    (tmp_path / 'data').mkdir()
    (tmp_path / 'data' / 'mine.txt').write_text('precious')
    with pytest.raises(UserError, match='data exists already; delete it or name another folder'):
        sample_data.make_sample_data(tmp_path / 'data', write_wheel(tmp_path / 'digits.whl'))
    assert [path.name for path in (tmp_path / 'data').iterdir()] == ['mine.txt']


@pytest.mark.parametrize('kind', ['missing', 'empty', 'no zip', 'another wheel', 'other columns', 'no gzip'])
def test_what_is_no_such_wheel_is_refused_and_nothing_is_left(few, tmp_path, kind):
    wheel = tmp_path / 'other.whl'
    if kind == 'another wheel':
        write_wheel(wheel, b'1,2,3')
    elif kind in ('other columns', 'no gzip'):
        with zipfile.ZipFile(wheel, 'w') as archive:
            digits = gzip.compress(b'1,2,3\n4,5,6') if kind == 'other columns' else b'1,2,3'
            archive.writestr(sample_data.DIGITS, digits)
    elif kind != 'missing':
        wheel.write_bytes(b'' if kind == 'empty' else b'no zip at all')
    (tmp_path / 'out').mkdir()
    with pytest.raises(UserError, match='is not the wheel that is expected'):
        sample_data.make_sample_data(tmp_path / 'out' / 'data', wheel)
    assert list((tmp_path / 'out').iterdir()) == []
