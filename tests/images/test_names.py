import itertools
import tracemalloc

import pytest

from mmsoco.errors import UserError
from mmsoco.images.names import SPELLINGS, FolderNames, Names, tidy


@pytest.mark.parametrize(
    ('spelling', 'name'),
    [
        ('a/1.jpg', 'a/1.jpg'),
        ('./a/1.jpg', 'a/1.jpg'),
        ('a//1.jpg', 'a/1.jpg'),
        ('b/../a/1.jpg', 'a/1.jpg'),
        ('a\\1.jpg', 'a/1.jpg'),
        ('.\\a\\1.jpg', 'a/1.jpg'),
        (' a/1.jpg ', 'a/1.jpg'),
        ('A/1.JPG', 'a/1.jpg'),
        ('a/1', 'a/1.jpg'),
        ('café.png', 'cafe\u0301.png'),
        ('u\u0308.png', '\u00fc.png'),
        ('Shot at 3.04 PM.png', 'Shot at 3.04\u202fPM.png'),
        ('\uff21.png', 'A.png'),
        ('1.jpg', None),
        ('a/1.png', None),
        ('aa', None),
        ('a', 'A.png'),
        ('', None),
    ],
)
def test_usual_spellings_find_the_image(spelling, name):
    names = Names(['a/1.jpg', 'cafe\u0301.png', '\u00fc.png', 'Shot at 3.04\u202fPM.png', 'A.png'])
    assert names.find(spelling) == name


def test_the_strictest_spelling_counts():
    names = Names(['a.jpg', 'A.jpg', 'x\\y.jpg', 'x/y.jpg', ' b.jpg', 'b.jpg', 'c.png', 'C.png', 'd.jpg', 'd.png'])
    for name in ('a.jpg', 'A.jpg', 'x\\y.jpg', 'x/y.jpg', ' b.jpg', 'b.jpg'):
        assert names.find(name) == name
    assert Names(['e\u0301.png', 'E\u0301.png']).find('\u00e9.png') == 'e\u0301.png'
    for spelling, words in (
        ('C.PNG', r"C\.png and c\.png, and 'C.PNG' may be either"),
        ('d', r"d\.jpg and d\.png, and 'd' may be either"),
    ):
        with pytest.raises(UserError, match=words):
            names.find(spelling)


def test_of_several_spellings_one_has_to_be_there():
    names = Names(['train/1.jpg', '2.jpg', 'val/3.jpg', '3.jpg'])
    assert names.find('1.jpg', 'train/1.jpg') == 'train/1.jpg' and names.find('2.jpg', 'val/2.jpg') == '2.jpg'
    with pytest.raises(UserError, match=r'there are 3\.jpg and val/3\.jpg, and '):
        names.find('3.jpg', 'val/3.jpg')


def test_absolute_paths_and_links_lead_to_the_same_file(tmp_path):
    root = tmp_path / 'root'
    (root / 'a').mkdir(parents=True)
    (root / 'a/1.jpg').touch()
    (root / 'a/2.data').touch()
    (root / 'link').symlink_to('a')
    (root / 'one.jpg').symlink_to('a/1.jpg')
    (tmp_path / 'seen').symlink_to(root)
    names = Names(['a/1.jpg'], tmp_path / 'seen')
    for spelling in (
        f'{root}/a/1.jpg',
        f'{tmp_path}/seen/a/1.jpg',
        f'file://{root}/a/1.jpg',
        'link/1.jpg',
        'link\\1.jpg',
        'one.jpg',
        f'{root}/link/1.jpg',
    ):
        assert names.find(spelling) == 'a/1.jpg', spelling
    # Named, though no image by its ending.
    assert names.find('a/2.data') == 'a/2.data'
    assert names.find(f'{tmp_path}/other/a/1.jpg') is None and names.find('../other/a/1.jpg') is None
    (tmp_path / 'outside.jpg').touch()
    assert names.find('../outside.jpg') is None and names.find('../root/a/1.jpg') == 'a/1.jpg'
    both = Names(['a/1.jpg', 'link/1.jpg'], root)
    assert both.find('link/1.jpg') == 'link/1.jpg'
    with pytest.raises(UserError, match=r'root has a/1\.jpg and link/1\.jpg, and '):
        both.find('one.jpg')
    folder = FolderNames(root)
    assert folder.find('a/1.jpg') == 'a/1.jpg' and folder.find('A/1.jpg') == 'a/1.jpg'


def test_a_file_of_that_very_name_is_no_other(tmp_path):
    """As when a list has only one of two."""
    for name in ('a.jpg', 'A.jpg'):
        (tmp_path / name).touch()
    if len(list(tmp_path.iterdir())) == 2:
        assert Names(['a.jpg'], tmp_path).find('A.jpg') == 'A.jpg'
    (tmp_path / 'A.jpg').unlink()
    assert Names(['a.jpg'], tmp_path).find('A.jpg') == 'a.jpg'


def test_a_disk_to_which_capitals_mean_nothing(tmp_path):
    (tmp_path / 'a.jpg').touch()
    (tmp_path / 'A.jpg').hardlink_to(tmp_path / 'a.jpg')
    assert Names(['a.jpg'], tmp_path).find('A.jpg') == 'a.jpg'


def test_what_no_path_is_is_no_crash(tmp_path):
    (tmp_path / '1.jpg').touch()
    names = Names(['1.jpg'], tmp_path)
    for name in ('a\0b', 300 * 'x', '/', '.', '..', '\udcff.jpg'):
        assert names.find(name) is None and FolderNames(tmp_path).find(name) is None


def test_tidy_is_tidy():
    assert tidy(tidy('.\\a//b\\..\\1.jpg ')) == tidy('.\\a//b\\..\\1.jpg ') == 'a/1.jpg'


def test_each_level_finds_what_comparing_all_names_finds():
    names = [''.join(letters) for letters in itertools.product('aA\u0301/\\\u017f ', repeat=3)]
    names += [f'{name}.png' for name in names[::7]]
    kept = Names((name, f'{i // 2}') for i, name in enumerate(names))
    for level, (spelled, asked) in enumerate(SPELLINGS):
        for name in names[::5]:
            # What is asked for is made tidy in any case.
            key = asked(tidy(name) if level else name)
            same = {f'{i // 2}' for i, other in enumerate(names) if spelled(other) == key}
            assert kept._alike(level, name) == same, (level, name)


def test_a_missing_name_among_many_takes_little_memory():
    names = [f'n{i % 100:04d}/n{i % 100:04d}_{i}.JPEG' for i in range(20_000)]
    tracemalloc.start()
    try:
        kept = Names(names)
        assert kept.find(names[7]) == names[7] and kept.find('gone.jpg') is None
        # Two tables, and one of them with strings of its own.
        assert tracemalloc.get_traced_memory()[1] < 300 * len(names)
    finally:
        tracemalloc.stop()
