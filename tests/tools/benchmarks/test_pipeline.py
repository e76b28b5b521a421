"""The benchmark of the loader's pipeline: what its ways make, and what it prints."""

import json
import sys
import time

import numpy as np
import pytest
from scripts import load_script


@pytest.fixture
def pipeline():
    return load_script('tools/benchmarks/pipeline.py')


def test_quick(pipeline, monkeypatch, capsys):
    made = {}

    def measure(makers, collates, count, epoch):
        for way in makers:
            made[way] = collates[way]([makers[way][epoch, index] for index in range(2)])
        return original(makers, collates, 1, epoch)

    original = pipeline.measure
    monkeypatch.setattr(pipeline, 'measure', measure)
    monkeypatch.setattr(sys, 'argv', ['pipeline.py', '--quick', '--json'])
    with pytest.raises(SystemExit) as end:
        pipeline.main()
    assert not end.value.code
    out = capsys.readouterr().out
    report = json.loads(out[out.index('{\n') :])
    assert report['images'] == 8 and report['rounds'] == 2
    for way in pipeline.OURS:
        ratio = report['ratio'][way]
        assert 0 < ratio['lowest'] <= ratio['median'] <= ratio['highest']
    # Each way's time is where its work is.
    without = {way: {part for part, ms in parts.items() if ms == 0} for way, parts in report['parts_ms'].items()}
    assert 'draw' in without['released'] and not without['loader'] & set(pipeline.PARTS)
    assert without['device'] == {'colour', 'blur'}
    printed = pipeline.in_words(report)
    assert '| times as fast | 1 |' in printed and all(f'| {part} |' in printed for part in pipeline.PARTS)
    # The same views, with colours or without.
    assert 'augment' not in made['loader'] and set(made['device']['augment']) == {'v1', 'v2', 'v3'}
    for name, shape in dict(v1=(2, 224, 224, 3), v2=(2, 224, 224, 3), v3=(2, 112, 112, 3)).items():
        assert made['loader']['inputs'][name].shape == made['device']['inputs'][name].shape == shape
        assert made['released']['inputs'][name].shape == (2, 3, *shape[1:3])


def test_all_ways_are_asked_for_the_same_images_by_turns(pipeline, monkeypatch):
    asked = []

    class Maker:
        def __init__(self, name):
            self.name = name

        def __getitem__(self, key):
            asked.append((self.name, *key))
            time.process_time.now += dict(a=2.0, b=0.5)[self.name]
            return key[1]

    class Clock:
        now = 0.0

        def __call__(self):
            return self.now

    monkeypatch.setattr(time, 'process_time', Clock())
    monkeypatch.setattr(pipeline, 'BATCH', 2)
    batches = []
    seconds = pipeline.measure({name: Maker(name) for name in 'ab'}, dict.fromkeys('ab', batches.append), 3, 7)
    turns = [*(('b', 7, i) for i in (0, 1)), *(('a', 7, i) for i in (0, 1)), ('a', 7, 2), ('b', 7, 2)]
    assert asked == turns
    assert batches == [[0, 1], [0, 1], [2], [2]]
    assert seconds == dict(a=6.0, b=1.5)


def test_a_part_within_another_counts_once(pipeline, monkeypatch):
    moments = iter([0.0, 0.0, 1.0, 3.0, 7.0, 7.0])
    monkeypatch.setattr(time, 'process_time', lambda: next(moments))
    on = pipeline.cpu_clock()
    with on.part('outer'), on.part('inner'):
        pass
    seconds = pipeline.seconds_of(on.take())
    assert (seconds['outer'], seconds['inner']) == (5.0, 2.0)


def test_the_reference_moves_boxes_as_its_pixels(pipeline):
    assert pipeline.in_view([30, 20, 70, 60], (20, 20, 120, 70), 200) == [20, 0, 100, 160]
    assert pipeline.in_view([0, 0, 500, 500], (20, 20, 120, 70), 200) == [0, 0, 200, 200]
    rng = np.random.default_rng(0)
    for _ in range(50):
        x1, y1, x2, y2 = pipeline.random_crop(rng, 400, 300)
        assert 0 <= x1 < x2 <= 400 and 0 <= y1 < y2 <= 300
        assert 0.49 < (x2 - x1) * (y2 - y1) / 120_000 <= 1
