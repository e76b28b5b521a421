import ast
import importlib.metadata
import os
import re
import subprocess
import sys
from pathlib import Path

import mmsoco
from mmsoco import resources

# Read by every interpreter that starts with its folder on PYTHONPATH, so by search workers too.
BLOCKER = """
import sys

BLOCKED = {'torch', 'torchvision', 'mmengine', 'mmcv', 'mmdet', 'mmpretrain'}


class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in BLOCKED:
            raise ImportError(f'{name} is blocked')


sys.meta_path.insert(0, Blocker())
"""

ROUND_TRIP = """
import importlib
import pkgutil
import sys
from pathlib import Path

import cv2
import numpy as np


def main(folder):
    try:
        import torch
    except ImportError as error:
        assert str(error) == 'torch is blocked', error
    else:
        raise AssertionError('the blocker does not block')

    for name in ('mmsoco.arguments', 'mmsoco.boxes', 'mmsoco.images', 'mmsoco.proposals'):
        package = importlib.import_module(name)
        print('imported', name)
        for module in pkgutil.walk_packages(getattr(package, '__path__', ()), f'{name}.'):
            importlib.import_module(module.name)
            print('imported', module.name)

    from mmsoco.proposals.filters import ProposalFilter, filter_folder
    from mmsoco.proposals.search.folder import search_folder
    from mmsoco.proposals.store import ProposalStore

    image = np.full((60, 80, 3), 200, np.uint8)
    image[15:45, 20:60] = (20, 90, 160)
    (folder / 'images').mkdir()
    assert cv2.imwrite(str(folder / 'images' / 'a.png'), image)
    search_folder(folder / 'images', folder / 'raw')
    filter_folder(folder / 'raw', folder / 'proposals.arrow', ProposalFilter(min_side=8))
    row = ProposalStore.open(folder / 'proposals.arrow')[0]
    print('row', row.file_name, row.width, row.height, len(row.boxes) > 0)


if __name__ == '__main__':
    main(Path(sys.argv[1]))
"""


def test_proposals_are_made_without_torch_and_openmmlab(tmp_path):
    (tmp_path / 'sitecustomize.py').write_text(BLOCKER)
    (tmp_path / 'round_trip.py').write_text(ROUND_TRIP)
    paths = [str(tmp_path), os.environ.get('PYTHONPATH', '')]
    run = subprocess.run(
        [sys.executable, tmp_path / 'round_trip.py', tmp_path],
        env={**os.environ, 'PYTHONPATH': os.pathsep.join(filter(None, paths))},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    lines = run.stdout.splitlines()
    folder = Path(mmsoco.__file__).parent
    rooms = [path for room in ('images', 'proposals') for path in (folder / room).rglob('*.py')]
    for path in (folder / 'arguments.py', folder / 'boxes.py', *rooms):
        name = '.'.join(path.relative_to(folder.parent).with_suffix('').parts).removesuffix('.__init__')
        assert f'imported {name}' in lines
    assert lines[-1] == 'row a.png 80 60 True'


def test_version_is_the_installed_one():
    assert mmsoco.__version__ == importlib.metadata.version('mmsoco')


#: Room -> those that it may import, beside itself; no two of them each other.
GROUND = {'errors', 'files', 'plain_pickle', 'arguments', 'bars', 'boxes', 'renamed', 'resources'}
OFFLINE = GROUND | {'images', 'proposals'}
ROOMS = {
    **{room: {'errors'} for room in GROUND},
    'registry': set(),
    'devices': GROUND,
    # What the command line needs before a tool is called; the doctor, when it looks at cards, the rest.
    'cli': GROUND,
    'configs': GROUND,
    'doctor': OFFLINE | {'devices'},
    'images': GROUND,
    'proposals': OFFLINE,
    'datasets': OFFLINE | {'registry'},
    'models': {'registry', 'errors'},
    'visualization': OFFLINE,
    'steps': GROUND | {'cli'},
    'pace': GROUND | {'steps'},
    'run_lock': GROUND,
    'pretrain': OFFLINE | {'steps', 'pace', 'devices', 'run_lock'},
    'report': OFFLINE | {'steps', 'pretrain', 'visualization', 'datasets', 'probe'},
    'checkpoints': GROUND | {'images'},
    'evaluation': GROUND | {'registry'},
    'keys': GROUND,
    'options': GROUND | {'keys'},
    'config': GROUND | {'registry', 'models', 'keys', 'options'},
    'probe': OFFLINE | {'registry', 'models', 'datasets', 'checkpoints', 'config', 'devices'},
    'engine': OFFLINE
    | {
        'registry',
        'models',
        'datasets',
        'checkpoints',
        'keys',
        'config',
        'devices',
        'probe',
        'evaluation',
        'visualization',
        'run_lock',
    },
    'compare': OFFLINE | {'datasets', 'checkpoints', 'config', 'options', 'engine', 'run_lock'},
}


def test_rooms_import_downwards():
    """As CONTRIBUTING draws them."""
    package = Path(mmsoco.__file__).parent
    upwards = []
    for path in package.glob('**/*.py'):
        room = path.relative_to(package).parts[0].removesuffix('.py')
        if room == '__init__':
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            names = [node.module] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                package_name, _, rest = (name or '').partition('.')
                if package_name == 'mmsoco' and rest and rest.split('.')[0] not in ROOMS[room] | {room}:
                    upwards.append(f'{path.relative_to(package)} imports {name}')
    assert not upwards


#: Names of files that only a checkout has where they say.
OF_A_CHECKOUT = re.compile(r'\b(docs|configs|data_pipelines|tools)/\w')


def sentences(tree):
    """Strings but docstrings, and those that are nothing but a path, which is looked up."""
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        is_text = isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs
        if is_text and not re.fullmatch(r'[\w/.-]+', node.value):
            yield node


def test_messages_name_nothing_that_a_wheel_has_not(root):
    """They name mmsoco's commands, mmsoco::CONFIG, and other files by mmsoco.resources.named."""
    paths = [*root.glob('mmsoco/**/*.py'), *root.glob('tools/*.py'), *root.glob('data_pipelines/*.py')]
    # Of commands as steps have them, which in_words() says; and of the quickstart, which needs a checkout.
    # Steps begin with scripts, which are said as they are typed here.
    commands = ('mmsoco/pretrain/plan.py', 'mmsoco/pace.py', 'tools/quickstart.py')
    found = [
        f'{path.relative_to(root)}, line {node.lineno}: {node.value}'
        for path in paths
        if not str(path.relative_to(root)).startswith(commands)
        for node in sentences(ast.parse(path.read_text()))
        if OF_A_CHECKOUT.search(node.value)
    ]
    assert not found, '\n'.join(found)


def test_what_comes_with_the_package_is_named_as_it_is_found(root, monkeypatch):
    assert resources.named('docs/transfer.md') == 'docs/transfer.md'
    monkeypatch.setattr(resources, 'IN_CHECKOUT', False)
    assert resources.named('docs/transfer.md') == str(root / 'docs/transfer.md')
