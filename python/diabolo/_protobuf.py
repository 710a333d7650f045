"""Writes protocol buffers, as far as a file of ONNX needs it; reading them is left out.

A message is the concatenation of its fields; a field is a tag, which holds its number and the kind of what
follows, and a value: an integer in groups of seven bits, a float, or bytes with their length before them.
https://protobuf.dev/programming-guides/encoding/
"""

import struct

_VARINT, _BYTES, _FLOAT = 0, 2, 5


def integer(field: int, value: int) -> bytes:
    """Return a field with a whole number >= 0."""
    return _tag(field, _VARINT) + _varint(value)


def real(field: int, value: float) -> bytes:
    """Return a field with a float of 32 bits."""
    return _tag(field, _FLOAT) + struct.pack("<f", value)


def text(field: int, value: str) -> bytes:
    """Return a field with a string."""
    return message(field, value.encode())


def message(field: int, *parts: bytes) -> bytes:
    """Return a field with bytes, or with a message made of fields."""
    contents = b"".join(parts)
    return _tag(field, _BYTES) + _varint(len(contents)) + contents


def _tag(field: int, kind: int) -> bytes:
    return _varint(field << 3 | kind)


def _varint(value: int) -> bytes:
    groups = bytearray()
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    groups.append(value)
    return bytes(groups)
