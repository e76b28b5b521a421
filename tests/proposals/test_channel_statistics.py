import json
import sys

import numpy as np
import pytest
from channel_images import write_images
from scripts import load_script

from mmsoco.errors import UserError
from mmsoco.images.reading import Reading
from mmsoco.proposals.channel_statistics import measure_channels
from mmsoco.proposals.store import ProposalRow, write_proposals


def proposals(tmp_path, count, number=10):
    """A proposal file, its images' pixels, and their folder."""
    root = tmp_path / 'images'
    scenes = write_images(root, count, number)
    rows = [ProposalRow(name, 120, 96, boxes.astype(np.int32)) for name, (_, boxes) in scenes.items()]
    path = tmp_path / 'proposals.arrow'
    write_proposals(path, rows, {'kind': 'filtered', 'root': str(root), **Reading(count).describe()})
    return path, np.stack([pixels for pixels, _ in scenes.values()]).reshape(-1, count), root


@pytest.mark.parametrize(('count', 'jobs'), [(1, 1), (4, 1), (13, 1), (13, 2)])
def test_mean_and_deviation_are_those_of_all_pixels(count, jobs, tmp_path):
    path, pixels, _ = proposals(tmp_path, count)
    seen = []
    found = measure_channels(path, jobs=jobs, on_progress=lambda done, total: seen.append((done, total)))
    assert (found.images, found.pixels, found.unreadable) == (10, 10 * 96 * 120, {})
    assert seen[0] == (0, 10) and seen[-1] == (10, 10) and seen == sorted(seen)
    np.testing.assert_allclose(found.mean, pixels.mean(axis=0, dtype=np.float64), rtol=1e-13)
    np.testing.assert_allclose(found.std, pixels.std(axis=0, dtype=np.float64), rtol=1e-12)


def test_what_cannot_be_read_is_counted(tmp_path):
    path, pixels, root = proposals(tmp_path, 4)
    (root / '3.tif').write_bytes(b'nothing')
    (root / '9.tif').unlink()
    found = measure_channels(path)
    assert found.images == 8 and set(found.unreadable) == {'3.tif', '9.tif'}
    kept = pixels.reshape(10, -1, 4)[[0, 1, 2, 4, 5, 6, 7, 8]].reshape(-1, 4)
    np.testing.assert_allclose(found.mean, kept.mean(axis=0), rtol=1e-12)
    assert found.describe() | {'mean': 0, 'std': 0} == {
        'channels': 4, 'mean': 0, 'std': 0, 'images': 8, 'pixels': 8 * 96 * 120, 'unreadable': 2,
    }  # fmt: skip
    for file in root.iterdir():
        file.unlink()
    with pytest.raises(UserError, match=r'none of the 10 images of .* could be read; the first: 0.tif: No such file'):
        measure_channels(path)


def test_a_sample_is_always_the_same(tmp_path):
    path, _, _ = proposals(tmp_path, 1)
    few = measure_channels(path, sample=3)
    assert few.images == 3 and few.mean == measure_channels(path, sample=3).mean != measure_channels(path).mean
    assert measure_channels(path, sample=100).images == 10


def test_the_tool_prints_a_line_for_the_config(tmp_path, capsys, monkeypatch):
    path, pixels, root = proposals(tmp_path, 4, number=3)
    moved = root.rename(tmp_path / 'moved')
    script = load_script('data_pipelines/channel_statistics.py')
    arguments = [str(path), '--images', str(moved), '--jobs', '1', '--json', str(tmp_path / 'out.json')]
    monkeypatch.setattr(sys, 'argv', ['channel_statistics.py', *arguments])
    with pytest.raises(SystemExit) as stop:
        script.main()
    out = capsys.readouterr().out.splitlines()
    assert not stop.value.code and out[0] == f'3 images, {3 * 96 * 120} pixels; 0 could not be read'
    pasted = eval(out[-1].removeprefix('data_preprocessor='))
    np.testing.assert_allclose(pasted['mean'], pixels.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(pasted['std'], pixels.std(axis=0), rtol=1e-5)
    assert json.loads((tmp_path / 'out.json').read_text())['std'] == pytest.approx(pasted['std'], rel=1e-5)
    before = path.read_bytes()
    monkeypatch.setattr(sys, 'argv', ['channel_statistics.py', str(path), '--json', str(path)])
    with pytest.raises(SystemExit) as stop:
        script.main()
    assert stop.value.code == 2 and 'is the proposal file to read' in capsys.readouterr().err
    assert path.read_bytes() == before


def test_a_channel_that_never_changes(tmp_path, capsys, monkeypatch):
    root = tmp_path / 'images'
    root.mkdir()
    image = np.zeros((8, 9, 2), np.uint8)
    image[:4, :, 0] = 200
    np.save(root / 'a.npy', image)
    path = tmp_path / 'p.arrow'
    header = {'kind': 'filtered', 'root': str(root), **Reading(2).describe()}
    write_proposals(path, [ProposalRow('a.npy', 9, 8, np.array([[0, 0, 5, 5]], np.int32))], header)
    monkeypatch.setattr(sys, 'argv', ['channel_statistics.py', str(path), '--jobs', '1'])
    with pytest.raises(SystemExit):
        load_script('data_pipelines/channel_statistics.py').main()
    out = capsys.readouterr().out
    assert 'channel 2; std 1 stands there' in out and 'dict(mean=[100.0, 0.0], std=[100.0, 1.0])' in out
