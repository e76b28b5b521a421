"""The only record batch of an Arrow file, which lies there as it is: not compressed."""

import struct

import pyarrow as pa

#: A file is a stream of messages between this, filled up, and a table of contents that ends with it.
_MAGIC = b'ARROW1\0\0'
#: Places of fields in Arrow's tables (format/Message.fbs): of a message its header, of a record batch its compression.
_HEADER, _COMPRESSION = 2, 3


def only_batch(content: pa.Buffer) -> pa.RecordBatch:
    """The record batch of an Arrow file, without a copy of it.

    A few compressed bytes could stand for all of the memory, and Arrow has no switch
    to leave them compressed: the message is asked before it is followed.

    Args:
        content: The whole file, which begins with a schema and goes on with the batch.

    Raises:
        ValueError: It is compressed.
        pyarrow.ArrowInvalid: It is damaged.
    """
    # Refuses what is no Arrow file or not all of one, and decompresses nothing.
    pa.ipc.open_file(content)
    messages = pa.ipc.MessageReader.open_stream(pa.BufferReader(content[len(_MAGIC) :]))
    schema = pa.ipc.read_schema(messages.read_next_message())
    message = messages.read_next_message()
    if message.type != 'record batch':
        raise ValueError(f'it has a {message.type} where its rows should be')
    if _is_compressed(message.metadata.to_pybytes()):
        raise ValueError('it is compressed, which a proposal file never is')
    return pa.ipc.read_record_batch(message, schema)


def _is_compressed(metadata: bytes) -> bool:
    """Whether the message of a record batch, a flatbuffer that Arrow has checked, says so."""
    message = struct.unpack_from('<I', metadata)[0]
    header = _field(metadata, message, _HEADER)
    if header is None:
        raise ValueError('its message has no rows')
    batch = header + struct.unpack_from('<I', metadata, header)[0]
    return _field(metadata, batch, _COMPRESSION) is not None


def _field(flatbuffer: bytes, table: int, number: int) -> int | None:
    """Where a field of a table stands, None where the table has none."""
    positions = table - struct.unpack_from('<i', flatbuffer, table)[0]
    at = positions + 4 + 2 * number
    if at >= positions + struct.unpack_from('<H', flatbuffer, positions)[0]:
        return None
    offset = struct.unpack_from('<H', flatbuffer, at)[0]
    return table + offset if offset else None
