import pytest

from mmsoco.doctor import checks, mending
from mmsoco.errors import UserError


@pytest.fixture
def commands(monkeypatch):
    """What mending runs, without running it."""
    ran = []

    def run(command, **how):
        ran.append(' '.join(map(str, command[1:])))
        return 'torch-2-cp311-cpu'

    monkeypatch.setattr(mending, '_run', run)
    return ran


WELL = checks.Finding('x', 'works')
ILL = checks.Finding('x', 'does not work', 'x')


def test_mending_installs_empty_packages_with_all_others(monkeypatch, commands):
    monkeypatch.setattr(mending, 'operators', lambda: WELL)
    monkeypatch.setattr(mending, 'selective_search', lambda: WELL)
    mending.mend()
    last = commands[-1]
    assert last.startswith('-m pip install -qq --no-build-isolation /') and 'onedl-mmcv==' in last
    assert '/opencv-python /' in last and '/opencv-python-headless numpy' in last
    assert not any('uninstall' in one or 'wheel -qq' in one for one in commands)


def test_mending_takes_opencvs_that_write_the_same_files_away(monkeypatch, commands):
    monkeypatch.setattr(mending, 'operators', lambda: WELL)
    monkeypatch.setattr(mending, 'selective_search', lambda: ILL)
    mending.mend(torch_index='cpu')
    assert '-m pip uninstall -qq -y torch torchvision' in commands
    assert any('--index-url https://download.pytorch.org/whl/cpu torch' in one for one in commands)
    assert '-m pip uninstall -qq -y opencv-python opencv-python-headless opencv-contrib-python' in commands[:-1]


def test_a_compiled_mmcv_is_kept(monkeypatch, commands, tmp_path):
    monkeypatch.setattr(mending, 'operators', lambda: ILL)
    monkeypatch.setattr(mending, 'selective_search', lambda: WELL)
    monkeypatch.setenv('MMSOCO_CACHE', str(tmp_path))
    kept = tmp_path / 'wheels/torch-2-cp311-cpu/onedl_mmcv-2.3.6-cp311-cp311-linux_x86_64.whl'
    kept.parent.mkdir(parents=True)
    kept.touch()
    mending.mend('onedl')
    assert f'-m pip install -qq --force-reinstall --no-deps {kept}' in commands
    assert not any('wheel -qq' in one for one in commands)


def test_a_step_that_fails_stops():
    with pytest.raises(UserError, match=r'this failed, as it says above: .*mmsoco doctor --fix'):
        mending._run(['false'])
