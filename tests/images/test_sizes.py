import pytest
from PIL import ExifTags, Image

from mmsoco.images import sizes
from mmsoco.images.sizes import measure_sizes


@pytest.mark.parametrize('jobs', [1, 2])
def test_sizes_are_those_a_viewer_shows(tmp_path, monkeypatch, jobs):
    monkeypatch.setattr(sizes, 'CHUNK', 1)
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = orientation
        Image.new('RGB', (40, 30)).save(tmp_path / f'{orientation}.jpg', exif=exif)
    (tmp_path / 'broken.jpg').write_text('broken')
    names = [*(f'{orientation}.jpg' for orientation in range(1, 9)), 'broken.jpg', 'gone.jpg']
    seen = []
    found, failures = measure_sizes(tmp_path, names, jobs, lambda *progress: seen.append(progress))
    assert found == {name: (40, 30) if int(name[0]) < 5 else (30, 40) for name in names[:8]}
    assert list(failures) == ['broken.jpg', 'gone.jpg'] and failures['gone.jpg'] == 'No such file or directory'
    assert seen == [(done, 10) for done in range(1, 11)]


def test_no_images(tmp_path):
    assert measure_sizes(tmp_path, []) == ({}, {})
