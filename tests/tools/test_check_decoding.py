"""The table of all readings beside Pillow's."""

import sys

import numpy as np
import pytest
from image_files import broken_apng, exif, smooth
from PIL import Image
from scripts import load_script

from mmsoco.images import comparison
from mmsoco.images.comparison import compare


@pytest.fixture
def folder(tmp_path):
    Image.fromarray(smooth()).save(tmp_path / 'a.jpg', exif=exif(6))
    Image.fromarray(smooth()).save(tmp_path / 'b.png')
    Image.fromarray(smooth()[..., 0].astype(np.uint16) * 257).save(tmp_path / 'c.png')
    (tmp_path / 'd.png').write_bytes(broken_apng())
    (tmp_path / 'e.txt').write_text('words')
    np.save(tmp_path / 'f.npy', smooth())
    return tmp_path


def test_each_kind_has_its_line(folder, monkeypatch, capsys):
    tool = load_script('tools/check_decoding.py')
    monkeypatch.setattr(sys, 'argv', ['check_decoding.py', str(folder)])
    with pytest.raises(SystemExit) as exit_:
        tool.main()
    assert not exit_.value.code
    cells = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert cells[0] == ['kind', 'equal', 'deep', 'ours', 'alone', 'neither']
    assert ['JPEG', 'RGB,', 'turned', '1'] in cells and ['PNG', 'I;16,', 'uint16', '1'] in cells
    assert cells[-1] == ['all', '2', '1', '1', '2']


@pytest.mark.parametrize(
    'verdict, change',
    [
        ('other pixels', lambda image: image._replace(pixels=image.pixels + np.uint8(4))),
        ('equal', lambda image: image._replace(pixels=image.pixels + np.uint8(3))),
        ('other size', lambda image: image._replace(pixels=image.pixels[:, 1:])),
    ],
)
def test_a_difference_is_seen(folder, monkeypatch, verdict, change):
    load = comparison.load_image
    monkeypatch.setattr(comparison, 'load_image', lambda path: change(load(path)))
    assert compare(folder / 'b.png').verdict == verdict


def test_another_size_by_the_header_is_seen(folder, monkeypatch):
    monkeypatch.setattr(comparison, 'image_size', lambda path: (60, 80))
    assert compare(folder / 'b.png').verdict == 'other header'


def test_what_only_pillow_reads_is_a_fault(folder, monkeypatch):

    def fail(path):
        raise comparison.UnreadableImage(path, 'because')

    monkeypatch.setattr(comparison, 'load_image', fail)
    assert compare(folder / 'b.png') == ('PNG RGB', 'Pillow alone', 'because')
    assert compare(folder / 'e.txt').verdict == 'neither'
