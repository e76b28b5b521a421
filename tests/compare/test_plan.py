"""The runs of a comparison, their order and their parts."""

import pytest

from mmsoco.compare.plan import Comparison, Init, shard
from mmsoco.errors import UserError
from mmsoco.options import Options


@pytest.fixture
def weights(tmp_path):
    (tmp_path / 'a.pth').touch()
    return str(tmp_path / 'a.pth')


def comparison(weights, **settings):
    inits = (Init('scratch'), Init('soco', weights))
    return Comparison('detector.py', inits, 'out', **{'fractions': (1.0, 0.1), 'schedules': (3.0, 1.0), **settings})


def test_one_seed_of_all_comes_before_the_next(weights):
    names = [run.name for run in comparison(weights, seeds=2).runs()]
    assert names[:5] == [
        'scratch_0.1_1x_seed0',
        'soco_0.1_1x_seed0',
        'scratch_1_1x_seed0',
        'soco_1_1x_seed0',
        'scratch_0.1_1x_seed1',
    ]
    assert len(set(names)) == 16 and names[8] == 'scratch_0.1_3x_seed0'


def test_shards_are_disjoint_and_complete(weights):
    runs = comparison(weights).runs()
    parts = [shard(runs, i, 5) for i in range(5)]
    assert sorted(run.name for part in parts for run in part) == sorted(run.name for run in runs)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    with pytest.raises(UserError, match='no shard 5/5; shards count from 0/5 to 4/5'):
        shard(runs, 5, 5)


def test_settings_reach_another_process_as_they_are(weights):
    options = Options({'a.b': [1, 2]}, typed={'a.b': '[1,2]'})
    whole = comparison(weights, options=options, only={'soco': options}, amp='bf16', fit=True)
    again = Comparison.load(whole.save())
    assert again == whole and again.runs() == whole.runs() and again.only['soco'].typed == {'a.b': '[1,2]'}


@pytest.mark.parametrize('text', ['soco', 'scratch=a.pth', '=a.pth', 'so/co=a.pth', 'soco='])
def test_what_is_no_init(text):
    with pytest.raises(UserError, match='is neither scratch nor NAME=FILE'):
        Init.parse(text)


def test_inits():
    assert Init.parse('scratch') == Init('scratch', None) and Init.parse('a=b=c.pth') == Init('a', 'b=c.pth')


@pytest.mark.parametrize(
    ('settings', 'words'),
    [
        ({'fractions': (0.0,)}, 'is no part of a whole'),
        ({'schedules': (-1.0,)}, 'is no length'),
        ({'schedules': (float('nan'),)}, 'is no length'),
        ({'report': 'a/b'}, 'is no name of a file'),
        ({'only': {'soco': Options({'train_cfg.max_iters': 9})}}, 'length and evaluation are those of all arms'),
        ({'only': {'soco': Options({'train_dataloader.batch_size': 9})}}, 'those of all arms; use --cfg-options'),
        ({'baseline': 'imagenet'}, 'there is no --init imagenet; there are scratch, soco'),
        ({'only': {'other': Options()}}, 'there is no --init other'),
    ],
)
def test_settings_that_mean_nothing(weights, settings, words):
    with pytest.raises(UserError, match=words):
        comparison(weights, **settings)
    with pytest.raises(UserError, match=r'gone.pth: there is no such file'):
        Comparison('detector.py', (Init('scratch'), Init('a', 'gone.pth')), 'out')
    with pytest.raises(UserError, match='two or more --init'):
        Comparison('detector.py', (Init('scratch'), Init('scratch')), 'out')


def test_the_first_is_the_baseline_where_there_is_no_scratch(weights):
    assert comparison(weights).baseline == 'scratch'
    assert Comparison('d.py', (Init('a', weights), Init('b', weights)), 'out').baseline == 'a'
