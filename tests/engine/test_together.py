import pytest
from two_processes import in_two_processes

from mmsoco.engine.together import Together, first_decides
from mmsoco.errors import UserError


def test_the_first_decides(tmp_path):
    assert in_two_processes(lambda rank: first_decides(lambda: f'by {rank}'), tmp_path) == ['by 0', 'by 0']


def test_what_the_first_refuses_all_refuse(tmp_path):
    def refuse():
        raise UserError('not so')

    assert in_two_processes(lambda rank: first_decides(refuse), tmp_path) == ['not so (shared: True)'] * 2


def test_numbers_and_values(tmp_path):
    def talk(rank):
        together = Together()
        return together.highest(rank * 3), together.highest(0), together.gather(f'of {rank}')

    assert in_two_processes(talk, tmp_path) == [(3, 0, ['of 0', 'of 1']), (3, 0, None)]


@pytest.mark.parametrize('failing', [0, 1])
def test_what_one_raises_all_raise(tmp_path, failing):
    def fail(rank):
        together = Together()
        together.raise_any(None)
        together.raise_any(UserError(f'{rank} has no data') if rank == failing else None)

    assert in_two_processes(fail, tmp_path) == [f'{failing} has no data (shared: True)'] * 2


def test_alone():
    together = Together()
    assert together.highest(5) == 5 and together.gather('x') == ['x']
    together.raise_any(None)
    with pytest.raises(UserError, match='no data'):
        together.raise_any(UserError('no data'))
    assert first_decides(lambda x: x + 1, 1) == 2
