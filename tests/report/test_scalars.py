import json

import pytest

from mmsoco.report.scalars import read_probe, read_scalars


def test_scalars_of_a_resumed_run_are_one_curve(tmp_path):
    for run, steps in (('20260101_000000', (1, 2, 3)), ('20260101_010000', (3, 4))):
        folder = tmp_path / run / 'vis_data'
        folder.mkdir(parents=True)
        lines = [json.dumps(dict(loss=step + (0.5 if run.endswith('10000') else 0), step=step)) for step in steps]
        (folder / 'scalars.json').write_text('\n'.join(lines))
    assert read_scalars(tmp_path)['loss'] == [
        (1, 1),
        (2, 2),
        (3, 3.5),
        (4, 4.5),
    ]


def test_a_probe_of_an_earlier_version(tmp_path):
    assert read_probe(tmp_path) is None
    (tmp_path / 'probe.json').write_text('{"random": {"head": {"own_picture": 0.5}}, "curve": []}')
    assert read_probe(tmp_path)['random']['head'] == {'own_image': 0.5}


def test_half_a_line_is_passed_over(tmp_path):
    (tmp_path / 'run/vis_data').mkdir(parents=True)
    (tmp_path / 'run/vis_data/scalars.json').write_text('{"loss": 2, "step": 1}\n{"loss": 3}\n7\n{"loss": 1, "st')
    assert read_scalars(tmp_path) == {'loss': [(1, 2)], 'step': [(1, 1)]}


@pytest.mark.parametrize('text', ['', '{"random": {"he', '[]', '{"random": {}}'])
def test_a_damaged_probe_is_none(tmp_path, text):
    (tmp_path / 'probe.json').write_text(text)
    assert read_probe(tmp_path) is None
