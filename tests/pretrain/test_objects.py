import json
import shutil
import zipfile

import cv2
import numpy as np
import pytest

from mmsoco.errors import UserError
from mmsoco.pretrain import objects
from mmsoco.pretrain.inspection import inspect_images
from mmsoco.pretrain.objects import Trial, filters_for, format_trials, rows_for, searches_for, try_settings
from mmsoco.pretrain.proposals import Search
from mmsoco.proposals.filters import ProposalFilter
from mmsoco.proposals.recall import Labels, Recall, measure_recall
from mmsoco.proposals.store import ProposalRow, write_proposals


@pytest.fixture(scope='module')
def dots(tmp_path_factory):
    """Six images of 128 px with eight discs of 12 px each, all labelled."""
    root = tmp_path_factory.mktemp('dots')
    images, annotations = [], []
    for i in range(6):
        rng = np.random.default_rng(i)
        image = np.full((128, 128, 3), (200, 190, 180), np.uint8)
        for j in range(8):
            x, y = 16 + 32 * (j % 4) + rng.integers(-4, 5), 32 + 60 * (j // 4) + rng.integers(-8, 9)
            cv2.circle(image, (int(x), int(y)), 6, (40, 60, 120), -1)
            box = [int(x) - 6, int(y) - 6, 13, 13]
            annotations.append(dict(id=len(annotations) + 1, image_id=i, category_id=1, bbox=box, area=169, iscrowd=0))
        image = np.clip(image + rng.normal(0, 3, image.shape), 0, 255).astype(np.uint8)
        cv2.imwrite(str(root / f'{i}.png'), image)
        images.append(dict(id=i, file_name=f'{i}.png', width=128, height=128))
    labels = dict(images=images, annotations=annotations, categories=[dict(id=1, name='dot')])
    (root / 'labels.json').write_text(json.dumps(labels))
    return root


def test_labels_choose_search_and_filter(dots):
    """The default filter keeps no disc: their size is 0.1 of the image's."""
    facts, sizes = inspect_images(dots)
    said = []
    trials = try_settings(
        Labels.read(dots / 'labels.json'), facts, sizes, on_progress=lambda *numbers: said.append(numbers)
    )
    total = 6 * len(searches_for(facts))
    assert said[0] == (0, total) and said[-1] == (total, total)
    assert len(trials) == len(searches_for(facts)) * len(filters_for(128))
    best = trials[0]
    assert best.recall > 0.9 and best.rules.size[0] <= 0.1
    assert [trial.score for trial in trials] == sorted((trial.score for trial in trials), reverse=True)
    papers = [trial for trial in trials if trial.rules.size == (0.3, 0.8)]
    assert papers and all(trial.recall == 0 for trial in papers)
    assert all(trial.score == 0 for trial in papers)


def test_labels_of_other_images(dots, tmp_path):
    facts, _ = inspect_images(dots)
    with pytest.raises(UserError, match='labels none of the images in'):
        try_settings(Labels.read(dots / 'labels.json'), facts, {f'other/{name}.x': (9, 9) for name in range(3)})


@pytest.mark.parametrize(
    ('boxes', 'words'),
    [
        ([], 'has no boxes of objects'),
        ([[0, 0, 2, 100]] * 6, 'none of 21 settings finds any object of .* IoU 0.5; see'),
    ],
)
def test_labels_that_choose_nothing(dots, tmp_path, boxes, words, monkeypatch):
    monkeypatch.setattr(objects, 'IMAGES', 1)
    monkeypatch.setattr(objects, 'searches_for', lambda facts: [Search(100, 20)])
    labels = json.loads((dots / 'labels.json').read_text())
    labels['annotations'] = [
        dict(id=i, image_id=i, category_id=1, bbox=box, area=1, iscrowd=0) for i, box in enumerate(boxes)
    ]
    (tmp_path / 'labels.json').write_text(json.dumps(labels))
    with pytest.raises(UserError, match=words):
        try_settings(Labels.read(tmp_path / 'labels.json'), *inspect_images(dots))


def test_labels_of_the_images_in_an_archive(dots, tmp_path, monkeypatch):
    """They name images as these were before they were packed."""
    monkeypatch.setattr(objects, 'IMAGES', 1)
    monkeypatch.setattr(objects, 'searches_for', lambda facts: [Search(100, 20)])
    with zipfile.ZipFile(tmp_path / 'dots.zip', 'w') as archive:
        for path in dots.glob('*.png'):
            archive.write(path, path.name)
    assert try_settings(Labels.read(dots / 'labels.json'), *inspect_images(tmp_path / 'dots.zip'))[0].recall > 0.5


def test_of_copies_the_labelled_one_is_kept(dots, tmp_path):
    """By its name alone its objects are known."""
    for name in ('0.png', '1.png'):
        for folder in ('all', 'labelled'):
            (tmp_path / folder).mkdir(exist_ok=True)
            shutil.copy(dots / name, tmp_path / folder / name)
    whole = json.loads((dots / 'labels.json').read_text())
    whole['images'] = [dict(image, file_name=f'labelled/{image["file_name"]}') for image in whole['images'][:2]]
    whole['annotations'] = [box for box in whole['annotations'] if box['image_id'] < 2]
    (tmp_path / 'labels.json').write_text(json.dumps(whole))
    assert inspect_images(tmp_path)[0].duplicates == ['labelled/0.png', 'labelled/1.png']
    labels = Labels.read(tmp_path / 'labels.json')
    facts, sizes = inspect_images(tmp_path, labels=labels)
    assert facts.duplicates == ['all/0.png', 'all/1.png'] and set(labels.by_image(sizes)) == set(sizes)


def test_few_images_of_many_tiles_are_searched():
    sizes = {f'{i}.png': (4000, 3000) for i in range(9)}
    tiles = objects._of_tiles(list(sizes), sizes, Search(100, 20, tile=512))
    each = Search(100, 20, tile=512).count_tiles((4000, 3000))
    assert len(tiles) == objects.TILES // each and set(tiles.values()) == {each}
    assert len(objects._of_tiles(['0.png'], {'0.png': (10**5, 10**5)}, Search(100, 20, tile=512))) == 1
    assert len(objects._of_tiles(list(sizes), sizes, Search(100, 20))) == 9


def test_the_score_asks_for_both():
    """A filter that keeps everything, and one that keeps one sure box of many."""

    def recall(overlaps, hits):
        return Recall(np.array(overlaps), np.ones(len(overlaps)), 1, 0, 1, hits=np.array(hits))

    everything, sure, good = (
        recall([0.9] * 50, [0.02]),
        recall([0.9] + [0.0] * 49, [1.0]),
        recall([0.9] * 30 + [0.0] * 20, [0.4]),
    )
    assert (everything.recall, sure.hit_rate) == (1, 1)
    assert good.score > max(everything.score, sure.score) and good.score == pytest.approx(2 * 0.6 * 0.4 / 1.0)
    assert recall([0.1], [0.0]).score == 0 and recall([], []).score == 0


def test_hits_are_drawn_image_by_image(tmp_path):
    """An image of many boxes counts as one of few, as a step draws four of each."""
    on, off = [10, 10, 40, 40], [60, 60, 90, 90]
    rows = [
        ProposalRow('a.png', 100, 100, np.array([on], np.int16)),
        ProposalRow('b.png', 100, 100, np.array([on, off, [50, 50, 99, 99], [70, 70, 99, 99]], np.int16)),
    ]
    write_proposals(tmp_path / 'p.arrow', rows, {'root': str(tmp_path)})
    labels = dict(
        images=[dict(id=i, file_name=f'{name}.png', width=100, height=100) for i, name in enumerate('ab')],
        annotations=[dict(id=i, image_id=i, category_id=1, bbox=[10, 10, 30, 30], area=900) for i in range(2)],
        categories=[dict(id=1, name='one')],
    )
    (tmp_path / 'labels.json').write_text(json.dumps(labels))
    seen = measure_recall(tmp_path / 'p.arrow', tmp_path / 'labels.json')
    assert (seen.recall, seen.hit_rate, seen.proposals) == (1, (1 + 0.25) / 2, 5)
    assert '62.5% of those drawn at random lie on an object' in str(seen)
    # The filter's fallback is compared, too: no box is so large.
    large = measure_recall(tmp_path / 'p.arrow', tmp_path / 'labels.json', ProposalFilter(size=(0.9, 1), min_side=60))
    assert (large.recall, large.proposals) == (0, 2)


def test_what_is_said_of_trials():
    trials = [
        Trial(Search(100, 20), ProposalFilter(size=(0.05, 0.3), min_side=8), 0.6, 0.3, 0.4, 21.5),
        *[Trial(Search(300, 100), ProposalFilter(), 0.037, 0.01, 0.016, 12.0)] * 9,
    ]
    search, rules = rows_for(trials)
    assert search.choice == '--k 100 --min-size 20' and rules.choice == '--size 0.05 0.3 --min-side 8'
    assert 'covers 60% of the objects' in rules.why and '30% of the boxes that are drawn' in rules.why
    *_, warning = rows_for(trials[1:])
    assert warning.about == 'warning' and warning.choice == '96% of the objects are missed'
    lines = format_trials(trials).splitlines()
    assert (
        lines[1].split()[-4:] == ['60.0', '30.0', '40.0', '21.5'] and 'and 2 more, down to a score of 1.6' in lines[9]
    )
