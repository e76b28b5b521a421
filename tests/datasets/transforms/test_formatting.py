import cv2
import numpy as np
import pytest
from PIL import Image

from mmsoco.datasets.transforms import LoadImage, MultiViewProposalPipeline, PackViews
from mmsoco.images.decoding import UnreadableImage, read_image
from mmsoco.registry import TRANSFORMS


@pytest.fixture
def path(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    assert cv2.imwrite(str(tmp_path / 'a.png'), image)
    return tmp_path / 'a.png'


def test_load_decodes_as_the_search_does(path):
    results = LoadImage()(dict(img_path=str(path), width=50, height=40, proposals='kept'))
    np.testing.assert_array_equal(results['img'], read_image(path))
    np.testing.assert_array_equal(results['img'], cv2.imread(str(path))[..., ::-1])
    assert results['proposals'] == 'kept'


@pytest.mark.parametrize(('width', 'height'), [(40, 50), (50, 41), (49, 40)])
def test_load_refuses_a_image_of_another_size(path, width, height):
    with pytest.raises(UnreadableImage, match=rf'a\.png: is 50x40, but its proposals are for {width}x{height}'):
        LoadImage()(dict(img_path=str(path), width=width, height=height))


def test_load_makes_a_large_jpeg_smaller_and_still_knows_its_size(tmp_path):
    Image.fromarray(np.full((80, 101, 3), 90, np.uint8)).save(tmp_path / 'a.jpg')
    given = dict(img_path=str(tmp_path / 'a.jpg'), width=101, height=80, least_side=20)
    results = LoadImage(reduce=True)(dict(given))
    assert results['img'].shape == (20, 26, 3) and results['full_size'] == (101, 80)
    for load, others in ((LoadImage(), {}), (LoadImage(reduce=True), {'least_side': None})):
        whole = load({**given, **others})
        assert whole['img'].shape == (80, 101, 3) and 'full_size' not in whole
    with pytest.raises(UnreadableImage, match=r'a\.jpg: is 101x80, but its proposals are for 26x20'):
        LoadImage(reduce=True)({**given, 'width': 26, 'height': 20})


def test_load_refuses_what_is_no_image(path):
    path.write_text('not an image')
    with pytest.raises(UnreadableImage, match=r'a\.png'):
        LoadImage()(dict(img_path=str(path), width=50, height=40))


def test_pack_keeps_exactly_what_the_model_takes(path):
    flip = [dict(type='mmsoco.HorizontalFlip', prob=1.0)]
    pipeline = MultiViewProposalPipeline(
        [dict(name='v1', size=16, augment=flip), dict(name='v2', size=8, augment=flip)],
        [('v1', 'v2')],
        num_proposals=3,
    )
    results = LoadImage()(dict(img_path=str(path), width=50, height=40))
    results.update(index=7, proposals=np.array([[5, 5, 40, 30]], np.float32), rng=np.random.default_rng(0))
    results = pipeline(results)
    # As a transform may leave it.
    results['views'] = {name: np.asfortranarray(view) for name, view in results['views'].items()}
    assert not results['views']['v1'].flags.c_contiguous  # or the assertion below is empty
    packed = PackViews()(results)
    assert set(packed) == {'inputs', 'boxes', 'matches', 'images'}
    assert list(packed['inputs']) == ['v1', 'v2']
    for name, size in dict(v1=16, v2=8).items():
        view, boxes = packed['inputs'][name], packed['boxes'][name]['image']
        assert view.shape == (size, size, 3) and view.dtype == np.uint8
        assert view.flags.c_contiguous
        np.testing.assert_array_equal(view, results['views'][name])
        assert boxes.shape == (3, 4) and boxes.dtype == np.float32
        assert boxes.flags.c_contiguous
    assert packed['images'] == 7
    assert packed['matches'] == {'image': {('v1', 'v2'): 1}}
    assert type(packed['matches']['image']['v1', 'v2']) is int


@pytest.mark.parametrize('kind', [LoadImage, PackViews])
def test_the_registry_knows_the_name(kind):
    assert isinstance(TRANSFORMS.build(dict(type=f'mmsoco.{kind.__name__}')), kind)
