import pytest

from mmsoco.errors import UserError
from mmsoco.renamed import renamed_arguments


class Hook:
    @renamed_arguments(pictures='images', old='new')
    def __init__(self, images, new=0):
        """What it takes."""
        self.given = images, new


def test_former_names_are_taken():
    assert Hook(pictures=3, old=4).given == (3, 4)
    assert Hook(3, old=4).given == (3, 4)
    assert Hook(images=3, new=4).given == (3, 4)
    assert Hook.__init__.__doc__ == 'What it takes.'


def test_both_names_are_too_many():
    with pytest.raises(UserError, match='pictures is the former name of images'):
        Hook(pictures=3, images=4)
