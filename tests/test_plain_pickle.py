import io
import pickle
from collections import OrderedDict, defaultdict

import numpy as np
import pytest
from mmengine.structures import InstanceData

from mmsoco.plain_pickle import NotPlain, PlainUnpickler, Record


def load(data):
    return PlainUnpickler(io.BytesIO(data)).load()


ARRAYS = [
    np.arange(12, dtype=np.float32).reshape(3, 4),
    np.zeros((0, 4), np.float32),
    np.arange(6, dtype='>i4').reshape(2, 3),
    np.asfortranarray(np.arange(6, dtype=np.uint8).reshape(2, 3)),
    np.arange(8.0)[::2],
    np.array(2.5),
    np.array([True, False]),
    np.array([1 + 2j]),
    np.array(['a', 'bcd']),
    np.array([b'a', b'bcd']),
    np.float16([0.5]),
]
VALUES = [
    None, True, 0, -1, 255, 65536, 2**80, -(2**80), 2.5, float('inf'), 1j, '', 'ä\n\\', b'', b'x', b'\0\xff',
    bytearray(b'\xffa'), (), (1,), (1, 2, 3, 4), [], [1, [2]], {}, {'a': {'b': 1}}, set(),
    {1, 2}, frozenset({3}), OrderedDict(a=1),
    np.float32(1.5), np.int64(-3), np.bool_(True), np.str_('ä'),
]  # fmt: skip


@pytest.mark.parametrize('protocol', range(pickle.HIGHEST_PROTOCOL + 1))
def test_data_of_each_protocol(protocol):
    for array in ARRAYS:
        found = load(pickle.dumps(array, protocol))
        assert type(found) is np.ndarray and found.dtype == pickle.loads(pickle.dumps(array, protocol)).dtype
        assert np.array_equal(found, array) and found.shape == array.shape and found.flags.writeable
    for value in VALUES:
        found = load(pickle.dumps(value, protocol))
        assert found == value and type(found) is type(value), value
    array = ARRAYS[0]
    one, two, (again,) = load(pickle.dumps([array, array.dtype, (array,)], protocol))
    assert again is one and two == array.dtype
    assert load(pickle.dumps(defaultdict(list, a=[1]), protocol)) == {'a': [1]}
    # Byte for byte as numpy 1 names its parts.
    old = pickle.dumps(array, protocol).replace(b'numpy._core.', b'numpy.core.' if protocol < 4 else b'numpy._core.')
    assert (load(old) == array).all()


@pytest.mark.parametrize('protocol', range(pickle.HIGHEST_PROTOCOL + 1))
def test_instance_data_of_each_protocol(protocol):
    data = InstanceData(metainfo=dict(size=(3, 4)))
    data.bboxes, data.scores = np.ones((2, 4), np.float32), np.zeros(2)
    found = load(pickle.dumps({'a': data}, protocol))['a']
    assert type(found) is Record and (found.bboxes == 1).all() and found.scores.shape == (2,) and found.size == (3, 4)


def test_what_python_2_wrote():
    content = b'\\x00\\x00\\xc0\\x7f'.replace(b'\\x7f', b'?')
    data = (
        b"(dS'a.jpg'\ncnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n(I1\ntcnumpy\ndtype\n"
        b"(S'f4'\nI0\nI1\ntR(I3\nS'<'\nNNNI-1\nI-1\nI0\ntbI00\nS'" + content + b"'\ntbs."
    )
    assert load(data)['a.jpg'].tolist() == [1.5]


class Asks:
    """What a pickle can ask for."""

    def __init__(self, *reduced):
        self.reduced = reduced

    def __reduce__(self):
        return self.reduced


@pytest.mark.parametrize('protocol', range(2, pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    'forged',
    [
        Asks(open, ('/tmp/x', 'w')),
        Asks(eval, ('1',)),
        Asks(getattr, ('', 'join')),
        Asks(list, (b'x',)),
        Asks(bytes, (10**12,)),
        Asks(bytearray, (10**12,)),
        Asks(complex, ('1',)),
        Asks(np.ndarray, ((10**12,), 'u1')),
        Asks(np.dtype, ('O8', False, True), (3, '|', None, None, None, -1, -1, 0)),
        Asks(np.dtype, ('f8', False, True), (3, '<', None, None, None, -1, -1, 63)),
        Asks(np.dtype, ('f8', False, True), (3, '<', (np.dtype('O'), (2,)), None, None, -1, -1, 0)),
        Asks(np.dtype, ('U1', False, True), (3, '<', None, None, None, 2**30, 4, 8)),
        Asks(OrderedDict, (), {'keys': 1}),
        Asks(PlainUnpickler, (1,)),
        np.array([None, {}]),
        np.zeros(2, [('a', 'f4')]),
        np.ma.masked_array([1.0]),
        ValueError('x'),
    ],
)
def test_everything_else_is_refused(protocol, forged):
    with pytest.raises((NotPlain, ValueError, TypeError, pickle.UnpicklingError, AttributeError, OverflowError)):
        found = load(pickle.dumps(forged, protocol))
        assert not callable(found), found
        raise AssertionError(found)


def test_a_small_file_takes_little_memory():
    """One content is named a thousand times, and copied each time."""
    array = pickle.dumps(np.zeros(10**6, np.uint8), 2)
    assert load(array).nbytes == 10**6
    one = b'cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\0tC\x01btR(K\x01(J' + (10**6).to_bytes(
        4, 'little'
    )
    one += (
        b'tcnumpy\ndtype\n(X\x02\0\0\0u1\x89\x88tR(K\x03X\x01\0\0\0|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb\x89h\0tb'
    )
    content = b'B' + (10**6).to_bytes(4, 'little') + bytes(10**6) + b'q\0' + b'0'
    assert load(b'\x80\x03' + content + one + b'.').shape == (10**6,)
    for many in (one * 10, 10 * b'cbuiltins\nbytearray\n(h\0tR'):
        with pytest.raises(NotPlain, match='makes more than it has bytes for'):
            load(b'\x80\x03' + content + b'(' + many + b't.')
