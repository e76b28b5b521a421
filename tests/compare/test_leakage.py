"""Evaluation images in a pretraining's images."""

import json
import zipfile

import cv2
import numpy as np
import pytest
import torch

from mmsoco.compare.arms import config_of_arm
from mmsoco.compare.leakage import Images, _look, check_leakage, evaluation_images, find_overlap, pretraining_images
from mmsoco.compare.plan import Comparison, Init
from mmsoco.engine.launch import train
from mmsoco.errors import UserError


def listed(folder):
    return Images(folder, sorted(path.relative_to(folder).as_posix() for path in folder.rglob('*.*g')))


def test_copies_are_found_by_bytes_and_by_looks(images, tmp_path):
    names = listed(images).names
    evaluation = tmp_path / 'evaluation'
    evaluation.mkdir()
    # One as it is under another name, one compressed again and smaller, one that is new.
    (evaluation / 'same.jpg').write_bytes((images / names[0]).read_bytes())
    image = cv2.imread(str(images / names[1]))
    assert cv2.imwrite(
        str(evaluation / 'near.jpg'), cv2.resize(image, None, fx=0.8, fy=0.8), [cv2.IMWRITE_JPEG_QUALITY, 60]
    )
    turned = cv2.rotate(cv2.imread(str(images / names[2])), cv2.ROTATE_180)
    assert cv2.imwrite(str(evaluation / 'new.png'), turned)
    found = find_overlap(listed(evaluation), listed(images))
    assert found.same == {'same.jpg': names[0]} and found.near == {'near.jpg': names[1]}
    assert found.unread == 0 and found.looks


def test_what_cannot_be_read_is_counted(images, tmp_path):
    names = listed(images).names
    found = find_overlap(Images(images, [*names, 'lost.jpg']), Images(images, [*names, 'gone.jpg', 'far.jpg']))
    assert found.unread == 2 and found.read == (len(names), len(names))


def test_nothing_compared_is_not_checked(in_iterations, pretrained, tmp_path):
    comparison = Comparison(str(in_iterations), (Init('scratch'), Init('soco', str(pretrained))), tmp_path / 'out')
    cv2.imwrite(str(tmp_path / 'one.png'), np.zeros((8, 8, 3), np.uint8))
    one, none = Images(tmp_path, ['one.png']), Images(tmp_path, ['gone.png'])
    for sides, checked in (((one, one), True), ((one, none), False), ((none, one), False)):
        found = _look(comparison, *sides, jobs=1, keep=False)
        assert found['checked'] is checked and found['words'].startswith('not checked') is not checked
        assert '0 by looks, of 0 compared with 0 that are not flat' in found['words']


def test_an_archive_that_changed_is_looked_into_again(images, in_iterations, pretrained, tmp_path):
    comparison = Comparison(str(in_iterations), (Init('scratch'), Init('soco', str(pretrained))), tmp_path / 'out')
    first, second = listed(images).names[:2]

    def same(content):
        with zipfile.ZipFile(tmp_path / 'images.zip', 'w') as archive:
            archive.write(images / content, 'one.jpg')
        packed = Images(tmp_path, ['images.zip/one.jpg'])
        return _look(comparison, Images(images, [first]), packed, jobs=1, keep=True)['same']

    assert (same(second), same(first)) == (0, 1)


def test_what_a_pretraining_began_from_is_named(in_iterations, pretrained, data, tmp_path):
    content = torch.load(pretrained, weights_only=True)
    torch.save(content | {'meta': {'init': {'file': 'imagenet.pth'}}}, tmp_path / 'warm.pth')
    inits = (Init('scratch'), Init('soco', str(tmp_path / 'warm.pth')))
    comparison = Comparison(str(in_iterations), inits, tmp_path / 'out', fit=True)
    cfg, _ = config_of_arm(comparison, inits[0])
    folder = {'soco': str(data / 'train')}
    found = check_leakage(comparison, cfg, lambda line: None, pretrained_on=folder, allow=True, keep=False)
    assert 'imagenet.pth, from which it began, was pretrained on images not looked at' in found['soco']['words']


def test_images_of_a_pretraining(recipe, tiny_options, images, tmp_path):
    train(recipe, str(tmp_path / 'run'), amp=False, options={**tiny_options, 'train_cfg.max_epochs': 1})
    checkpoint = tmp_path / 'run/epoch_1.pth'
    assert sorted(pretraining_images(str(checkpoint)).names) == listed(images).names
    # Of what was held out, nothing was seen.
    content = torch.load(checkpoint, weights_only=True)
    assert 'proposal_file=' in content['meta']['cfg']
    content['meta']['cfg'] = content['meta']['cfg'].replace('proposal_file=', 'held_out=2, proposal_file=', 1)
    torch.save(content, tmp_path / 'held.pth')
    assert len(pretraining_images(str(tmp_path / 'held.pth')).names) == len(listed(images).names) // 2
    # The folder, where the proposals are gone.
    content = torch.load(checkpoint, weights_only=True)
    content['meta']['cfg'] = content['meta']['cfg'].replace('.arrow', '.gone')
    torch.save(content, tmp_path / 'moved.pth')
    found = pretraining_images(str(tmp_path / 'moved.pth'))
    assert sorted(found.names) == listed(images).names and found.root == images
    del content['meta']['cfg'], content['meta']['dataset_meta']
    torch.save(content, tmp_path / 'silent.pth')
    assert pretraining_images(str(tmp_path / 'silent.pth')) is None
    assert pretraining_images(str(tmp_path / 'silent.pth'), str(images)).names == listed(images).names
    torch.save({'conv1.weight': torch.zeros(1)}, tmp_path / 'foreign.pth')
    assert pretraining_images(str(tmp_path / 'foreign.pth')) is None


def test_leakage_is_refused_unless_told_and_recorded(in_iterations, pretrained, data, tmp_path):
    inits = (Init('scratch'), Init('soco', str(pretrained)))
    comparison = Comparison(str(in_iterations), inits, tmp_path / 'out', fit=True)
    cfg, _ = config_of_arm(comparison, inits[0])
    assert evaluation_images(cfg) == Images(data / 'val', ['0.png', '1.png', '2.png', '3.png'])
    said = []
    found = check_leakage(comparison, cfg, said.append)
    assert not found['soco']['checked'] and '--pretrained-on soco=FOLDER' in said[0] and 'scratch' not in found
    (tmp_path / 'seen').mkdir()
    (tmp_path / 'seen/copy.png').write_bytes((data / 'val/2.png').read_bytes())
    seen = {'pretrained_on': {'soco': str(tmp_path / 'seen')}}
    with pytest.raises(
        UserError, match=r'of 4 evaluation images are in the pretraining of soco, first .*--allow-leakage'
    ):
        check_leakage(comparison, cfg, said.append, **seen)
    found = check_leakage(comparison, cfg, said.append, allow=True, **seen)['soco']
    assert found['checked'] and found['same'] == 1 and found['same_images'] == {'2.png': 'copy.png'}
    (kept,) = (tmp_path / 'out/leakage').iterdir()
    assert json.loads(kept.read_text()) == found
    # What was found is not looked for again.
    kept.write_text(json.dumps(found | {'same': 0, 'near': 0}))
    assert check_leakage(comparison, cfg, said.append, **seen)['soco']['same'] == 0
    with pytest.raises(UserError, match='there is no --init other'):
        check_leakage(comparison, cfg, said.append, pretrained_on={'other': 'folder'})
