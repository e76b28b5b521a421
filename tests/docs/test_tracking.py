"""The configs of docs/tracking.md build; they log, offline, where the packages are installed."""

import re

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import VISUALIZERS

from mmsoco.config import read_config

ROOTS = {'wandb': 'WandbVisBackend', 'mlflow': 'MLflowVisBackend'}


@pytest.fixture(scope='module')
def page(root):
    return (root / 'docs/tracking.md').read_text()


@pytest.fixture
def config(page, tmp_path):
    """A function that reads the page's config that names a backend."""

    def config(backend):
        (block,) = [block for block in re.findall(r'```python\n(.*?)```', page, re.DOTALL) if backend in block]
        path = tmp_path / 'mine.py'
        path.write_text(block)
        return read_config(path)

    return config


def build(cfg, folder):
    return VISUALIZERS.build(dict(cfg.visualizer, name=str(folder), save_dir=str(folder)))


@pytest.mark.parametrize('backend', ROOTS.values())
def test_its_configs_build(config, tmp_path, backend):
    assert {'LocalVisBackend', backend} <= build(config(backend), tmp_path)._vis_backends.keys()


@pytest.mark.parametrize('backend', ROOTS.values())
def test_its_commands_name_what_a_recipe_has(root, page, tmp_path, backend):
    (command,) = re.findall(rf'--cfg-options (visualizer\.vis_backends\.1\.type={backend}(?: \\\n.*)?)', page)
    options = dict(option.split('=', 1) for option in command.replace('\\\n', ' ').split())
    options = {key: None if value == 'None' else value for key, value in options.items()}
    cfg = Config.fromfile(root / 'configs/own/100-pictures_cpu.py')
    cfg.merge_from_dict(options)
    assert backend in build(cfg, tmp_path)._vis_backends
    assert (cfg.default_hooks.matched_boxes is None) is (backend == 'MLflowVisBackend')


@pytest.mark.parametrize(('package', 'backend'), ROOTS.items())
def test_they_log(config, tmp_path, monkeypatch, package, backend):
    pytest.importorskip(package)
    monkeypatch.setenv('WANDB_MODE', 'offline')
    monkeypatch.setenv('MLFLOW_ALLOW_FILE_STORE', 'true')
    cfg = config(backend)
    cfg.work_dir = str(tmp_path)
    for part in cfg.visualizer.vis_backends:
        part.pop('tracking_uri', None)
    visualizer = build(cfg, tmp_path / 'logged')
    visualizer.add_config(cfg)
    visualizer.add_scalars({'learned_v1_v2': 0.5, 'loss': 2.0}, step=2)
    if cfg.default_hooks.matched_boxes is not None:
        visualizer.add_image('matched_boxes', np.zeros((20, 20, 3), np.uint8), step=2)
    visualizer.close()
    names = [path.name for path in (tmp_path / 'logged').rglob('*')]
    assert any(name in names for name in ('learned_v1_v2', 'wandb'))
