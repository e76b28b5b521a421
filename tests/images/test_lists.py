import pytest

from mmsoco.errors import UserError
from mmsoco.images.lists import ImageList, list_folders, locate, read_list, sample_names, write_list
from mmsoco.images.names import FolderNames, Names


def test_written_lists_are_read(tmp_path):
    images = ImageList('two images', ['b/2.jpg', 'a/1 with space.png'])
    write_list(tmp_path / 'list.txt', images)
    assert (tmp_path / 'list.txt').read_text() == '# two images\nb/2.jpg\na/1 with space.png\n'
    assert read_list(tmp_path / 'list.txt') == images


def test_a_list_by_hand(tmp_path):
    (tmp_path / 'mine.txt').write_text('a.jpg\n\n# not these\nb.jpg')
    assert read_list(tmp_path / 'mine.txt') == ImageList('mine.txt', ['a.jpg', 'b.jpg'])


@pytest.mark.parametrize(
    ('content', 'words'),
    [
        (b'# only a title\n\n', 'lists no images'),
        (b'', 'lists no images'),
        (b'a.jpg\nb.jpg\na.jpg\n', 'lists a.jpg twice'),
        (b'\xff\xd8\xff\xe0', 'not a text file'),
        (b'/data/../a.jpg\n', 'write paths relative to the folder'),
        (b'/\n', 'write paths relative to the folder'),
        (b'/a.jpg\n//a.jpg/\n/a.jpg\n', 'lists /a.jpg twice'),
        (b'a/../b.jpg\n', 'write paths relative to the folder'),
        (b'a.jpg\n./a.jpg\n', 'lists a.jpg twice'),
        (b'a\0b.jpg\n', 'write paths relative to the folder'),
        (b'[' + 300 * b'x' + b']\n', 'which is no name of a file'),
    ],
)
def test_what_is_no_list(tmp_path, content, words):
    (tmp_path / 'list.txt').write_bytes(content)
    with pytest.raises(UserError, match=words):
        read_list(tmp_path / 'list.txt')


def test_marks_and_line_ends_of_other_systems(tmp_path):
    (tmp_path / 'list.txt').write_bytes(b'\xef\xbb\xbf# title\r\na.jpg\r\n#1/b.jpg\r\n')
    assert read_list(tmp_path / 'list.txt') == ImageList('title', ['a.jpg', '#1/b.jpg'])
    (tmp_path / 'list.txt').write_bytes('# title\r\nä.jpg\r\n'.encode('utf-16'))
    assert read_list(tmp_path / 'list.txt') == ImageList('title', ['ä.jpg'])


def test_what_a_list_cannot_hold(tmp_path):
    for names, words in (
        ([], 'would list no images'),
        (['a\nb.jpg'], r"cannot list 'a\\nb.jpg', as there is a line break in the name; rename that file"),
        (['a.jpg\r'], 'there is a line break in the name'),
        (['\udcff.jpg'], 'which is not UTF-8; rename that file'),
        (['/a.jpg'], 'write paths relative to the folder'),
    ):
        with pytest.raises(UserError, match=words):
            write_list(tmp_path / 'list.txt', ImageList('t', names))
    with pytest.raises(UserError, match='is a folder'):
        write_list(tmp_path, ImageList('t', ['a.jpg']))
    with pytest.raises(UserError, match='not a text file'):
        read_list(tmp_path)
    assert not (tmp_path / 'list.txt').exists()
    odd = ImageList('t', [' lead.png', '#x/1.png', 'ä b.jpg', 'trail ', '# a.jpg', ' ', '\u3000', '\ufeffa.jpg'])
    odd.names.extend(f'{chr(code)}.jpg' for code in (1, 7, 9, 11, 12, 27, 0x85, 0xA0, 0x200B, 0x202E, 0x202F, 0x2028))
    odd.names.extend(['\ud7ff.jpg', '\U0010ffff.jpg', '\ue000.jpg', 'a\\b.jpg'])
    write_list(tmp_path / 'odd.txt', odd)
    assert read_list(tmp_path / 'odd.txt') == odd


def test_a_missing_list(tmp_path):
    with pytest.raises(UserError, match='does not exist'):
        read_list(tmp_path / 'list.txt')


def test_the_description_depends_on_the_names():
    one, other = (ImageList('t', names).describe() for names in (['a', 'b'], ['a', 'c']))
    assert one['pictures'] == 2 and one['sha256'] != other['sha256']


def test_a_sample_is_decided_by_its_seed_alone():
    names = [f'{i}.jpg' for i in range(100)]
    drawn = sample_names(names, 30, seed=0)
    assert drawn == sample_names(names[::-1], 30, seed=0) == sorted(drawn) and len(set(drawn)) == 30
    assert drawn != sample_names(names, 30, seed=1)
    # Every image has its chance.
    assert len({name for seed in range(30) for name in sample_names(names, 30, seed)}) == 100
    for count, words in ((101, 'there are only 100'), (0, 'one at least')):
        with pytest.raises(UserError, match=words):
            sample_names(names, count, seed=0)


def test_listing_folders(images):
    both = list_folders(images, 'mine', 8, ('first', 'second'))
    assert both.title == 'mine: 8 images'
    assert both.names == list_folders(images, 'all', 8).names
    assert list_folders(images, 'mine', 9, ('first',)).title == 'mine: 5 images instead of 9'
    with pytest.raises(UserError, match='third is not a folder'):
        list_folders(images, 'mine', 8, ('third',))


def test_a_list_finds_images_by_other_spellings():
    names = Names(['a/1.jpg', 'b/2\u202f.jpg'])
    images = ImageList('t', ['A\\1.jpg', 'b/2\u202f.jpg', 'gone.jpg'])
    assert locate(images, names) == ImageList('t', ['a/1.jpg', 'b/2\u202f.jpg', 'gone.jpg'])
    with pytest.raises(UserError, match=r"the list 't' has 'a/1\.jpg' and 'A/1\.jpg', which are one image"):
        locate(ImageList('t', ['a/1.jpg', 'A/1.jpg']), names)


def test_absolute_paths_below_the_folder_are_found(tmp_path):
    root = tmp_path / 'data'
    (root / 'a').mkdir(parents=True)
    (root / 'a/1.jpg').touch()
    (tmp_path / 'link').symlink_to('data')
    (tmp_path / 'list.txt').write_text(f'{root}/a/1.jpg\n{root}/gone.jpg\n{root}//A/2.jpg\n')
    images = read_list(tmp_path / 'list.txt')
    for names in (FolderNames(tmp_path / 'link'), FolderNames(root), Names(['a/1.jpg'], root)):
        # Those that are not there are missing images like any other.
        assert locate(images, names).names == ['a/1.jpg', 'gone.jpg', 'A/2.jpg']
    with pytest.raises(UserError, match=r"a/1\.jpg' and '/.*/a/1\.jpg', which are one image"):
        locate(ImageList('t', ['a/1.jpg', f'{root}/a/1.jpg']), FolderNames(root))
    for name in ('/etc/passwd', f'{root}2/a/1.jpg', f'{root}'):
        for names in (FolderNames(root), Names(['a/1.jpg'], root), Names(['a/1.jpg'])):
            with pytest.raises(UserError, match=r"the list 't' has '/.*', which is not below .*; write paths relative"):
                locate(ImageList('t', [name]), names)


def test_absolute_paths_are_found_without_listing_the_folder(tmp_path, monkeypatch):
    (tmp_path / '1.jpg').touch()
    monkeypatch.setattr('mmsoco.images.names.find_images', None)
    assert FolderNames(tmp_path).find(f'{tmp_path}/1.jpg') == '1.jpg'
