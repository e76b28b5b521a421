from argparse import ArgumentParser
from types import SimpleNamespace

import pytest

from mmsoco.config import add_config_arguments, read_config
from mmsoco.options import value_of

#: Names of files and folders that mmengine's reading makes something else of.
NAMES = [
    'My Pictures',
    ' a  b ',
    'a,b',
    '2023',
    '1e5',
    'nan',
    '1_000',
    'true',
    '(old)',
    '[x]',
    'a (old), new',
    'a)b',
    'a,b(c',
    './[x',
    "it's",
    "Bob'",
    'a=b',
    '/data/2023/a,b/(old)',
    'à\u202fb',
    './None',
    '-',
    's3://bucket/a b',
]
#: Options whose place takes text: by what is there, by an annotation, of a detector, of a dict without a type.
PLACES = {
    'soco/soco_r50fpn_8xb256_100e_in1k': [
        'load_from',
        'work_dir',
        'train_dataloader.dataset.data_root',
        'train_dataloader.dataset.proposal_file',
        'train_dataloader.dataset.held_out',
        'default_hooks.checkpoint.out_dir',
    ],
    'transfer/coco/mask-rcnn_r50fpn_soco_1x': [
        'train_dataloader.dataset.data_root',
        'train_dataloader.dataset.ann_file',
        'train_dataloader.dataset.data_prefix.img',
        'test_evaluator.ann_file',
        'test_evaluator.outfile_prefix',
        'load_from',
    ],
}


def typed(*options):
    parser = ArgumentParser()
    add_config_arguments(parser)
    return parser.parse_args(['c.py', '--cfg-options', *options]).cfg_options


def at(node, key):
    for name in key.split('.'):
        node = node[int(name) if name.isdigit() else name]
    return node


@pytest.fixture
def read(root):
    return lambda config, *options: read_config(root / f'configs/{config}.py', typed(*options))


@pytest.mark.parametrize('config', PLACES)
def test_paths_come_through_as_typed(read, config):
    for name in NAMES:
        # How many images are held out is a number, too.
        places = [place for place in PLACES[config] if not (place.endswith('held_out') and name in ('2023', '1_000'))]
        cfg = read(config, *(f'{place}={name}' for place in places))
        assert [at(cfg, place) for place in places] == [name] * len(places)


@pytest.mark.parametrize(
    ('option', 'expected'),
    [
        ('train_dataloader.dataset.held_out=2023', 2023),
        ('train_dataloader.dataset.held_out=./2023', './2023'),
        ('train_dataloader.dataset.held_out=None', None),
        ('train_dataloader.dataset.data_root=None', None),
        ('train_dataloader.dataset.proposal_file=None', 'None'),  # there is no none of it
        ('load_from=None', None),
        ('load_from="a,b"', 'a,b'),
        ("load_from='[x]'", '[x]'),
        ('load_from=', ''),
        ('resume=true', True),
        ('train_cfg.max_epochs=7', 7),
        ('optim_wrapper.optimizer.lr=1e-3', 1e-3),
        ('default_hooks.checkpoint.save_best=[a b,c]', ['a b', 'c']),
        ('default_hooks.checkpoint.save_best=auto', 'auto'),
        ('model.backbone.norm_cfg.type=GN', 'GN'),
        ('model.backbone.out_indices=0,1', [0, 1]),
        ('model.backbone.out_indices=(0, 1)', (0, 1)),
        ('train_dataloader.dataset.pipeline.multi_view.views.v1.crop=None', None),
        ('default_hooks.mine.type=ProbeHook', 'ProbeHook'),
    ],
)
def test_what_else_a_place_takes(read, option, expected):
    value = at(read('soco/soco_r50fpn_8xb256_100e_in1k', option), option.partition('=')[0])
    assert value == expected and type(value) is type(expected)


@pytest.mark.parametrize(
    ('option', 'expected'),
    [
        ('test_evaluator.metric=bbox,segm', ['bbox', 'segm']),
        ('test_evaluator.metric=bbox', 'bbox'),
        ('train_dataloader.dataset.metainfo.classes=[cat fish, 7]', ['cat fish', '7']),
        ('train_dataloader.dataset.indices=5', 5),
        ('train_dataloader.dataset.pipeline.0.backend_args=None', None),
        ('default_hooks.transfer.new=[neck.a., neck.b.]', ['neck.a.', 'neck.b.']),
        ('val_evaluator.proposal_nums=1,10,100', [1, 10, 100]),
    ],
)
def test_lists_of_a_detector(root, tmp_path, option, expected):
    (tmp_path / 'c.py').write_text(
        f"_base_ = '{root}/configs/transfer/coco/mask-rcnn_r50fpn_soco_1x.py'\n"
        "train_dataloader = dict(dataset=dict(metainfo=dict(classes=('cat', 'dog'))))\n"
    )
    value = at(read_config(tmp_path / 'c.py', typed(option)), option.partition('=')[0])
    assert value == expected and type(value) is type(expected)


def test_a_docstring_says_more_than_an_annotation(root, tmp_path):
    """mmengine annotates loss_scale as text, and says that it is a number, too."""
    (tmp_path / 'c.py').write_text(
        f"_base_ = '{root}/configs/transfer/coco/mask-rcnn_r50fpn_soco_1x.py'\n"
        "optim_wrapper = dict(type='AmpOptimWrapper', loss_scale='dynamic')\n"
    )
    assert read_config(tmp_path / 'c.py', typed('optim_wrapper.loss_scale=512.')).optim_wrapper.loss_scale == 512.0


def test_a_class_that_an_option_names_says_what_it_takes(read):
    cfg = read('soco/soco_r50fpn_8xb256_100e_in1k', 'default_hooks.mine.type=ProbeHook', 'default_hooks.mine.labels=1')
    assert cfg.default_hooks.mine.labels == '1'


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        ('a b', 'a b'),
        ('1, 2', [1, 2]),
        ('[(1,2),(a b, c)]', [(1, 2), ('a b', 'c')]),
        ('[]', []),
        ('a,', ['a']),
        ('"1"', 1),
        ('None', None),
        ('False', False),
    ],
)
def test_without_a_place_as_mmengine_reads_them(text, expected):
    assert value_of(text) == expected


def test_a_file_that_begins_with_a_bracket(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        typed('load_from=(a')
    (tmp_path / '(a').touch()
    assert typed('load_from=(a').typed == {'load_from': '(a'}


def test_nothing_is_said_of_registries(read, capfd):
    """mmengine warns of each registry that a scope has none of."""
    read('soco/soco_r50fpn_8xb256_100e_in1k', 'model.backbone.depth=18')
    assert 'registry' not in ''.join(capfd.readouterr())


def test_options_given_in_python_are_values(root):
    """As tests and scripts give them."""
    cfg = read_config(root / 'configs/soco/soco_r50fpn_8xb256_100e_in1k.py', {'load_from': SimpleNamespace})
    assert cfg.load_from is SimpleNamespace
