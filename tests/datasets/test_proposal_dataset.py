import random
import shutil
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from box_sets import distinct
from PIL import Image
from torch.utils.data import DataLoader, default_collate

from mmsoco.datasets import EpochSampler, ProposalDataset, TooManyBadImages, one_thread
from mmsoco.errors import UserError
from mmsoco.proposals.filters import ProposalFilter, filter_folder
from mmsoco.proposals.generators.selective_search import SearchParameters
from mmsoco.proposals.search.folder import search_folder
from mmsoco.proposals.store import ProposalRow, ProposalStore, write_proposals
from mmsoco.registry import TRANSFORMS

K = 3
SIZES = {'v1': 32, 'v2': 32, 'v3': 16}
COLOR = [
    dict(type='mmsoco.HorizontalFlip', prob=0.5),
    dict(type='mmsoco.ColorJitter'),
    dict(type='mmsoco.Grayscale'),
    dict(type='mmsoco.GaussianBlur', prob=0.5),
    dict(type='mmsoco.Solarize'),
]
VIEWS = [
    dict(name='v1', size=32, jitter=dict(type='mmsoco.BoxJitter'), augment=COLOR),
    dict(name='v2', source='v1', crop=dict(scale=(0.5, 1.0), ratio=(3 / 4, 4 / 3)), size=32, augment=COLOR),
    dict(name='v3', source='v2', size=16, augment=COLOR),
]
PIPELINE = [
    dict(type='mmsoco.LoadImage'),
    dict(type='mmsoco.MultiViewProposalPipeline', views=VIEWS, pairs=[('v1', 'v2'), ('v1', 'v3')], num_proposals=K),
    dict(type='mmsoco.PackViews'),
]
LOAD_ONLY = PIPELINE[:1]
BOX_SET = 'image+v2'


@pytest.fixture(autouse=True)
def opencv_without_threads():
    """Other tests' use of OpenCV's threads must not reach forked workers; test_workers.py has a test of its own."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    yield
    cv2.setNumThreads(before)


def flatten(sample):
    """The arrays of a sample or a batch, under their path of keys."""
    if isinstance(sample, dict):
        return {(key, *rest): value for key, part in sample.items() for rest, value in flatten(part).items()}
    return {(): np.asarray(sample)}


def assert_equal(a, b):
    a, b = flatten(a), flatten(b)
    assert a.keys() == b.keys()
    for key in a:
        assert a[key].dtype == b[key].dtype
        assert a[key].tobytes() == b[key].tobytes(), key


def differ(a, b):
    a, b = flatten(a), flatten(b)
    return any(a[key].tobytes() != b[key].tobytes() for key in a)


def batches(dataset, workers, count):
    sampler = EpochSampler(dataset, batch_size=3, seed=5)
    loader = DataLoader(
        dataset,
        batch_size=3,
        sampler=sampler,
        num_workers=workers,
        collate_fn=default_collate,
        worker_init_fn=one_thread,
        drop_last=True,
        timeout=60 if workers else 0,
    )
    return list(islice(iter(loader), count))


@pytest.mark.parametrize('workers', [1, 3])
def test_samples_do_not_depend_on_the_number_of_workers(proposal_file, workers):
    """Five batches of two steps an epoch: three epochs are met."""
    reference = batches(ProposalDataset(proposal_file, PIPELINE, seed=3), 0, 5)
    loaded = batches(ProposalDataset(proposal_file, PIPELINE, seed=3), workers, 5)
    assert len(reference) == len(loaded) == 5
    for a, b in zip(reference, loaded, strict=True):
        assert_equal(a, b)
    for name, size in SIZES.items():
        assert reference[0]['inputs'][name].shape == (3, size, size, 3)
        assert reference[0]['boxes'][name][BOX_SET].shape == (3, K, 4)


def test_the_same_sample_twice_and_from_another_process_order(proposal_file):
    dataset = ProposalDataset(proposal_file, PIPELINE)
    first = dataset[0, 4]
    for key in ((1, 2), (0, 0), (7, 4)):
        dataset[key]
    assert_equal(first, dataset[0, 4])


def test_a_sample_depends_on_epoch_index_and_seed(proposal_file):
    dataset = ProposalDataset(proposal_file, PIPELINE)
    sample = dataset[0, 4]
    assert differ(sample, dataset[1, 4])
    assert differ(sample, dataset[0, 5])
    assert differ(sample, ProposalDataset(proposal_file, PIPELINE, seed=1)[0, 4])


def test_global_generators_are_neither_used_nor_changed(proposal_file):
    dataset = ProposalDataset(proposal_file, PIPELINE)
    samples = []
    for seed in (0, 1):
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        cv2.setRNGSeed(seed)
        states = random.getstate(), np.random.get_state()[1].tobytes(), torch.get_rng_state()
        samples.append(dataset[2, 1])
        assert random.getstate() == states[0]
        assert np.random.get_state()[1].tobytes() == states[1]
        assert torch.equal(torch.get_rng_state(), states[2])
    assert_equal(*samples)


def test_the_pipeline_gets_what_the_file_holds(proposal_file, images):
    dataset = ProposalDataset(proposal_file, LOAD_ONLY)
    store = ProposalStore.open(proposal_file)
    assert len(dataset) == len(store) == 8
    sample = dataset[0, 6]
    assert sample['img_path'] == str(images / store[6].file_name)
    assert sample['proposals'].dtype == np.float32
    np.testing.assert_array_equal(sample['proposals'], store[6].boxes)
    assert sample['img'].shape == (store[6].height, store[6].width, 3)


def test_metainfo_names_the_proposals(proposal_file, images):
    metainfo = ProposalDataset(proposal_file, LOAD_ONLY).metainfo
    assert metainfo['root'] == str(images.resolve())
    assert metainfo['count'] == 8
    assert metainfo['filter']['min_side'] == 8
    assert metainfo['generator']['name'] == 'selective_search'
    assert metainfo['checksum'] == ProposalStore.open(proposal_file).header['checksum']


@pytest.fixture
def gaps(images, proposal_file, tmp_path):
    """A copy of the images, four of them unusable, and the indices of these."""
    root = tmp_path / 'gaps'
    shutil.copytree(images, root)
    names = [row.file_name for row in ProposalStore.open(proposal_file)]
    (root / names[1]).write_text('not an image')
    (root / names[3]).unlink()
    image = cv2.imread(str(root / names[4]))
    assert cv2.imwrite(str(root / names[4]), image[:, :-1])
    (root / names[6]).write_bytes(b'')
    return root, (1, 3, 4, 6)


def test_unusable_images_are_replaced_by_others_deterministically(proposal_file, gaps):
    root, bad = gaps
    dataset, again = (ProposalDataset(proposal_file, LOAD_ONLY, root, min_bad=1000, checked=0) for _ in range(2))
    used = {index: set() for index in bad}
    for epoch in range(5):
        for index in bad:
            sample = dataset[epoch, index]
            names = [str(root / row.file_name) for row in dataset.store]
            replacement = names.index(sample['img_path'])
            assert replacement not in bad
            np.testing.assert_array_equal(sample['proposals'], dataset.store[replacement].boxes)
            # In another order, after another number of bad images: the same.
            again[epoch, bad[0]]
            assert again[epoch, index]['img_path'] == sample['img_path']
            used[index].add(replacement)
    # Drawn anew in each epoch, not always the same neighbour.
    assert all(len(replacements) > 1 for replacements in used.values())
    for index in set(range(8)) - set(bad):
        assert dataset[0, index]['img_path'].endswith(dataset.store[index].file_name)


def test_replacements_are_the_same_for_any_number_of_workers(proposal_file, gaps):
    root, _ = gaps
    loaded = [batches(ProposalDataset(proposal_file, PIPELINE, root, min_bad=1000, checked=0), n, 4) for n in (0, 2)]
    for a, b in zip(*loaded, strict=True):
        assert_equal(a, b)


def test_more_unusable_images_than_the_bound_stop_the_run(proposal_file, gaps):
    root, bad = gaps
    dataset = ProposalDataset(proposal_file, LOAD_ONLY, root, min_bad=0, max_bad=0, checked=0)
    dataset[0, 0]
    with pytest.raises(TooManyBadImages, match=r'1 images of epoch 1 could not be read, more than the 0 allowed'):
        dataset[0, bad[1]]
    with pytest.raises(TooManyBadImages, match=str(root)):
        dataset[1, bad[0]]


def test_each_image_counts_once_an_epoch(proposal_file, gaps):
    root, bad = gaps
    dataset = ProposalDataset(proposal_file, LOAD_ONLY, root, min_bad=len(bad), max_bad=0, checked=0)
    # Also as a replacement, again and again, and by workers that are late.
    for epoch in (0, 1, 0, 2, 1):
        for index in (*range(8), *range(8)):
            dataset[epoch, index]
    dataset.max_bad = len(bad) - 1
    with pytest.raises(TooManyBadImages, match=r'4 images of epoch 4 could not be read, more than the 3 allowed'):
        for index in range(8):
            dataset[3, index]


def test_no_image_left_to_take_the_place(proposal_file, tmp_path):
    """Of few images all may be gone before there are more than are allowed."""
    store = ProposalStore.open(proposal_file)
    for i in range(len(store)):
        (tmp_path / store[i].file_name).parent.mkdir(exist_ok=True)
        (tmp_path / store[i].file_name).write_bytes(b'no image')
    dataset = ProposalDataset(proposal_file, LOAD_ONLY, tmp_path, min_bad=10, checked=0)
    with pytest.raises(TooManyBadImages, match=f'none of the {len(store)} images could be read'):
        dataset[0, 0]


def test_the_bound_is_a_fraction_but_never_under_its_minimum(proposal_file):
    def bound(**arguments):
        return ProposalDataset(proposal_file, LOAD_ONLY, **arguments).max_bad

    assert bound() == 10
    assert bound(max_bad=0.5, min_bad=1) == 4
    assert bound(max_bad=0.01, min_bad=3) == 3


@pytest.mark.parametrize('workers', [1, 3])
def test_the_bound_holds_over_all_workers_and_names_its_error(proposal_file, gaps, workers):
    root, bad = gaps

    def run(bound):
        dataset = ProposalDataset(proposal_file, PIPELINE, root, min_bad=bound, max_bad=0, checked=0)
        keys = [(0, i) for i in range(8)]
        loader = iter(DataLoader(dataset, 2, sampler=keys, num_workers=workers, worker_init_fn=one_thread, timeout=60))
        try:
            return list(loader)
        finally:
            loader._shutdown_workers()  # left to the garbage collector after an error, it waits for seconds

    assert len(run(len(bad))) == 4
    with pytest.raises(TooManyBadImages, match=rf'more than the {len(bad) - 1} allowed'):
        run(len(bad) - 1)


def test_a_image_without_proposals_gives_the_whole_view(images, proposal_file, tmp_path):
    rows = [row._replace(boxes=np.empty((0, 4), int)) for row in ProposalStore.open(proposal_file)]
    write_proposals(tmp_path / 'empty.arrow', rows, dict(root=str(images)))
    views = [dict(view, jitter=None) for view in VIEWS]
    pipeline = [PIPELINE[0], dict(PIPELINE[1], views=views), PIPELINE[2]]
    sample = ProposalDataset(tmp_path / 'empty.arrow', pipeline)[0, 2]
    for name, size in SIZES.items():
        assert sample['boxes'][name][BOX_SET].tolist() == [[0, 0, size, size]] * K
        assert sample['inputs'][name].shape == (size, size, 3)
    assert distinct(sample) == {BOX_SET: 0}


def test_a_missing_proposal_file_is_refused(tmp_path):
    with pytest.raises(UserError, match=r'gone\.arrow does not exist'):
        ProposalDataset(tmp_path / 'gone.arrow', PIPELINE)


def test_another_folder_of_images_is_refused(proposal_file, images, tmp_path):
    (tmp_path / 'other').mkdir()
    with pytest.raises(UserError, match='was made for') as error:
        ProposalDataset(proposal_file, PIPELINE, tmp_path / 'other')
    assert str(tmp_path / 'other') in str(error.value) and str(images) in str(error.value)


def test_the_data_root_overrides_the_files(images, proposal_file, tmp_path):
    shutil.copytree(images, tmp_path / 'moved')
    moved = ProposalDataset(proposal_file, PIPELINE, tmp_path / 'moved')
    assert_equal(moved[0, 0], ProposalDataset(proposal_file, PIPELINE)[0, 0])


def test_unusual_images_give_normal_samples(tmp_path):
    root = tmp_path / 'images'
    root.mkdir()
    rgb = cv2.resize(np.random.default_rng(0).integers(0, 256, (4, 5, 3), dtype=np.uint8), (90, 70))
    Image.fromarray(rgb[..., 0]).save(root / 'grey.png')
    Image.fromarray(rgb).convert('CMYK').save(root / 'cmyk.jpg')
    Image.fromarray(rgb).convert('RGBA').save(root / 'rgba.png')
    Image.fromarray(rgb[:1, :1]).save(root / 'pixel.png')
    Image.fromarray(rgb[:1]).save(root / 'row.png')
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(rgb).save(root / 'turned.jpg', exif=exif)
    assert search_folder(root, tmp_path / 'raw').searched == 6
    filter_folder(tmp_path / 'raw', tmp_path / 'p.arrow', ProposalFilter(min_side=8))
    dataset = ProposalDataset(tmp_path / 'p.arrow', PIPELINE, min_bad=0, max_bad=0)
    assert len(dataset) == 6
    for index in range(6):
        for epoch in range(3):
            sample = dataset[epoch, index]
            assert 1 <= distinct(sample)[BOX_SET] <= K
            for name, size in SIZES.items():
                view, boxes = sample['inputs'][name], sample['boxes'][name][BOX_SET]
                assert view.shape == (size, size, 3) and view.dtype == np.uint8
                assert boxes.shape == (K, 4) and boxes.dtype == np.float32
                assert (boxes >= 0).all() and (boxes <= size).all()
                assert (boxes[:, 2:] > boxes[:, :2]).all()


def test_default_collate_stacks_samples(proposal_file):
    dataset = ProposalDataset(proposal_file, PIPELINE)
    batch = default_collate([dataset[0, 0], dataset[0, 1]])
    assert batch['inputs']['v3'].shape == (2, 16, 16, 3) and batch['inputs']['v3'].dtype == torch.uint8
    assert batch['boxes']['v1'][BOX_SET].dtype == torch.float32
    assert batch['matches'][BOX_SET]['v1', 'v2'].shape == (2,)


def test_a_image_of_another_size_is_counted_with_both_sizes(proposal_file, images, tmp_path):
    rows = [ProposalRow(r.file_name, r.width + 1, r.height, r.boxes) for r in ProposalStore.open(proposal_file)]
    write_proposals(tmp_path / 'p.arrow', rows, dict(root=str(images)))
    dataset = ProposalDataset(tmp_path / 'p.arrow', PIPELINE, min_bad=0, max_bad=0, checked=0)
    sizes = f'is {rows[0].width - 1}x{rows[0].height}, but its proposals are for {rows[0].width}x{rows[0].height}'
    with pytest.raises(TooManyBadImages, match=sizes):
        dataset[0, 0]


def test_images_of_other_sizes_and_altered_files_are_refused_at_the_start(proposal_file, images, tmp_path):
    rows = [ProposalRow(r.file_name, r.width + 1, r.height, r.boxes) for r in ProposalStore.open(proposal_file)]
    write_proposals(tmp_path / 'p.arrow', rows, dict(root=str(images)))
    with pytest.raises(UserError, match='give the images the file was made for, or make it for these'):
        ProposalDataset(tmp_path / 'p.arrow', PIPELINE)
    content = Path(proposal_file).read_bytes()
    (tmp_path / 'p.arrow').write_bytes(content.replace(b'first/0.png', b'first/0.pnh', 1))
    with pytest.raises(UserError, match='does not match its checksum'):
        ProposalDataset(tmp_path / 'p.arrow', PIPELINE)


@pytest.fixture
def parts(proposal_file, images):
    """Names of the images of both parts."""

    def parts(held_out):
        return [
            [data[0, i]['img_path'].removeprefix(f'{images}/') for i in range(len(data))]
            for data in (
                ProposalDataset(proposal_file, LOAD_ONLY, images, held_out=held_out, part=part)
                for part in ProposalDataset.PARTS
            )
        ]

    return parts


def test_every_nth_image_is_held_out(parts, proposal_file):
    training, held_out = parts(3)
    names = [row.file_name for row in ProposalStore.open(proposal_file)]
    assert held_out == names[::3] and sorted(training + held_out) == sorted(names)
    assert not set(training) & set(held_out)


def test_the_images_of_a_list_are_held_out(parts, images, tmp_path, proposal_file):
    names = [row.file_name for row in ProposalStore.open(proposal_file)]
    (tmp_path / 'list.txt').write_text(f'# some\n{names[4]}\n{names[1]}\n')
    training, held_out = parts(tmp_path / 'list.txt')
    assert held_out == [names[1], names[4]] and len(training) == len(names) - 2
    (tmp_path / 'list.txt').write_text(f'./{names[4]}\n{names[1].upper()}\n')
    assert parts(tmp_path / 'list.txt') == [training, held_out]
    (tmp_path / 'list.txt').write_text(f'{images}/{names[4]}\n{names[1]}\n')
    assert parts(tmp_path / 'list.txt') == [training, held_out]


def test_a_list_of_other_images(parts, tmp_path):
    (tmp_path / 'list.txt').write_text('elsewhere.jpg\n')
    with pytest.raises(
        UserError, match=r'lacks 1 of the 1 images that .* holds out, first elsewhere.jpg; take it off the list'
    ):
        parts(tmp_path / 'list.txt')


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        (dict(held_out=1), 'held_out=1 would leave nothing to train on'),
        (dict(part='held_out'), 'leaves none of the 8 images'),
        (dict(part='validation'), "part 'validation' of the data set is unknown; choose one of training, held_out"),
    ],
)
def test_parts_that_cannot_be(proposal_file, images, options, words):
    with pytest.raises(UserError, match=words):
        ProposalDataset(proposal_file, LOAD_ONLY, images, **options)


GENERATORS = {'Python': random.random, 'numpy': np.random.rand, 'torch': lambda: torch.rand(1)}


@TRANSFORMS.register_module()
class FromGlobal:
    """A transform as other libraries write them."""

    def __init__(self, generator):
        self.draw = GENERATORS[generator]

    def __call__(self, results):
        self.draw()
        return results


@pytest.mark.parametrize('generator', GENERATORS)
@pytest.mark.parametrize('nested', [False, True])
def test_global_randomness_is_noticed(images, proposal_file, generator, nested):
    """In the pipeline itself and among a view's augmentations."""
    step, (load, multi_view, pack) = dict(type='mmsoco.FromGlobal', generator=generator), PIPELINE
    if nested:
        views = [dict(VIEWS[0], augment=[*COLOR, step]), *VIEWS[1:]]
        pipeline = [load, dict(multi_view, views=views), pack]
    else:
        pipeline = [load, step, multi_view, pack]
    with pytest.raises(UserError, match=rf"the transform FromGlobal draws from {generator}'s global generator"):
        ProposalDataset(proposal_file, pipeline, images)[0, 0]
    np.random.rand()  # others may
    ProposalDataset(proposal_file, PIPELINE, images)[0, 0]


def test_steps_have_names_and_can_be_left_out(images, proposal_file):
    """A dict of named steps, as configs write it, is the list of those that are not None."""
    load, multi_view, pack = PIPELINE
    views = {view['name']: {key: value for key, value in view.items() if key != 'name'} for view in VIEWS}
    named = dict(load=load, thin=None, multi_view={**multi_view, 'views': {**views, 'v4': None}}, pack=pack)
    given, expected = (ProposalDataset(proposal_file, steps, images) for steps in (named, PIPELINE))
    assert given.describe() == expected.describe() and len(given.describe()['views']) == 3
    assert_equal(given[0, 3], expected[0, 3])


@pytest.mark.parametrize('ending', ['tar', 'zip'])
def test_an_archive_is_as_good_as_its_folder(images, proposal_file, tmp_path, ending):
    """Search, filter and training of what is in an archive: the same boxes, the same pixels."""
    archive = Path(shutil.make_archive(str(tmp_path / 'packed'), ending, images))
    search_folder(archive, tmp_path / 'raw', SearchParameters(min_size=20))
    filter_folder(tmp_path / 'raw', tmp_path / 'p.arrow', ProposalFilter(size=(0.1, 0.9), min_side=8))
    folder, packed = (ProposalDataset(path, LOAD_ONLY) for path in (proposal_file, tmp_path / 'p.arrow'))
    assert packed.data_root == tmp_path and len(packed) == len(folder) == 8
    for i in range(8):
        theirs, ours = folder[0, i], packed[0, i]
        assert packed.store[i].file_name == f'{archive.name}/{folder.store[i].file_name}'
        np.testing.assert_array_equal(ours['img'], theirs['img'])
        np.testing.assert_array_equal(ours['proposals'], theirs['proposals'])
    # Also where the archive itself is named as what holds the images.
    within = ProposalDataset(proposal_file, LOAD_ONLY, data_root=archive)
    np.testing.assert_array_equal(within[0, 3]['img'], folder[0, 3]['img'])
    archive.unlink()
    with pytest.raises(UserError, match='has not its images'):
        ProposalDataset(tmp_path / 'p.arrow', LOAD_ONLY)


def test_only_images_that_become_views_at_once_may_be_decoded_smaller(proposal_file):
    given = []

    def note(results):
        given.append(results['least_side'])
        return results

    for between in ([], [dict(type='mmsoco.Thin')]):
        dataset = ProposalDataset(proposal_file, [PIPELINE[0], *between, *PIPELINE[1:]])
        dataset.pipeline.insert(0, note)
        dataset[0, 0]
    assert given == [105, None]  # 2 * 32 / sqrt(0.5 * 3 / 4), rounded up
