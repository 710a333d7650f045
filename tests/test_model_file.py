"""Hostile model files are refused with a word about what is wrong; good ones are read as the library does."""

import json
import os
import struct
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpy_st
from safetensors import SafetensorError
from safetensors.numpy import load_file

from diabolo import _core

META = {"checksum": "00000000", "format": "diabolo", "format_version": "1"}


def f32(shape: object, begin: object, end: object) -> dict[str, object]:
    return {"dtype": "F32", "shape": shape, "data_offsets": [begin, end]}


def seal(header: dict[str, object] | bytes, data: bytes = b"", pad: bool = True) -> bytes:
    """header: a dict or the exact JSON text (bytes); the checksum's place is found in it and filled in."""
    if isinstance(header, dict):
        header = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    if pad:
        header += b" " * (-len(header) % 8)
    blank = struct.pack("<Q", len(header)) + header + data
    key = b'"checksum":"00000000"'
    if key not in blank:
        return blank
    return blank.replace(key, b'"checksum":"%08x"' % zlib.crc32(blank), 1)


def model(tensors: dict[str, object] | None = None, data: bytes = b"", meta: object = META) -> bytes:
    return seal({"__metadata__": meta, **(tensors or {})}, data)


EIGHT_BYTES = bytes(8)
GOOD = model({"a": f32([2, 3], 0, 24), "b": f32([3], 24, 36)}, bytes(range(36)))
M = b'{"__metadata__":{"checksum":"00000000","format":"diabolo","format_version":"1"}'


def hostile_cases() -> dict[str, tuple[bytes, str]]:
    huge = 2**62

    def one(entry: object, data: bytes = EIGHT_BYTES) -> bytes:
        return model({"w": entry}, data)

    def raw(text: bytes, data: bytes = b"") -> bytes:
        return seal(M + text, data)

    c: dict[str, tuple[bytes, str]] = {}
    # the frame
    c["empty file"] = (b"", "at least 8 bytes")
    c["seven bytes"] = (GOOD[:7], "at least 8 bytes")
    c["header length 0"] = (struct.pack("<Q", 0) + GOOD[8:], "header")
    c["header length 1, no header"] = (struct.pack("<Q", 1), "truncated")
    c["header longer than file"] = (struct.pack("<Q", len(GOOD) - 7) + GOOD[8:], "truncated")
    c["header length 100 MB + 1"] = (struct.pack("<Q", 100_000_001) + GOOD[8:], "100000000")
    c["header length 2^63"] = (struct.pack("<Q", 2**63) + GOOD[8:], "100000000")
    c["header length 2^64 - 1"] = (struct.pack("<Q", 2**64 - 1) + GOOD[8:], "100000000")
    c["png"] = (b"\x89PNG\r\n\x1a\n" + bytes(100), "not a model file")
    c["pickle"] = (b"\x80\x04\x95" + bytes(100), "not a model file")
    c["text file"] = (b"hello, this is a text file\n" * 9, "not a model file")
    for cut in (8, 9, 100, len(GOOD) - 37, len(GOOD) - 36, len(GOOD) - 1):
        c[f"cut at {cut}"] = (GOOD[:cut], "truncated")
    c["one byte too many"] = (GOOD + b"\0", "bytes of data")
    # the header's JSON
    c["header of spaces"] = (seal(b" " * 16), "JSON object")
    c["header starts with space"] = (seal(b" " + M + b"}"), "JSON object")
    c["header is an array"] = (seal(b"[1,2]"), "JSON object")
    c["byte order mark"] = (seal(b"\xef\xbb\xbf" + M + b"}"), "JSON object")
    c["padded with newlines"] = (seal(M + b"}\n\n", pad=False), "JSON object")
    c["padded with zeros"] = (seal(M + b"}\0\0", pad=False), "JSON object")
    c["two objects"] = (raw(b"}{}"), "end of the text")
    c["garbage after the JSON"] = (raw(b"} x}"), "end of the text")
    c["unclosed"] = (raw(b',"w":{}'), "expected")
    c["trailing comma"] = (raw(b",}"), "key in quotes")
    c["single quotes"] = (raw(b",'w':1}"), "key in quotes")
    c["comment"] = (raw(b"/* */}"), "expected")
    c["NaN"] = (raw(b',"w":NaN}'), "expected a value")
    c["Infinity"] = (raw(b',"w":-Infinity}'), "expected a digit")
    c["1e999"] = (raw(b',"w":1e999}'), "double")
    c["not UTF-8"] = (raw(b',"\xff":1}'), "UTF-8")
    c["overlong UTF-8"] = (raw(b',"\xc0\xaf":1}'), "UTF-8")
    c["surrogate in UTF-8"] = (raw(b',"\xed\xa0\x80":1}'), "UTF-8")
    c["lone surrogate escape"] = (raw(b',"\\ud800":1}'), "surrogate")
    c["reversed surrogates"] = (raw(b',"\\udc00\\ud800":1}'), "surrogate")
    c["raw control character"] = (raw(b',"a\x01":1}'), "control character")
    c["raw zero byte in a name"] = (raw(b',"a\x00":1}'), "control character")
    c["bad escape"] = (raw(b',"\\x41":1}'), "backslash")
    c["leading zero"] = (
        raw(b',"w":{"dtype":"F32","shape":[02],"data_offsets":[0,8]}}', EIGHT_BYTES),
        "expected",
    )
    c["duplicate tensor"] = (
        raw(
            b',"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}',
            EIGHT_BYTES,
        ),
        "twice",
    )
    c["duplicate via escape"] = (
        raw(
            b',"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"\\u0077":{"dtype":"F32","shape":[0],"data_offsets":[8,8]}}',
            EIGHT_BYTES,
        ),
        "twice",
    )
    c["duplicate dtype"] = (
        raw(b',"w":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}}', EIGHT_BYTES),
        "twice",
    )
    c["duplicate metadata"] = (seal(M[:-1] + b',"k":"1","k":"2"}}'), "twice")
    c["two __metadata__"] = (raw(b',"__metadata__":{}}'), "twice")
    c["depth 100000 arrays"] = (raw(b',"w":' + b"[" * 100000 + b"]" * 100000 + b"}"), "deeper")
    c["depth 100000 objects"] = (raw(b',"w":' + b'{"a":' * 100000 + b"1" + b"}" * 100001), "deeper")
    c["unclosed depth"] = (seal(M + b',"w":' + b"[" * 4000000 + b"}"), "deeper")
    c["a million dimensions"] = (
        raw(
            b',"w":{"dtype":"F32","shape":[' + b",".join([b"1"] * 1000000) + b'],"data_offsets":[0,4]}}',
            bytes(4),
        ),
        "values",
    )
    # the metadata
    c["no metadata"] = (seal({"w": f32([2], 0, 8)}, EIGHT_BYTES), "not a diabolo model")
    c["metadata is a list"] = (seal(b'{"__metadata__":[]}'), "not a diabolo model")
    c["metadata null"] = (seal(b'{"__metadata__":null}'), "not a diabolo model")
    c["no format"] = (model(meta={"checksum": "00000000", "format_version": "1"}), "not a diabolo model")
    c["format pt"] = (model(meta={**META, "format": "pt"}), '"pt"')
    c["format is a number"] = (model(meta={**META, "format": 1}), "not a diabolo model")
    c["number in metadata"] = (model(meta={**META, "k": 1}), "must be a string")
    c["object in metadata"] = (model(meta={**META, "k": {}}), "must be a string")
    c["no version"] = (model(meta={"checksum": "00000000", "format": "diabolo"}), "format_version")
    c["version 2"] = (
        model(meta={**META, "format_version": "2"}),
        "format version 2; this diabolo reads up to 1: upgrade",
    )
    c["version 2 without the rest"] = (
        model({"w": {"dtype": "F8"}}, meta={"format": "diabolo", "format_version": "2"}),
        "upgrade",
    )
    c["version 10^30"] = (model(meta={**META, "format_version": "1" + "0" * 30}), "upgrade")
    for v in ("", "0", "-1", "+1", "01", "1.0", "1 ", " 1", "one", "1e0", "0x1", "\u0661"):
        c[f"version {v!r}"] = (model(meta={**META, "format_version": v}), "whole number")
    c["version as number"] = (model(meta={**META, "format_version": 1}), "must be a string")
    c["no checksum"] = (model(meta={"format": "diabolo", "format_version": "1"}), "checksum")
    for v in ("", "0000000", "000000000", "0000000g", "0000000A", "-0000000", "0x000000"):
        c[f"checksum {v!r}"] = (model(meta={**META, "checksum": v}), "8 hex digits")
    c["checksum in escapes"] = (seal(M.replace(b"00000000", b"0000000\\u0030") + b"}"), "8 hex digits")
    c["wrong checksum"] = (seal(M.replace(b"00000000", b"12345678") + b"}"), "damaged")
    for at in (len(GOOD) - 36, len(GOOD) - 1):
        c[f"one bit flipped at {at}"] = (GOOD[:at] + bytes([GOOD[at] ^ 1]) + GOOD[at + 1 :], "damaged")
    c["padding changed, checksum kept"] = (
        struct.pack("<Q", len(GOOD) - 36) + GOOD[8:-36] + b" " * 8 + GOOD[-36:],
        "damaged",
    )
    # dtype
    for d in ("F16", "BF16", "I64", "f32", "", "F32 ", "F128", None, 7, []):
        c[f"dtype {d!r}"] = (one({"dtype": d, "shape": [2], "data_offsets": [0, 8]}), "dtype")
    # shape
    for s in (None, 2, "2", {}, True):
        c[f"shape {s!r}"] = (one(f32(s, 0, 8)), "shape")
    for s in (-2, 2.0, 2.5, "2", None, True, [2], 2**63, 2**64 + 2, 10**40):
        c[f"dimension {s!r}"] = (one(f32([s], 0, 8)), "whole number")
    c["dimension 2e0"] = (
        raw(b',"w":{"dtype":"F32","shape":[2e0],"data_offsets":[0,8]}}', EIGHT_BYTES),
        "whole number",
    )
    c["negative twice"] = (one(f32([-1, -2], 0, 8)), "whole number")
    for s in (
        [huge, 4],
        [2**32, 2**32],
        [2**31, 2**31, 2],
        [2**63 - 1],
        [2**61],
        [2**63 - 1] * 8,
        [huge + 1, 2, 2],
        [2**62 + 2],
        [0, huge, huge],
        [huge, huge, 0],
    ):
        c[f"product overflow {s}"] = (one(f32(s, 0, 8)), "overflow")
        c[f"product overflow {s}, no bytes"] = (one(f32(s, 0, 0), b""), "overflow")
    c["shape larger than bytes"] = (one(f32([3], 0, 8)), "needs 12 bytes")
    c["shape smaller than bytes"] = (one(f32([1], 0, 8)), "needs 4 bytes")
    c["terabyte shape, no data"] = (one(f32([2**40], 0, 2**42)), "truncated")
    # offsets
    for o in (None, 0, [], [0], [0, 8, 8], "08", {"0": 8}):
        c[f"offsets {o!r}"] = (one({"dtype": "F32", "shape": [2], "data_offsets": o}), "two numbers")
    for o in ([0.0, 8], [0, 8.0], [-8, 0], [0, -8], ["0", 8], [0, None], [0, 2**63], [2**64, 2**64 + 8]):
        c[f"offsets {o!r}"] = (one({"dtype": "F32", "shape": [2], "data_offsets": o}), "whole number")
    c["offsets reversed"] = (one(f32([2], 8, 0)), "must begin at byte 0")
    c["end before begin"] = (model({"a": f32([2], 0, 8), "w": f32([2], 8, 0)}, EIGHT_BYTES), "needs 8 bytes")
    c["first does not begin at 0"] = (one(f32([2], 4, 12), bytes(12)), "must begin at byte 0")
    c["gap"] = (model({"a": f32([2], 0, 8), "b": f32([2], 12, 20)}, bytes(20)), "must begin at byte 8")
    c["overlap"] = (model({"a": f32([2], 0, 8), "b": f32([2], 4, 12)}, bytes(12)), "must begin at byte 8")
    c["the same bytes twice"] = (
        model({"a": f32([2], 0, 8), "b": f32([2], 0, 8)}, EIGHT_BYTES),
        "must begin at byte 8",
    )
    c["out of order"] = (
        model({"b": f32([2], 8, 16), "a": f32([2], 0, 8)}, bytes(16)),
        "must begin at byte 0",
    )
    c["beyond the file"] = (model({"a": f32([4], 0, 16)}, EIGHT_BYTES), "truncated")
    c["offsets near 2^63"] = (
        model({"a": f32([2], 2**63 - 9, 2**63 - 1)}, EIGHT_BYTES),
        "must begin at byte 0",
    )
    c["data of no tensor"] = (model({}, EIGHT_BYTES), "bytes of data")
    c["data after the last tensor"] = (one(f32([2], 0, 8), bytes(9)), "bytes of data")
    # the tensor entry
    for e in (
        None,
        1,
        "F32",
        [],
        {},
        {"dtype": "F32"},
        {"dtype": "F32", "shape": [2]},
        {**f32([2], 0, 8), "extra": 1},
    ):
        c[f"entry {e!r}"] = (one(e), "alone")
    c["other keys"] = (one({"dtype": "F32", "shape": [2], "offsets": [0, 8]}), "data_offsets")
    return c


CASES = hostile_cases()


@pytest.mark.parametrize("name", CASES)
def test_refused(tmp_path, name):
    content, words = CASES[name]
    path = tmp_path / "hostile.safetensors"
    path.write_bytes(content)
    with pytest.raises(_core.ModelFileError) as error:
        _core.read_model_file(str(path))
    assert words in str(error.value)


def test_a_good_file_is_read_as_the_library_reads_it(tmp_path):
    path = tmp_path / "good.safetensors"
    path.write_bytes(GOOD)
    metadata, tensors = _core.read_model_file(str(path))
    assert metadata == {}
    expected = load_file(path)
    assert tensors.keys() == expected.keys()
    for name, array in tensors.items():
        np.testing.assert_array_equal(array, expected[name])


def test_cuts_and_flipped_bits_are_noticed(tmp_path):
    path = tmp_path / "damaged.safetensors"
    for damaged in (
        *(GOOD[:cut] for cut in range(len(GOOD))),
        *(flipped(GOOD, bit) for bit in range(0, 8 * len(GOOD), 7)),  # each byte in turn, another bit of it,
    ):
        path.write_bytes(damaged)
        with pytest.raises(_core.ModelFileError):
            _core.read_model_file(str(path))


def flipped(content: bytes, bit: int) -> bytes:
    damaged = bytearray(content)
    damaged[bit // 8] ^= 1 << bit % 8
    return bytes(damaged)


@pytest.mark.parametrize("where", ["folder", "missing", "pipe"])
def test_what_is_no_file_is_an_os_error(tmp_path, where):
    path = tmp_path / where
    if where == "folder":
        path.mkdir()
    if where == "pipe":
        os.mkfifo(path)
    with pytest.raises(OSError, match=where) as error:
        _core.read_model_file(str(path))
    assert error.value.errno


# ---- Beside the safetensors library ----

TENSORS = st.dictionaries(
    st.text(min_size=1).filter(lambda name: name != "__metadata__"),
    numpy_st.arrays(
        st.sampled_from([np.float32, np.float64]),
        numpy_st.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
    ),
    max_size=4,
)


@settings(max_examples=100, deadline=None)
@given(tensors=TENSORS, metadata=st.dictionaries(st.text().filter(lambda key: key not in META), st.text()))
def test_what_is_written_both_read_alike(tensors, metadata):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        _core.write_model_file(str(path), metadata, tensors)
        our_metadata, ours = _core.read_model_file(str(path))
        theirs = load_file(path)
    assert our_metadata == metadata
    assert ours.keys() == theirs.keys() == tensors.keys()
    for name, array in tensors.items():
        for found in (ours[name], theirs[name]):
            assert (found.dtype, found.shape) == (array.dtype, array.shape)
            assert found.tobytes() == array.tobytes()


@settings(max_examples=300, deadline=None)
@given(
    edits=st.lists(
        st.tuples(st.integers(8, len(GOOD) - 1), st.sampled_from(b' 0123456789"[]{},:abF\\')), max_size=3
    )
)
def test_what_is_accepted_the_library_reads_alike(edits):
    """Ours may be stricter, never more lenient."""
    changed = bytearray(GOOD)
    for at, byte in edits:
        changed[at] = byte
    key = b'"checksum":"'
    at = changed.find(key) + len(key)
    if at >= len(key):
        changed[at : at + 8] = b"00000000"
        changed[at : at + 8] = b"%08x" % zlib.crc32(bytes(changed))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        path.write_bytes(changed)
        try:
            _, ours = _core.read_model_file(str(path))
        except _core.ModelFileError:
            return
        theirs = load_file(path)
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        np.testing.assert_array_equal(array, theirs[name])


def test_where_the_library_is_more_lenient(tmp_path):
    """What it accepts and ours does not: by these the two are known to differ."""
    accepted = set()
    for name, (content, _) in CASES.items():
        path = tmp_path / "hostile.safetensors"
        path.write_bytes(content)
        try:
            load_file(path)
        except (SafetensorError, OSError, ValueError, TypeError, KeyError, OverflowError, MemoryError):
            continue
        accepted.add(name)
    # No file of ours, another dtype, a key twice, the checksum: matters of the format, none of safety.
    assert "overlap" not in accepted
    assert "gap" not in accepted
    assert "one byte too many" not in accepted
    assert {"no metadata", "wrong checksum", "duplicate metadata"} <= accepted


# ---- Memory and time ----

MEASURE = """
import sys, time
from diabolo import _core

def peak():
    (line,) = (line for line in open("/proc/self/status") if line.startswith("VmHWM"))
    return 1024 * int(line.split()[1])

before, begin = peak(), time.monotonic()
try:
    _core.read_model_file(sys.argv[1])
except _core.ModelFileError:
    print(peak() - before, time.monotonic() - begin)
"""
LONG = 1 << 25


# Made when they are asked for: each is as large as a model.
LARGE = {
    "one bit of the data": lambda: whole_model()[:-1] + b"\1",
    "the last byte is missing": lambda: whole_model()[:-1],
    "a long text": lambda: seal(M[:-1] + b',"k":"' + b"x" * LONG + b'"},"w":1}'),
    "many texts": lambda: seal(
        M[:-1] + b"".join(b',"%05d":"%0700d"' % (n, n) for n in range(45_000)) + b'},"w":1}'
    ),
    "a long text in escapes": lambda: seal(M[:-1] + b',"k":"' + b"\\u0041" * (LONG // 6) + b'"},"w":1}'),
    "a long name": lambda: seal(M + b',"' + b"x" * LONG + b'":1}'),
    "spaces": lambda: seal(M + b"," + b" " * LONG + b'"w":1}'),
    "brackets": lambda: seal(M + b',"w":' + b"[" * LONG + b"}"),
    "numbers": lambda: seal(M + b',"w":{"dtype":"F32","shape":[' + b"1," * (LONG // 2) + b"1]}}"),
}


def whole_model() -> bytes:
    return model({"w": f32([LONG // 4], 0, LONG)}, bytes(LONG))


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="needs Linux")
@pytest.mark.parametrize("name", LARGE)
def test_large_hostile_files_take_little(tmp_path, name):
    """The file's size twice, and what a hundred thousand values take; a second, on an idle machine."""
    path = tmp_path / "large"
    content = LARGE[name]()
    path.write_bytes(content)
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, path], capture_output=True, text=True, check=True, env=environment()
    )
    taken, seconds = map(float, done.stdout.split())
    assert taken < 2 * len(content) + 20e6
    assert seconds < 5


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(_core.__file__).parents[1])}
