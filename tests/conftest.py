"""Data that several test files share. Session-wide, so copy it before changing it."""

import cv2
import numpy as np
import pytest
from formatting import formatted_once
from mmengine.registry import DefaultScope
from tiny_fixtures import *  # noqa: F403

from mmsoco.proposals.filters import ProposalFilter, filter_folder
from mmsoco.proposals.generators.selective_search import SearchParameters
from mmsoco.proposals.search.folder import search_folder


@pytest.fixture(scope='session', autouse=True)
def configs_are_formatted_once():
    with formatted_once():
        yield


@pytest.fixture(autouse=True)
def default_scope():
    """None is left by a test that trains: it would decide where the next one looks for names."""
    yield
    DefaultScope._instance_dict.clear()


def textured_image(rng, height, width):
    """Rectangles of several colours on a smooth background, with some noise; (H, W, 3) uint8."""
    coarse = rng.uniform(60, 190, (4, 4, 3)).astype(np.float32)
    image = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    for _ in range(5):
        x, y = rng.integers(0, width - 30), rng.integers(0, height - 30)
        w, h = rng.integers(15, 40, 2)
        image[y : y + h, x : x + w] = rng.uniform(0, 255, 3)
    return np.clip(image + rng.normal(0, 4, image.shape), 0, 255).astype(np.uint8)


@pytest.fixture(scope='session')
def images(tmp_path_factory):
    """A folder of 8 small images, JPEG and PNG, in two subfolders."""
    root = tmp_path_factory.mktemp('images')
    rng = np.random.default_rng(0)
    for i in range(8):
        path = root / ('first' if i < 5 else 'second') / f'{i}{".jpg" if i % 2 else ".png"}'
        path.parent.mkdir(exist_ok=True)
        height, width = rng.integers(60, 101, 2)
        assert cv2.imwrite(str(path), textured_image(rng, height, width))
    return root


@pytest.fixture(scope='session')
def proposal_file(images, tmp_path_factory):
    """The filtered proposals of ``images``."""
    folder = tmp_path_factory.mktemp('proposals')
    search_folder(images, folder / 'raw', SearchParameters(min_size=20))
    filter_folder(folder / 'raw', folder / 'proposals.arrow', ProposalFilter(size=(0.1, 0.9), min_side=8))
    return folder / 'proposals.arrow'
