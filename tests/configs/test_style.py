"""Configs name what they change: hooks, steps of a pipeline and schedules are never reached by their position."""

import re
from pathlib import Path

import pytest

CONFIGS = Path(__file__).parents[2] / 'configs'
BY_POSITION = re.compile(r'(?:hooks|pipeline|param_scheduler)\s*\[')


@pytest.mark.parametrize(
    'path',
    sorted(
        [
            *CONFIGS.glob('transfer/**/*.py'),
            *CONFIGS.glob('channels/**/*.py'),
            *CONFIGS.glob('own/detectors/**/*.py'),
            *CONFIGS.glob('quickstart/faster-rcnn*.py'),
        ]
    ),
    ids=lambda path: path.relative_to(CONFIGS).as_posix(),
)
def test_nothing_by_position(path):
    lines = path.read_text().splitlines()
    assert not [line for line in lines if BY_POSITION.search(line)]


def test_what_it_finds():
    for line in ('hooks = _base_.custom_hooks[1:]', 'train_pipeline[2].scale = 1', 'param_scheduler[1].update(end=2)'):
        assert BY_POSITION.search(line)
    assert not BY_POSITION.search('param_scheduler = [warmup]')
