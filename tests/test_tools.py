"""The command-line tools, as a user calls them."""

import json
import os
import re
import runpy
import shutil
import subprocess
import sys

import pytest
import torch
from running import as_arguments

from mmsoco.engine.hooks.health import FIGURES
from mmsoco.images.lists import read_list


def call(root, capsys, monkeypatch, tool, *args):
    """Run a tool in this process; returns (exit status, stdout, stderr)."""
    monkeypatch.setattr(sys, 'argv', [tool, *map(str, args)])
    with pytest.raises(SystemExit) as stop:
        runpy.run_path(str(root / tool), run_name='__main__')
    captured = capsys.readouterr()
    return stop.value.code or 0, captured.out, captured.err


@pytest.fixture
def tool(root, capsys, monkeypatch):
    return lambda name, *args: call(root, capsys, monkeypatch, name, *args)


def assert_one_line(result, *words):
    status, _, err = result
    # Progress bars write to stderr, too, and end their line.
    lines = [line for line in err.splitlines() if line.startswith('error: ')]
    assert status == 2 and len(lines) == 1, err
    assert err.rstrip().endswith(lines[0])
    for word in words:
        assert word in lines[0]


def test_search_and_filter(tool, images, tmp_path):
    status, out, _ = tool('data_pipelines/selective_search.py', images, tmp_path / 'raw', '--jobs', 1)
    assert status == 0 and 'proposals of 8 images; 0 failed' in out
    status, out, _ = tool('data_pipelines/filter_proposals.py', tmp_path / 'raw', tmp_path / 'p.arrow', '--min-side', 8)
    assert status == 0 and 'p.arrow: 8 images' in out and 'kept by all rules' in out
    visualize = ('tools/visualize/proposals.py', tmp_path / 'figures', tmp_path / 'raw', tmp_path / 'p.arrow')
    status, out, _ = tool(*visualize)
    assert status == 0 and 'boxes an image: mean' in out
    figures = {path.name for path in (tmp_path / 'figures').iterdir()}
    assert figures == {'raw.png', 'p.png', 'distributions.png', 'distributions.json'}
    assert_one_line(tool(*visualize, tmp_path / 'other' / 'p.arrow'), 'two sources are called p')
    assert_one_line(tool(*visualize, tmp_path / 'distributions.arrow'), 'a source is called distributions')
    # An image called like the figure.
    (tmp_path / 'pictures').mkdir()
    shutil.copy(next(images.rglob('*.png')), tmp_path / 'pictures/raw.png')
    before = (tmp_path / 'pictures/raw.png').read_bytes()
    tool('data_pipelines/selective_search.py', tmp_path / 'pictures', tmp_path / 'other/raw', '--jobs', 1)
    result = tool('tools/visualize/proposals.py', tmp_path / 'pictures', tmp_path / 'other/raw')
    assert_one_line(result, 'raw.png is an image that is drawn')
    assert (tmp_path / 'pictures/raw.png').read_bytes() == before


def test_failures_decide_the_exit_status(tool, images, tmp_path):
    root = shutil.copytree(images, tmp_path / 'images')
    (root / 'first' / '0.png').write_text('broken')
    search = ('data_pipelines/selective_search.py', root, tmp_path / 'raw', '--method', 'grid', '--jobs', 1)
    status, out, _ = tool(*search)
    assert status == 0 and 'proposals of 7 images; 1 failed' in out
    assert 'first/0.png: not an image but text' in out
    status, out, _ = tool(*search, '--max-failures', 0)
    assert status == 1 and 'more than the 0 allowed' in out and '--retry' in out


def test_parts_and_methods_of_a_search(tool, images, tmp_path):
    search = ('data_pipelines/selective_search.py', images, tmp_path / 'raw', '--jobs', 1)
    status, out, _ = tool(*search, '--max-side', 64, '--shard', '1/4')
    assert status == 0 and 'proposals of 2 images' in out
    assert len(list((tmp_path / 'raw').glob('*.arrow'))) == 2
    assert_one_line(tool(*search, '--shard', '4/4'), 'no shard 4/4; shards count from 0/4 to 3/4')
    assert_one_line(tool(*search, '--method', 'grid', '--k', 100), '--k is not an option of --generator grid')
    assert_one_line(tool(*search, '--max-side', 64, '--address', 'tcp://a:1'), 'takes no address')
    status, out, _ = tool('data_pipelines/random_proposals.py', images, tmp_path / 'random', '--seed', 3, '--jobs', 1)
    assert status == 0
    from mmsoco.proposals.source import read_raw

    assert read_raw(tmp_path / 'random')[0]['generator'] == {'name': 'random_boxes', 'count': 200, 'seed': 3}


def test_converting_boxes_and_measuring_them(tool, images, proposal_file, tmp_path):
    convert = 'data_pipelines/convert_proposals.py'
    status, out, _ = tool(convert, proposal_file, tmp_path / 'b.json', '--format', 'coco')
    assert status == 0 and 'boxes of 8 images' in out
    assert_one_line(tool(convert, tmp_path / 'b.json', tmp_path / 'p.arrow'), 'name the folder of the images')
    assert_one_line(tool(convert, tmp_path / 'b.json', tmp_path / 'c.csv'), 'name one proposal file (.arrow)')
    assert_one_line(tool(convert, proposal_file, tmp_path / 'c.csv', '--top', 3), 'are for making a proposal file')
    status, out, _ = tool(convert, tmp_path / 'b.json', tmp_path / 'p.arrow', '--images', images, '--jobs', 1)
    assert status == 0 and 'of 8 images' in out
    assert 'boxes left out' not in out
    content = json.loads((tmp_path / 'b.json').read_text())
    content['annotations'] += [content['annotations'][0], {**content['annotations'][0], 'bbox': [1, 1, 5, 0]}]
    (tmp_path / 'c.json').write_text(json.dumps(content))
    status, out, _ = tool(convert, tmp_path / 'c.json', tmp_path / 'q.arrow', '--images', images, '--top', 500)
    assert status == 0 and '  1 boxes left out: without area: no width or no height\n' in out
    assert '  1 boxes left out: the same, in whole pixels, as another of their image\n' in out
    (tmp_path / 'b.txt').write_text('0 0.5 0.5 0.1 0.1\n')
    result = tool(convert, tmp_path / 'b.txt', tmp_path / 'x.arrow', '--images', images)
    assert_one_line(result, "YOLO's labels of one image", 'save it as COCO JSON')
    recall = 'tools/proposal_recall.py'
    status, out, _ = tool(recall, tmp_path / 'p.arrow', tmp_path / 'b.json', '--json', tmp_path / 'r.json')
    assert status == 0 and '8 images' in out
    assert json.loads((tmp_path / 'r.json').read_text())[0]['ABO'] == 1
    assert_one_line(tool(recall, tmp_path / 'p.arrow', tmp_path / 'gone.json'), 'gone.json does not exist')
    labels = tmp_path / 'b.json'
    assert_one_line(tool(recall, tmp_path / 'p.arrow', labels, '--json', labels), 'b.json is the file to read')


def test_search_in_a_missing_or_an_empty_folder(tool, tmp_path):
    search = 'data_pipelines/selective_search.py'
    assert_one_line(tool(search, tmp_path / 'gone', tmp_path / 'out'), 'gone is not a folder')
    (tmp_path / 'empty').mkdir()
    assert_one_line(tool(search, tmp_path / 'empty', tmp_path / 'out'), 'holds no images')
    assert not (tmp_path / 'out').exists()


def test_lists(tool, images, tmp_path):
    listed = tmp_path / 'list.txt'
    status, out, _ = tool('data_pipelines/imagenet_list.py', images, listed)
    assert status == 0 and 'ImageNet-1k: 8 images instead of 1281167' in out
    status, out, _ = tool('data_pipelines/imagenet_subset_list.py', images, listed, '--count', 3, '--seed', 1)
    assert status == 0 and '3 of 8 images, seed 1' in out and len(listed.read_text().splitlines()) == 4
    assert_one_line(tool('data_pipelines/imagenet_subset_list.py', images, tmp_path / 'x.txt'), 'there are only 8')
    assert_one_line(tool('data_pipelines/coco_list.py', images, tmp_path / 'x.txt'), 'train2017 is not a folder')
    assert not (tmp_path / 'x.txt').exists()

    status, out, _ = tool('data_pipelines/random_proposals.py', images, tmp_path / 'raw', '--list', listed, '--jobs', 1)
    assert status == 0 and 'proposals of 3 images' in out
    status, out, _ = tool('data_pipelines/filter_proposals.py', tmp_path / 'raw', tmp_path / 'p.arrow')
    assert status == 0 and 'p.arrow: 3 images' in out
    (tmp_path / 'empty.txt').write_text('')
    search = ('data_pipelines/selective_search.py', images, tmp_path / 'other', '--list', tmp_path / 'empty.txt')
    assert_one_line(tool(*search), 'empty.txt lists no images')


def test_coco_lists_both_folders(tool, images, tmp_path):
    for source, name in (('first', 'train2017'), ('second', 'unlabeled2017')):
        (tmp_path / 'coco').mkdir(exist_ok=True)
        (tmp_path / 'coco' / name).symlink_to(images / source)
    status, out, _ = tool('data_pipelines/coco_list.py', tmp_path / 'coco', tmp_path / 'list.txt')
    assert status == 0 and 'COCO train2017 + unlabeled2017: 8 images instead of 241690' in out
    names = (tmp_path / 'list.txt').read_text().splitlines()[1:]
    assert len(names) == 8 and {name.split('/')[0] for name in names} == {'train2017', 'unlabeled2017'}


def test_training_on_what_is_no_proposal_file(tool, recipe, tiny_options, tmp_path):
    (tmp_path / 'p.arrow').write_text('nothing')
    tiny_options['train_dataloader.dataset.proposal_file'] = tmp_path / 'p.arrow'
    result = tool(
        'tools/train.py', recipe, '--work-dir', tmp_path / 'out', '--cfg-options', *as_arguments(tiny_options)
    )
    assert_one_line(result, 'p.arrow is not a proposal file')
    assert not (tmp_path / 'out').exists()


def test_training_on_images_that_the_proposals_are_not_for(tool, recipe, tiny_options, images, tmp_path):
    (tmp_path / 'other').mkdir()
    tiny_options['train_dataloader.dataset.data_root'] = tmp_path / 'other'
    result = tool(
        'tools/train.py', recipe, '--work-dir', tmp_path / 'out', '--cfg-options', *as_arguments(tiny_options)
    )
    assert_one_line(result, str(images), str(tmp_path / 'other'))
    assert not (tmp_path / 'out').exists()


def test_training_with_a_batch_that_does_not_divide(tool, recipe, tmp_path):
    result = tool('tools/train.py', recipe, '--work-dir', tmp_path / 'out', '--accumulate', 3)
    assert_one_line(result, 'total_batch_size 2048 does not divide')
    assert not (tmp_path / 'out').exists()


def test_extracting(tool, tiny_model_cfg, tmp_path):
    from mmsoco.registry import MODELS

    extract = 'tools/extract_backbone.py'
    torch.save({'state_dict': MODELS.build(tiny_model_cfg).state_dict()}, tmp_path / 'soco.pth')
    status, out, _ = tool(extract, tmp_path / 'soco.pth', tmp_path / 'out.safetensors')
    assert status == 0 and 'taken' in out and 'SHA-256' in out and (tmp_path / 'out.safetensors').exists()
    assert_one_line(
        tool(extract, tmp_path / 'soco.pth', tmp_path / 'x.pth', '--target', 'keras'), "tool 'keras' is unknown"
    )
    torch.save({'state_dict': {'conv1.weight': torch.zeros(1)}}, tmp_path / 'other.pth')
    assert_one_line(tool(extract, tmp_path / 'other.pth', tmp_path / 'x.pth'), 'not a checkpoint of a SoCo pretraining')
    assert not (tmp_path / 'x.pth').exists()


def test_converting(tool, tiny_model_cfg, tmp_path):
    from mmsoco.registry import MODELS

    converter = 'tools/model_converters/soco_official.py'
    torch.save({'state_dict': MODELS.build(tiny_model_cfg).state_dict()}, tmp_path / 'soco.pth')
    status, out, _ = tool(converter, tmp_path / 'soco.pth', tmp_path / 'official.pth', '--reverse')
    assert status == 0 and 'roi_head.bbox_head.shared_convs' in out
    status, _, _ = tool(converter, tmp_path / 'official.pth', tmp_path / 'back.pth')
    assert status == 0
    assert_one_line(tool(converter, tmp_path / 'soco.pth', tmp_path / 'x.pth'), "should hold the weights under 'model'")
    assert_one_line(tool(converter, tmp_path / 'gone.pth', tmp_path / 'x.pth'), 'gone.pth does not exist')
    assert not (tmp_path / 'x.pth').exists()


def test_testing_a_missing_checkpoint(tool, root, tmp_path):
    config = root / 'configs/transfer/coco/mask-rcnn_r50fpn_soco_1x.py'
    assert_one_line(tool('tools/test.py', config, tmp_path / 'gone.pth'), 'gone.pth does not exist')


def shell(root, script, *args, **environment):
    return subprocess.run(
        [root / script, *args], env={**os.environ, **environment}, capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize(
    'script', ['tools/dist_train.sh', 'tools/dist_test.sh', 'tools/slurm_train.sh', 'tools/slurm_proposals.sh']
)
def test_scripts_say_how_to_call_them(root, script):
    done = shell(root, script)
    assert done.returncode == 2 and done.stderr.startswith('usage: ')


def fake_program(path):
    """A program that prints its arguments."""
    path.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    path.chmod(0o755)
    return path


def test_several_nodes_by_environment_variables(root, tmp_path):
    nodes = dict(NNODES='2', NODE_RANK='1', MASTER_ADDR='10.0.0.1', PORT='1234')
    program = str(fake_program(tmp_path / 'python'))
    lines = shell(root, 'tools/dist_test.sh', 'cfg.py', 'a.pth', '8', '--x', PYTHON=program, **nodes).stdout.split()
    assert lines[0] == str(root / 'tools/torchrun.py')
    flags = {'--nnodes=2', '--rdzv_endpoint=10.0.0.1:1234', '--rdzv_conf=is_host=0', '--nproc_per_node=8'}
    assert flags | {'--max_restarts=0'} <= set(lines)
    assert lines[-6:] == [str(root / 'tools/test.py'), 'cfg.py', 'a.pth', '--launcher', 'pytorch', '--x']


def test_on_one_node_any_port_will_do_and_lost_processes_start_again(root, tmp_path):
    program = str(fake_program(tmp_path / 'python'))
    lines = shell(root, 'tools/dist_train.sh', 'cfg.py', '2', PYTHON=program).stdout.split()
    assert {'--nnodes=1', '--rdzv_endpoint=127.0.0.1:0', '--rdzv_conf=is_host=1', '--max_restarts=3'} <= set(lines)


def test_slurm_starts_a_task_for_each_gpu(root, tmp_path):
    fake_program(tmp_path / 'srun')
    environment = dict(PATH=f'{tmp_path}:{os.environ["PATH"]}', GPUS='4', GPUS_PER_NODE='2', SRUN_ARGS='--a --b')
    lines = shell(root, 'tools/slurm_train.sh', 'gpu', 'job', 'cfg.py', 'out', '--resume', **environment).stdout.split()
    assert {
        '--partition=gpu',
        '--gres=gpu:2',
        '--ntasks=4',
        '--ntasks-per-node=2',
        '--signal=TERM@180',
        '--a',
        '--b',
    } <= set(lines)
    assert lines[-7:] == [
        str(root / 'tools/train.py'),
        'cfg.py',
        '--work-dir',
        'out',
        '--launcher',
        'slurm',
        '--resume',
    ]


@pytest.mark.parametrize(
    ('environment', 'tasks', 'per_node'),
    [({}, 8, 8), ({'GPUS': '2'}, 2, 2), ({'GPUS': '16'}, 16, 8), ({'GPUS': '16', 'GPUS_PER_NODE': '4'}, 16, 4)],
)
def test_slurm_takes_a_node_of_eight(root, tmp_path, environment, tasks, per_node):
    fake_program(tmp_path / 'srun')
    environment = {'PATH': f'{tmp_path}:{os.environ["PATH"]}', **environment}
    lines = shell(root, 'tools/slurm_train.sh', 'gpu', 'job', 'cfg.py', 'out', **environment).stdout.split()
    assert {f'--ntasks={tasks}', f'--ntasks-per-node={per_node}', f'--gres=gpu:{per_node}'} <= set(lines)


def test_slurm_arrays_share_a_search(root, images, tmp_path):
    program = str(fake_program(tmp_path / 'python'))
    array = dict(SLURM_ARRAY_TASK_ID='3', SLURM_ARRAY_TASK_COUNT='64', SLURM_CPUS_PER_TASK='8')
    # Sent from a folder that is no checkout; Slurm runs a copy from elsewhere.
    environment = dict(PYTHON=program, SLURM_SUBMIT_DIR=str(tmp_path), **array)
    script = shutil.copy(root / 'tools/slurm_proposals.sh', tmp_path / 'slurm_script')
    lines = shell(root, script, 'images', 'raw', '--max-side', '224', **environment).stdout.split()
    expected = '-m mmsoco.cli search images raw --jobs 8 --shard 3/64 --max-side 224'
    assert lines == expected.split()
    # Relative paths count from there.
    shutil.copytree(images, tmp_path / 'images')
    one = dict(PYTHON=sys.executable, SLURM_ARRAY_TASK_ID='0', SLURM_ARRAY_TASK_COUNT='1', SLURM_CPUS_PER_TASK='1')
    done = shell(root, script, 'images', 'raw', '--generator', 'grid', **{**environment, **one})
    assert 'proposals of 8 images' in done.stdout and (tmp_path / 'raw').is_dir(), done.stderr
    del environment['SLURM_ARRAY_TASK_ID']
    done = shell(root, script, 'images', 'raw', **environment)
    assert done.returncode != 0 and 'send it with sbatch --array=0-N' in done.stderr


def test_probe_prints_a_table_and_nothing_else(tool, learned, proposal_file, tmp_path):
    status, out, err = tool('tools/probe.py', learned / 'iter_160.pth', '--proposals', proposal_file, '--boxes', 60)
    assert status == 0 and re.match(r'\d+ boxes of \d+ held-out images, among \d+; in per cent\n', out) and err == ''
    assert [line.split()[-4] for line in out.splitlines() if 'own box nearest of all' in line] == ['backbone']
    status, out, err = tool('tools/probe.py', learned / 'iter_160.pth')
    assert status == 2 and err.startswith('error: no images to measure on') and err.count('\n') == 1


def launch(root, processes, recipe, work_dir, options, port):
    """tools/dist_train.sh itself, on processes that talk by gloo."""
    environment = {
        **os.environ,
        'PORT': str(port),
        'OMP_NUM_THREADS': '1',
        'CUDA_VISIBLE_DEVICES': '',
        'PYTHONPATH': str(root / 'tests/support'),
        'PYTHON': sys.executable,
    }
    command = [root / 'tools/dist_train.sh', recipe, str(processes), '--work-dir', work_dir]
    done = subprocess.run(
        [*map(str, command), '--cfg-options', *as_arguments(options)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize('norms', ['training', 'fixed'])
def test_two_processes(root, recipe, tiny_options, tmp_path, norms, free_port):
    """The 400-epoch recipe on two processes: equal on both and, with BN fixed, equal to one process."""
    tiny_options['default_hooks.logger.interval'] = 2
    if norms == 'fixed':
        tiny_options['default_hooks.norms.type'] = 'EvalNormsHook'
    log = launch(root, 2, recipe, tmp_path / 'two', tiny_options, free_port)
    assert 'Batch: 4 = 2 x 2' in log and 'No CUDA: processes talk by gloo' in log
    first, second = (json.loads((tmp_path / f'two/record_{rank}.json').read_text()) for rank in range(2))
    # Its own part of the batch, and its own dice.
    assert [first.pop(name) != second.pop(name) for name in ('losses', 'random_state')] == [True, True]
    assert first == second
    assert first['iter'] == 4
    if norms == 'fixed':
        log = launch(root, 1, recipe, tmp_path / 'one', tiny_options, free_port)
        assert 'Batch: 4 = 1 x 4' in log
        one, two = (
            torch.load(tmp_path / f'{name}/epoch_2.pth', weights_only=True)['state_dict'] for name in ('one', 'two')
        )
        for key in one:
            torch.testing.assert_close(one[key], two[key], rtol=1e-4, atol=1e-6, msg=key)
        # The figures are over all processes: the same number of boxes to choose from, and the same hits.
        one, two = (
            [json.loads(line) for line in next((tmp_path / name).glob('*/vis_data/scalars.json')).open()]
            for name in ('one', 'two')
        )
        figures = [name for name in one[0] if name.startswith(FIGURES)]
        assert len(figures) == 14
        for name in figures:
            assert [entry[name] for entry in two] == pytest.approx([entry[name] for entry in one], abs=1e-3), name
        assert two[0]['chance_top1_v1_v2'] == pytest.approx(1 / 16)


def test_what_a_search_passes_over_is_said(tool, images, tmp_path):
    shutil.copytree(images, tmp_path / 'in')
    (tmp_path / 'in' / 'notes.txt').touch()
    archive = shutil.make_archive(str(tmp_path / 'in' / 'more'), 'zip', images / 'first')
    for script in ('selective_search', 'random_proposals'):
        args = (tmp_path / 'in', archive, '--jobs', 1, '--generator', 'grid', tmp_path / script)
        status, out, _ = tool(f'data_pipelines/{script}.py', *args)
        assert status == 0 and 'proposals of 13 images; 0 failed' in out
        assert out.startswith('1 archive with 5 images\npassed over: 1 .txt\n')
    for script in ('imagenet_list', 'imagenet_subset_list'):
        count = ('--count', 3) if 'subset' in script else ()
        _, out, _ = tool(f'data_pipelines/{script}.py', tmp_path / 'in', tmp_path / f'{script}.txt', *count)
        assert out.startswith('1 archive with 5 images\npassed over: 1 .txt\n')


def test_near_duplicates(tool, images, tmp_path):
    shutil.copytree(images / 'first', tmp_path / 'in' / 'a')
    shutil.copytree(images / 'first', tmp_path / 'in' / 'b')
    (tmp_path / 'in' / 'z.jpg').write_bytes(b'no image')
    files = ('--out', tmp_path / 'list.txt', '--groups', tmp_path / 'groups.csv', '--jobs', 1)
    status, out, _ = tool('data_pipelines/near_duplicates.py', tmp_path / 'in', *files)
    assert status == 0 and '5 images are near-duplicates of one before them' in out
    assert '1 of 11 images cannot be read, and are left out; first z.jpg: ' in out
    kept = read_list(tmp_path / 'list.txt')
    assert kept.title == '5 of 11 images, without near-duplicates (distance 48)'
    assert kept.names == [f'a/{path.name}' for path in sorted((images / 'first').iterdir())]
    assert (tmp_path / 'groups.csv').read_text().splitlines()[1] == 'group,a/0.png,b/0.png,0'
    # What is measured on goes first.
    (tmp_path / 'val.txt').write_text('0.png\n1.jpg\n')
    against = ('--against', tmp_path / 'val.txt', images / 'first')
    status, out, _ = tool('data_pipelines/near_duplicates.py', tmp_path / 'in', *against, *files)
    assert '4 images are near one of 2 to be measured on, and left out' in out
    assert read_list(tmp_path / 'list.txt').names == ['a/2.png', 'a/3.jpg', 'a/4.png']
    # By other spellings, and not all of them there.
    (tmp_path / 'some.txt').write_text(f'{tmp_path}/in/a/1.jpg\nA/0.PNG\n')
    (tmp_path / 'val.json').write_text('{"images": [{"file_name": "./0.png"}, {"file_name": "x\\ny.png"}]}')
    args = ('--list', tmp_path / 'some.txt', '--against', tmp_path / 'val.json', images / 'first', *files)
    status, out, _ = tool('data_pipelines/near_duplicates.py', tmp_path / 'in', *args)
    assert status == 0 and f'1 of 2 images of {tmp_path / "val.json"} are not in {images / "first"}, ' in out
    assert 'first x\\ny.png\n' in out and read_list(tmp_path / 'list.txt').names == ['a/1.jpg']
    shutil.copy(images / 'first' / '0.png', tmp_path / 'in' / 'a' / 'new\nline.png')
    assert_one_line(tool('data_pipelines/near_duplicates.py', tmp_path / 'in', *files), 'there is a line break')
    grey = ('--channels', 1, '--jobs', 1)
    _, out, _ = tool('data_pipelines/near_duplicates.py', tmp_path / 'in' / 'a', *grey)
    assert '  0.png: new\\nline.png (0)\n' in out
    wrong = tool('data_pipelines/near_duplicates.py', tmp_path / 'in', '--distance', 200)
    assert_one_line(wrong, 'a distance of 200')
    assert_one_line(tool('data_pipelines/near_duplicates.py', tmp_path / 'in', '--against', *'abc'), 'one or two paths')
