"""docs/tutorial.md is a notebook that runs, with few sheets and steps."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from scripts import load_script

jupytext = pytest.importorskip('jupytext')
sample_data = load_script('data_pipelines/sample_data.py')

#: What is made smaller: as the page has it, and here.
SMALLER = {
    'max_steps=300': 'max_steps=2',
    'iter_300.pth': 'iter_2.pth',
    'max_iters=200, val_interval=200': 'max_iters=2, val_interval=2',
    '--boxes 2000': '--boxes 40',
}
#: The page's first command, which fetches the digits.
FETCHING = 'data_pipelines/sample_data.py'


@pytest.fixture
def notebook(root):
    return jupytext.read(root / 'docs/tutorial.md')


@pytest.fixture
def checkout(root, tmp_path, monkeypatch):
    """A folder in which the commands find what a checkout has, and leave what they write."""
    for name in ('configs', 'data_pipelines', 'tools'):
        (tmp_path / name).symlink_to(root / name)
    (tmp_path / 'work_dirs/tutorial').mkdir(parents=True)
    environment = dict(
        PATH=f'{Path(sys.executable).parent}:{os.environ["PATH"]}',
        PYTHONPATH=str(root),
        PYTHONWARNINGS='ignore',
        OMP_NUM_THREADS='1',
        CUDA_VISIBLE_DEVICES='',
    )
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return tmp_path


def draw_sheets(folder):
    """Sheets as the sample data's, of bars in the place of digits."""
    digits = np.zeros((70, 8, 8), np.float32)
    for i, digit in enumerate(digits):
        digit[: 2 + i % 6, 2:6] = 1
    rng = np.random.default_rng(0)
    splits = dict(train=sample_data.Split(40, 8, slice(0, 50)), val=sample_data.Split(6, 6, slice(50, 70)))
    for name, split in splits.items():
        coco = sample_data.write_sheets(digits, np.arange(70) % 10, split, folder / name, rng)
        (folder / f'{name}.json').write_text(json.dumps(coco))


def test_its_pretraining_is_the_one_whose_figures_it_gives(root, notebook, checkout):
    (cell,) = [cell.source for cell in notebook.cells if 'cat > work_dirs/tutorial/pretrain.py' in cell.source]
    subprocess.run(['bash', '-ec', cell.removeprefix('%%bash\n')], cwd=checkout, check=True)
    mine = Config.fromfile(checkout / 'work_dirs/tutorial/pretrain.py').to_dict()
    quickstart = Config.fromfile(root / 'configs/quickstart/soco_r18fpn_digits.py').to_dict()
    for cfg in (mine, quickstart):
        for place in ('data_root', 'proposal_file'):
            cfg['train_dataloader']['dataset'].pop(place)
    assert [name for name in mine if name != 'as_it_is' and mine[name] != quickstart[name]] == []


@pytest.mark.slow
def test_it_runs(notebook, checkout):
    nbclient = pytest.importorskip('nbclient')
    code = [cell for cell in notebook.cells if cell.cell_type == 'code']
    assert len(code) >= 9 and FETCHING in code[0].source
    draw_sheets(checkout / 'work_dirs/tutorial/data')
    notebook.cells.remove(code[0])
    page = '\n'.join(cell.source for cell in code)
    assert all(words in page for words in SMALLER)
    for cell in code:
        for words, smaller in SMALLER.items():
            cell.source = cell.source.replace(words, smaller)
    nbclient.NotebookClient(notebook, timeout=900, resources={'metadata': {'path': str(checkout)}}).execute()
    printed = ''.join(output.get('text', '') for cell in code[1:] for output in cell.outputs)
    assert 'proposals of 40 images; 0 failed' in printed
    assert printed.count('proposals an image, 8 images') == 3
    assert 'own box nearest of all' in printed and 'coco/bbox_mAP' in printed
    work = checkout / 'work_dirs/tutorial'
    for left in ('figures/distributions.png', 'pretrain/probe.png', 'detector/iter_2.pth', 'detector.safetensors'):
        assert (work / left).is_file(), left
