"""Promise 14, of data: no tool writes onto what it reads."""

import json
import os
import shutil
import sys

import pytest
from scripts import load_script

from mmsoco.images.lists import ImageList, write_list


def everything(folder):
    return {path: path.read_bytes() for path in folder.rglob('*') if path.is_file()}


@pytest.fixture
def data(images, proposal_file, tmp_path):
    """A folder of files to read, of every kind."""
    folder = tmp_path / 'data'
    shutil.copytree(images, folder / 'images')
    shutil.copy(proposal_file, folder / 'p.arrow')
    (folder / 'link.json').symlink_to(folder / 'p.arrow')
    names = sorted(path.relative_to(images).as_posix() for path in images.rglob('*.*g'))
    write_list(folder / 'list.arrow', ImageList('all', names))
    shutil.copy(folder / 'list.arrow', folder / 'failures.csv')
    entries = [{'id': i, 'file_name': name, 'width': 90, 'height': 90} for i, name in enumerate(names)]
    box = {'id': 1, 'image_id': 1, 'category_id': 1, 'bbox': [1, 1, 9, 9]}
    whole = dict(images=entries, annotations=[box], categories=[{'id': 1, 'name': 'thing'}])
    (folder / 'coco.json').write_text(json.dumps(whole))
    os.link(folder / 'coco.json', folder / 'coco.arrow')
    (folder / 'raw').mkdir()
    shutil.copy(proposal_file, folder / 'raw' / 'shard-00000-of-00001.arrow')
    (folder / 'figures').mkdir()
    shutil.copy(proposal_file, folder / 'figures' / 'p.png')
    shutil.copy(proposal_file, folder / 'figures' / 'distributions.json')
    shutil.copy(images / 'first' / '0.png', folder / 'first.png')
    return folder


CALLS = [
    'data_pipelines/filter_proposals.py p.arrow p.arrow',
    'data_pipelines/filter_proposals.py p.arrow link.json',
    'data_pipelines/filter_proposals.py raw raw/shard-00000-of-00001.arrow',
    'data_pipelines/filter_proposals.py p.arrow list.arrow --list list.arrow',
    'data_pipelines/convert_proposals.py coco.json coco.arrow --images images',
    'data_pipelines/convert_proposals.py figures/distributions.json coco.arrow --images images --annotations coco.json',
    'data_pipelines/convert_proposals.py coco.json list.arrow --images images --list list.arrow',
    'data_pipelines/convert_proposals.py p.arrow link.json --format coco',
    'data_pipelines/convert_proposals.py p.arrow coco.json --format coco --annotations coco.json',
    'data_pipelines/imagenet_list.py images images/first/1.jpg',
    'data_pipelines/imagenet_subset_list.py images images/first/1.jpg --count 2',
    'data_pipelines/coco_list.py images images/first/1.jpg',
    'data_pipelines/mini_coco.py coco.json coco.json --percent 50',
    'data_pipelines/selective_search.py images . --list failures.csv',
    'data_pipelines/random_proposals.py images . --list failures.csv',
    'tools/proposal_recall.py p.arrow coco.json --json p.arrow',
    'tools/proposal_recall.py p.arrow coco.json --json coco.json',
    'tools/proposal_recall.py raw coco.json --json raw/shard-00000-of-00001.arrow',
    'tools/visualize/proposals.py figures figures/p.png',
    'tools/visualize/proposals.py figures figures/distributions.json',
    'tools/visualize/proposals.py images/first named/0.arrow',
]


@pytest.mark.parametrize('call', CALLS)
def test_what_is_read_is_not_written(data, monkeypatch, capsys, call):
    (data / 'named').mkdir()
    shutil.copy(data / 'p.arrow', data / 'named' / '0.arrow')
    if 'coco_list' in call:
        for name in ('train2017', 'unlabeled2017'):
            shutil.copytree(data / 'images' / 'first', data / 'images' / name)
    monkeypatch.chdir(data)
    if 'named' in call:  # the source's images, one of which its figure would be called like
        call += f' --images {data / "images"}'
    tool, *arguments = call.split()
    before = everything(data)
    monkeypatch.setattr(sys, 'argv', [tool, *arguments])
    with pytest.raises(SystemExit) as exit_status:
        load_script(tool).main()
    words = capsys.readouterr().err.strip()
    assert exit_status.value.code == 2 and words.startswith('error: ') and '\n' not in words
    assert 'name another one to write' in words or 'is called like an image' in words
    assert everything(data) == before
