import pytest

from mmsoco.images.folders import OutsideLink, is_path_below, outside_links, targets_of


@pytest.mark.parametrize('name', ['', '/a', 'a/', 'a//b', '.', '..', './a', 'a/..', 'a/../b', 'a/./b', 'a\0b'])
def test_what_is_no_path_below_a_folder(name):
    assert not is_path_below(name)


@pytest.mark.parametrize('name', ['a', '.a', '..a', 'a..', '...', 'a/b c', 'a\\b', '-/é'])
def test_what_is_one(name):
    assert is_path_below(name)


def test_links_out_of_a_folder(tmp_path):
    root, out = tmp_path / 'root', tmp_path / 'out'
    for folder in (root / 'a' / 'b', root / 'c', out / 'd', tmp_path / 'out2'):
        folder.mkdir(parents=True)
    for link, target in {
        'a/x.jpg': out / 'x.jpg',
        'a/y.jpg': out / 'y.jpg',
        'a/z.jpg': root / 'c' / 'z.jpg',
        'a/b/out': out,
        'c/back': root / 'a',
        'c/loop': root / 'c' / 'loop',
        'neighbour': tmp_path / 'out2',
    }.items():
        (root / link).symlink_to(target)
    (out / 'd' / 'home').symlink_to(root)
    names = ['a/x.jpg', 'a/y.jpg', 'a/z.jpg', 'a/w.jpg', 'a/b/out/d/1.jpg', 'a/b/out/2.jpg', 'a/b/out/d/home/c/3.jpg']
    names += ['c/loop/4.jpg', 'gone/5.jpg', 'c/back/b/out/6.jpg', 'neighbour/7.jpg']
    assert outside_links(root, names) == [
        OutsideLink('a', str(out), 'a/x.jpg'),
        OutsideLink('a/b/out', str(out), 'a/b/out/d/1.jpg'),
        OutsideLink('c/back/b/out', str(out), 'c/back/b/out/6.jpg'),
        OutsideLink('neighbour', str(tmp_path / 'out2'), 'neighbour/7.jpg'),
    ]
    assert outside_links(root, names[2:4]) == []


def test_targets_are_the_same_in_whatever_order():
    links = [OutsideLink('b', '/y', '1'), OutsideLink('a', '/x', '2'), OutsideLink('b', '/x', '3')]
    assert targets_of(links) == targets_of(links[::-1]) == {'a': ['/x'], 'b': ['/x', '/y']}
    assert list(targets_of(links[::-1])) == ['a', 'b']
