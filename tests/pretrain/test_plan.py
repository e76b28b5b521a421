import os
import shlex
from dataclasses import replace

import pytest
from plans import a_plan

from mmsoco.errors import UserError
from mmsoco.pretrain.asked import Asked
from mmsoco.pretrain.networks import FITTING, Network
from mmsoco.pretrain.plan import Plan, compare_line, mmdet_lines, steps_of
from mmsoco.pretrain.recipes import Recipe, Samples
from mmsoco.resources import config_path, shipped


def commands_of(plan, out):
    return [shlex.split(line) for step in steps_of(plan, out) for line in step.commands]


def test_a_plan_is_read_as_it_was_written(tmp_path):
    assert Plan.read(tmp_path) is None
    plan = a_plan()
    plan.write(tmp_path)
    assert Plan.read(tmp_path) == plan


def test_a_damaged_plan(tmp_path):
    """Or one of another version: nobody is told to delete what was trained."""
    (tmp_path / 'plan.json').write_text('{"asked": {}}')
    with pytest.raises(UserError, match=r'plan\.json cannot be read .*another folder by --out') as told:
        Plan.read(tmp_path)
    assert 'remove' not in str(told.value)


def test_commands_are_of_tools_that_there_are(tmp_path):
    """With what the plan says; paths with blanks stay one word."""
    commands = commands_of(a_plan(), tmp_path / 'a folder')
    assert all(shipped(words[0]).is_file() for words in commands)
    search, rules = commands[:2]
    assert search[1:3] == ['/data/some images', str(tmp_path / 'a folder/raw')]
    # Of two files with the same bytes, one.
    assert search[search.index('--list') + 1] == str(tmp_path / 'a folder/images.txt')
    assert search[search.index('--max-failures') + 1] == '10' and '200' in search
    assert rules[3:] == ['--size', '0.15', '0.6', '--min-side', '16']
    (train,) = [words for words in commands if words[0] == 'tools/train.py']
    assert train[1:] == [
        str(tmp_path / 'a folder/config.py'), '--work-dir', str(tmp_path / 'a folder/train'), '--resume', '--progress'
    ]  # fmt: skip
    assert sum(words[0] == 'tools/extract_backbone.py' for words in commands) == 2
    assert commands[-1] == ['tools/report.py', str(tmp_path / 'a folder')]


def test_images_are_always_those_that_were_looked_at(tmp_path):
    """Neither broken ones, nor some that came since, are searched; what was mended is searched again."""
    facts = replace(a_plan().facts, duplicates=[])
    search = commands_of(a_plan(facts=facts), tmp_path)[0]
    assert '--list' in search and '--retry' in search


@pytest.mark.parametrize(
    ('samples', 'most'),
    [(Samples(109, 98, 109), 10), (Samples(1000, 900, 1000), 100), (Samples(400, 320, 20), 10 * 20)],
)
def test_a_tenth_of_the_images_may_fail(samples, most, tmp_path):
    """And of tiles all of theirs."""
    search = commands_of(a_plan(samples=samples), tmp_path)[0]
    assert search[search.index('--max-failures') + 1] == str(most)


def test_a_search_that_failed_is_not_done(tmp_path):
    """It leaves its list of failures, and no boxes that are kept."""
    plan = a_plan()
    search = steps_of(plan, tmp_path)[0]
    (tmp_path / 'raw').mkdir()
    (tmp_path / 'raw/failures.csv').touch()
    assert not search.is_done
    (tmp_path / 'proposals.arrow').touch()
    assert search.is_done


def test_what_was_removed_after_it_served_is_not_made_again(tmp_path):
    plan = a_plan()
    search, draw, train, export, report = steps_of(plan, tmp_path)
    plan.checkpoint(tmp_path).parent.mkdir()
    plan.checkpoint(tmp_path).touch()
    assert search.is_done and train.is_done and not export.is_done
    export.result.parent.mkdir()
    export.result.touch()
    plan.checkpoint(tmp_path).unlink()
    assert train.is_done and not draw.is_done and not report.is_done
    report.result.touch()
    assert draw.is_done and report.is_done


def test_a_report_of_a_training_under_way_is_not_the_last_one(tmp_path):
    """Its user may look at it at any time, by mmsoco report."""
    _, draw, _, export, report = steps_of(a_plan(), tmp_path)
    report.result.touch()
    assert not report.is_done and not draw.is_done
    export.result.parent.mkdir()
    export.result.touch()
    os.utime(report.result, (1, 1))
    assert not report.is_done and not draw.is_done
    os.utime(report.result)
    assert report.is_done and draw.is_done


def test_a_search_whose_training_was_exported_is_not_made_again(tmp_path):
    search, _, train, export, _ = steps_of(a_plan(), tmp_path)
    export.result.parent.mkdir()
    export.result.touch()
    assert search.is_done and train.is_done


def test_wishes_reach_the_training(tmp_path):
    asked = Asked(init='we ights.pth', device='cuda')
    plan = a_plan(asked=asked, recipe=Recipe('10k-pictures_8gpus', 512, 2, 4), network=Network('mask-rcnn', 'resnet50'))
    (train,) = [words for words in commands_of(plan, tmp_path) if words[0] == 'tools/dist_train.sh']
    assert train[1:3] == [str(tmp_path / 'config.py'), '2']
    options = ' '.join(train[3:])
    assert '--init we ights.pth' in options and '--accumulate 4' in options and '--device cuda' in options


def test_other_filters_are_shown_unless_labels_chose(tmp_path):
    scripts = [' '.join(words) for words in commands_of(a_plan(), tmp_path)]
    assert all(any(f'sizes/{size}.arrow --size' in line for line in scripts) for size in ('small', 'medium', 'large'))
    scripts = [' '.join(words) for words in commands_of(a_plan(asked=Asked(objects='labels.json')), tmp_path)]
    assert not any('sizes/' in line for line in scripts)
    assert any(line.startswith('tools/proposal_recall.py') and 'labels.json' in line for line in scripts)


def test_lines_for_mmdet(tmp_path):
    lines = mmdet_lines(a_plan(), tmp_path)
    told = {}
    exec(lines, told)
    assert told['load_from'] == str(tmp_path / 'train/iter_400.pth')
    assert told['custom_hooks'] == [dict(type='mmsoco.TransferHook')]
    assert 'base_channels=32' in lines
    assert 'mmsoco::own/detectors/mask-rcnn_r18fpn_cpu.py' in lines
    assert 'base_channels' not in mmdet_lines(a_plan(network=Network('c4', 'resnet50')), tmp_path)


def test_the_detectors_that_fit_are_there(tmp_path):
    for (detector, backbone), name in FITTING.items():
        plan = a_plan(network=Network(detector, backbone))
        assert config_path(plan.network.fitting).stem == name
        assert plan.network.fitting in compare_line(plan, tmp_path)
    assert compare_line(a_plan(network=Network('fcos', 'resnet50')), tmp_path) is None
