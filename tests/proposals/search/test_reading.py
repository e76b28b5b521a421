"""A search reads images as it is told, and says how; training will read them so, too."""

import numpy as np
import pytest
import tifffile

from mmsoco.datasets import ProposalDataset
from mmsoco.errors import UserError
from mmsoco.images.channels import to_triple
from mmsoco.images.decoding import read_image
from mmsoco.images.reading import Reading
from mmsoco.images.root import ImageRoot
from mmsoco.proposals.filters import ProposalFilter, filter_folder
from mmsoco.proposals.generators.base import Generator
from mmsoco.proposals.search.folder import search_folder
from mmsoco.proposals.search.shards import search_image
from mmsoco.proposals.store import ProposalStore

READING = Reading(5, (0, 1000), (4, 2, 1))


class Brightest(Generator):
    """A box around the pixels of which red is highest; it tells what it is shown."""

    def describe(self):
        return {'name': 'brightest'}

    def propose(self, image, file_name):
        assert image.shape[2] == 3
        rows, columns = np.nonzero(image[..., 0] == image[..., 0].max())
        return np.array([[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]])


@pytest.fixture
def root(tmp_path):
    """Two images of five channels, of which the fourth is bright in one place, up to 1,000."""
    folder = tmp_path / 'images'
    folder.mkdir()
    for number, place in enumerate([(3, 5), (20, 9)]):
        array = np.full((40, 50, 5), 100, np.uint16)
        array[place[1] : place[1] + 8, place[0] : place[0] + 6, 3] = 1000
        array[:, :, 0] = 4000  # beyond the range
        tifffile.imwrite(folder / f'{number}.tif', array, photometric='minisblack', planarconfig='contig')
    stack = np.zeros((2, 40, 50, 5), np.uint16)
    tifffile.imwrite(folder / '2.tif', stack, photometric='minisblack', planarconfig='contig')
    return folder


def test_the_search_sees_the_triple_in_the_range(root):
    images = ImageRoot(root, READING)
    assert search_image(images, Brightest(), '0.tif').row.boxes.tolist() == [[3, 5, 9, 13]]
    assert search_image(images, Brightest(), '1.tif').row.boxes.tolist() == [[20, 9, 26, 17]]
    # Another channel as red is the same everywhere.
    other = ImageRoot(root, Reading(5, (0, 1000), (1, 2, 4)))
    assert search_image(other, Brightest(), '0.tif').row.boxes.tolist() == [[0, 0, 50, 40]]
    # In the range of the type nothing is told apart but what is: 0 and 4.
    dark = images.read('0.tif')
    assert dark[0, 0].tolist() == [255, 26, 26, 26, 26] and dark[6, 4, 3] == 255


def test_three_channels_are_not_five(root):
    found = search_image(ImageRoot(root), Brightest(), '0.tif')
    assert found.row.startswith('has 5 channels where 3 are asked for')


def test_the_file_says_how_and_what_was_met_and_training_follows(root, tmp_path):
    result = search_folder(root, tmp_path / 'raw', reading=READING, shard_size=2)
    kinds = {'uint16': {'images': 3, 'low': 0, 'high': 4000, 'by': {'0..1000': 3}}}
    assert result.met == kinds and result.several_frames == 1
    filter_folder(tmp_path / 'raw', tmp_path / 'p.arrow', ProposalFilter())
    header = ProposalStore.open(tmp_path / 'p.arrow').header
    assert Reading.of(header) == READING and (header['met'], header['several_frames']) == (kinds, 1)
    dataset = ProposalDataset(tmp_path / 'p.arrow', [dict(type='LoadImage')], channels=5)
    image = dataset[0, 0]['img']
    np.testing.assert_array_equal(image, read_image(root / '0.tif', READING))
    assert to_triple(image, READING.triple)[6, 4, 0] == 255


@pytest.mark.parametrize(
    'reading', [Reading(5), Reading(5, (0, 1000)), Reading(5, (0, 999), (4, 2, 1)), Reading(5, 'type', (4, 2, 1))]
)
def test_a_search_that_reads_otherwise_is_another(root, tmp_path, reading):
    search_folder(root, tmp_path / 'raw', reading=READING)
    search_folder(root, tmp_path / 'raw', reading=READING)
    with pytest.raises(UserError, match=r'was made with reading'):
        search_folder(root, tmp_path / 'raw', reading=reading)


def test_plain_images_leave_no_word_of_it(images, tmp_path):
    search_folder(images, tmp_path / 'raw', shard_size=100)
    header = ProposalStore.open(next((tmp_path / 'raw').glob('*.arrow'))).header
    assert not {'reading', 'met', 'several_frames', 'tiles'} & set(header)
    with pytest.raises(UserError, match=r'was made with reading = None'):
        search_folder(images, tmp_path / 'raw', shard_size=100, reading=READING)
