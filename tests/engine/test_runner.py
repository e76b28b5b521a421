"""How the model of a run is distributed, in two gloo processes."""

import tempfile

import pytest
from mmengine.config import Config
from torch.nn.modules.batchnorm import _BatchNorm
from two_processes import in_two_processes

from mmsoco.engine.launch import prepare_processes
from mmsoco.engine.runner import Runner
from mmsoco.models.sync_bn import SyncBatchNorm


@pytest.mark.parametrize('way', ['mmsoco', None])
def test_bn_of_a_run(recipe, tiny_model_cfg, way, tmp_path, monkeypatch):
    monkeypatch.setenv('LOCAL_RANK', '0')
    for name in ('RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT'):
        monkeypatch.setenv(name, '0')

    def wrapped(rank):
        cfg = Config.fromfile(recipe)
        cfg.sync_bn = way
        notes = prepare_processes(cfg, 'pytorch')
        runner = Runner(
            model=tiny_model_cfg,
            work_dir=tempfile.mkdtemp(dir=tmp_path),
            launcher='pytorch',
            cfg=cfg,
            default_scope='mmsoco',
        )
        norms = {type(module) for module in runner.model.modules() if isinstance(module, _BatchNorm)}
        views = runner.model.gradient_as_bucket_view
        return norms == {SyncBatchNorm}, runner.cfg.sync_bn, views, notes

    words = 'BN is synchronised over processes' if way else 'BN is not synchronised over processes'
    notes = ['no CUDA: processes talk by gloo', words]
    assert in_two_processes(wrapped, tmp_path) == [(way is not None, way, True, notes)] * 2
